"""A study at a glance: one PNG. matplotlib is imported where something is drawn, and needs no display."""

import html
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.distributions import CategoricalDistribution
from optuna.study import StudyDirection

from lightune.report import show
from lightune.report.artefacts import written_whole
from lightune.sweep.live import best_so_far
from lightune.sweep.shown import Objective, Shown, as_text
from lightune.sweep.study import is_good

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_KEYS = 2  # parameters beside the history
_LONGEST = 16  # characters of a choice
_COMPLETED: Any = {"s": 14}
_GIVEN_UP: Any = {"s": 14, "facecolors": "none", "edgecolors": "tab:gray"}
# Parts of a decade that an axis has numbers at: the fewer, the more decades there are.
_TICKS = ((1.5, (1.0, 2.0, 5.0)), (3.0, (1.0, 3.0)), (float("inf"), (1.0,)))


def write_picture(path: Path, seen: Shown) -> None:
    """Draw what trials reached, and how it depends on the most important parameters.

    Args:
        path: Of the PNG.
        seen: A study with a completed trial.
    """
    with written_whole(path) as unfinished:
        picture(seen).savefig(unfinished, format="png", dpi=120)


def picture(seen: Shown) -> "Figure":
    """Return it: a row an objective, its history on the left, the most important parameters beside it."""
    from matplotlib.figure import Figure

    objectives = seen.objectives
    columns = 1 + max(len(each.keys[:_KEYS]) for each in objectives)
    figure = Figure(figsize=(1.5 + 4.5 * columns, 0.4 + 3.8 * len(objectives)), layout="constrained")
    figure.suptitle(seen.study.study_name)
    for each, row in zip(objectives, figure.subplots(len(objectives), columns, squeeze=False), strict=True):
        _draw_history(row[0], each)
        for axes, key in zip(row[1:], each.keys, strict=False):
            _draw_against(axes, each, key)
        for axes in row[1 + len(each.keys) :]:
            axes.set_visible(False)
    return figure


def _draw_history(axes: "Axes", objective: Objective) -> None:
    from matplotlib.ticker import MaxNLocator

    good = [trial for trial in objective.done if is_good(trial)]
    best = best_so_far(good, maximize=objective.study.direction == StudyDirection.MAXIMIZE)
    numbers = [trial.number for trial in objective.done]
    axes.scatter(numbers, [trial.values[0] for trial in objective.done], **_COMPLETED, label="completed")
    if last := [(trial.number, value) for trial, value in objective.given_up]:
        axes.scatter(*zip(*last, strict=True), **_GIVEN_UP, label="given up: its last value")
    axes.step([trial.number for trial in good], best, where="post", color="tab:orange", label="best so far")
    axes.set_xlabel("trial")
    axes.set_ylabel(objective.name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=8)
    axes.grid(visible=True, alpha=0.3)


def _draw_against(axes: "Axes", objective: Objective, key: str) -> None:
    done = [(trial, trial.values[0]) for trial in objective.done if key in trial.params]
    left = [(trial, value) for trial, value in objective.given_up if key in trial.params]
    searched: Any = done[-1][0].distributions[key]
    place = _number_axis(axes, searched)
    for pairs, style in ((left, _GIVEN_UP), (done, _COMPLETED)):
        axes.scatter([place(trial.params[key]) for trial, _ in pairs], [value for _, value in pairs], **style)
    axes.set_xlabel(key)
    axes.grid(visible=True, alpha=0.3)


def _number_axis(axes: "Axes", searched: Any) -> Callable[[Any], Any]:
    """Write what a parameter may be at an axis, and return where its values lie there."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    if isinstance(searched, CategoricalDistribution):
        axes.set_xticks(range(len(searched.choices)), [_short(as_text(choice)) for choice in searched.choices])
        return searched.choices.index
    if searched.log:
        decades = math.log10(searched.high / searched.low)
        parts = next(parts for most, parts in _TICKS if decades <= most)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=parts))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
    return lambda value: value


def _short(text: str) -> str:
    text = html.unescape(text).replace("$", r"\$")  # which matplotlib reads as mathematics
    return show.cut(text, _LONGEST)
