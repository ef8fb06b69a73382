"""Which labels systems are good at, and which they take for which."""

import html
from collections.abc import Iterator, Sequence
from math import sqrt
from statistics import fmean

from lightune.report.page import Drawing, Section
from lightune.report.runs.folder import Row
from lightune.report.runs.systems import System
from lightune.report.runs.tested import Tested

_TABLES = ("per_class", "per_type", "per_subject")
_LABELS = 40  # that have bars, those with most examples
_BARS = 8  # systems beside each other
_MATRICES = 4
_NUMBERED = 20  # labels up to which a cell holds its count
_LONGEST = 22  # characters of a label on an axis


def sections(tested: Tested) -> Iterator[Section]:
    """Yield the bars and the confusion matrices of a test set, where its runs have left such tables."""
    bars = [drawing for name in _TABLES if (drawing := _bars(tested.systems[:_BARS], f"test_{name}"))]
    if bars:
        text = "Means over seeds and folds; labels with most test examples first."
        yield Section(f"Labels: {tested.title}", text, drawings=bars)
    shown = [(system, system.best.table("test_confusion")) for system in tested.systems]
    matrices = [_matrix(system, rows) for system, rows in shown if rows][:_MATRICES]
    if matrices:
        text = (
            "Rows are true labels, columns predicted ones; the run of each system that is best on val. Shades are the "
            f"root of a row's shares, numbers are counts.{_some(len(matrices), len(tested.systems))}"
        )
        yield Section(f"Confusion: {tested.title}", text, drawings=matrices)


def _some(shown: int, every: int) -> str:
    return f" {shown} of {every} systems." if shown < every else ""


def _bars(parts: Sequence[System], name: str) -> Drawing | None:
    from plotly.graph_objects import Bar, Figure

    tables = [(system, [rows for run in system.runs if (rows := run.table(name))]) for system in parts]
    having = [(system, found) for system, found in tables if found]
    if not having:
        return None
    first = having[0][1][0]
    key, value = next(iter(first[0])), "f1" if "f1" in first[0] else "accuracy"
    chosen = sorted(first, key=lambda row: -row.get("support", 0))[:_LABELS]
    labels = [str(row[key]) for row in chosen]
    bars = [
        Bar(
            x=[_mean(found, key, value, label) for label in labels],
            y=[*map(html.escape, labels)],
            orientation="h",
            name=system.marked,
            marker_color=system.color,
        )
        for system, found in having
    ]
    legend = {"orientation": "h", "y": 1, "yanchor": "bottom"}
    figure = Figure(bars, {"barmode": "group", "xaxis_title": value, "legend": legend})
    figure.update_traces(hovertemplate="%{y}: %{x:.3f}", showlegend=True)
    figure.update_yaxes(type="category", autorange="reversed", labelalias=_short(labels))
    return Drawing(figure, height=110 + len(labels) * (8 + 9 * len(bars)))


def _short(labels: Sequence[str]) -> dict[str, str]:
    """Return what stands on an axis in place of long names, which would leave a figure no room."""
    return {html.escape(name): f"{html.escape(name[: _LONGEST - 1])}…" for name in labels if len(name) > _LONGEST}


def _mean(tables: Sequence[Sequence[Row]], key: str, value: str, label: str) -> float | None:
    values = [row[value] for rows in tables for row in rows if str(row[key]) == label]
    return fmean(values) if values else None


def _matrix(system: System, rows: Sequence[Row]) -> Drawing:
    from plotly.graph_objects import Figure, Heatmap

    names = [str(row["label"]) for row in rows]
    labels = [*map(html.escape, names)]
    counts = [[*row["predicted"].values()] for row in rows]
    shades = [[sqrt(count / max(sum(line), 1)) for count in line] for line in counts]
    few = len(labels) <= _NUMBERED
    cells = Heatmap(
        x=labels,
        y=labels,
        z=shades,
        customdata=counts,
        text=[[count or "" for count in line] for line in counts],
        texttemplate="%{text}" if few else None,
        colorscale="Blues",
        zmin=0,
        zmax=1,
        showscale=False,
        hovertemplate="%{y} taken for %{x}: %{customdata}<extra></extra>",
    )
    figure = Figure(cells, {"title": {"text": system.marked, "font": {"size": 13}}, "margin": {"t": 40}})
    figure.update_xaxes(title="predicted")
    figure.update_yaxes(title="true", autorange="reversed")
    for axis in (figure.update_xaxes, figure.update_yaxes):
        axis(type="category", showgrid=False, labelalias=_short(names))
    size = 180 + 26 * min(len(labels), _NUMBERED)
    return Drawing(figure, height=size, width=0 if few else 580)  # two beside each other on a wide screen
