"""How runs went: loss and metrics against steps and tokens."""

import html
from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from lightune.report.page import SMOOTHED, Drawing, Section
from lightune.report.runs.folder import Run
from lightune.report.runs.systems import System, systems

if TYPE_CHECKING:
    from plotly.graph_objects import Scatter

_LINES = 40  # runs of one task that are drawn
_POINTS = 600  # of a line
_AXES = {"step": "optimiser step", "train/tokens": "tokens trained on"}

Points = tuple[Sequence[float], Sequence[float]]


def section(task: str, members: Sequence[Run]) -> Section:
    """Return the curves of a task's runs."""
    shown = members[:: ceil(len(members) / _LINES)]
    aside = f" {len(shown)} of {len(members)} runs are drawn." if len(shown) < len(members) else ""
    text = f"A line a run, a colour a system. A click on a name hides it, a double click the others.{aside}"
    metrics = ["train/loss", "val/loss", f"val/{members[0].monitor}"]
    parts = systems(shown)
    found = (_drawing(parts, metric, axis) for metric in dict.fromkeys(metrics) for axis in _AXES)
    drawings = [drawing for drawing in found if drawing]
    title = f"Curves: {task}"
    return (
        Section(title, text, drawings=drawings, smoothing=True) if drawings else Section(title, "Nothing was logged.")
    )


def _drawing(parts: Sequence[System], metric: str, axis: str) -> Drawing | None:
    from plotly.graph_objects import Figure

    lines = [line for system in parts for line in _lines(system, metric, axis)]
    if not lines:
        return None
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    figure = Figure(lines, {"xaxis_title": _AXES[axis], "yaxis_title": metric, "legend": legend})
    return Drawing(figure.update_xaxes(tickformat="~s"))  # 20k


def _lines(system: System, metric: str, axis: str) -> "Iterator[Scatter]":
    from plotly.graph_objects import Scatter

    named = False
    for run in system.runs:
        x, y = points(run.history, metric, axis)
        if not x:
            continue
        hover = f"{system.marked}, seed {html.escape(run.draw)}: %{{y:.4f}} at %{{x:,}}<extra></extra>"
        yield Scatter(
            x=x,
            y=y,
            name=system.marked,
            legendgroup=system.label,
            showlegend=not named,
            mode="lines" if len(x) > 1 else "markers",
            line={"color": system.color, "width": 1.5},
            hovertemplate=hover,
            meta=SMOOTHED if metric == "train/loss" else None,
        )
        named = True


def points(history: Sequence[Mapping[str, float]], metric: str, axis: str) -> Points:
    """Return a metric and where it was measured, at most some hundred points of it.

    Validations need not fall on a step that is logged: their tokens are read off the line between its neighbours.

    Args:
        history: Rows of history.csv.
        metric: Name of a column.
        axis: ``step`` or ``train/tokens``.
    """
    rows = [row for row in history if metric in row]
    rows = rows[:: ceil(len(rows) / _POINTS)] if rows else []
    x = [row["step"] + 1 for row in rows]  # steps that were taken by then
    if axis != "step":
        known = [(row["step"] + 1, row[axis]) for row in history if axis in row]
        if not known:
            return [], []
        x = np.interp(x, [step for step, _ in known], [tokens for _, tokens in known]).tolist()
    return x, [row[metric] for row in rows]
