"""Figures of a study: those of Optuna, with readable names, and small enough for a page where trials are many.

plotly is imported where one is drawn; each of these raises a ValueError that says why there is nothing to draw.
"""

import html
import textwrap
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import optuna
from optuna import visualization  # which imports itself where it is used

from lightune.report.page import Drawing
from lightune.sweep.shown import COLORS, FEW, Objective, Shown, kept, spread

if TYPE_CHECKING:
    from plotly.graph_objects import Figure
    from plotly.graph_objects.layout import XAxis, YAxis

_WIDEST = 22  # characters of an axis's name in one line
_LONGEST = 14  # characters of a value beside an axis
_KEYS = 10  # parameters of one section
_PAIRED = 3  # parameters of which every two have a contour
_SHADE = "#e6ebf0"
_LINES = 250  # trials with a line or a row and a column of their own

Draw = Callable[[Shown], list[Drawing]]


def wrapped(name: str) -> str:
    """Return a long key in several lines, broken behind its dots."""
    lines = textwrap.wrap(name.replace(".", ". "), _WIDEST, break_long_words=False, break_on_hyphens=False)
    return "<br>".join(lines).replace(". ", ".")


def _cut(text: str) -> str:
    plain = html.unescape(text)
    return text if len(plain) <= _LONGEST else f"{html.escape(plain[: _LONGEST - 1])}…"


def _cut_choices(axis: "XAxis | YAxis", choices: Sequence[str]) -> None:
    if choices:
        axis.update(tickvals=choices, ticktext=[_cut(choice) for choice in choices])


def _finished(figure: "Figure", height: int = 380, width: int = 0) -> Drawing:
    """Leave the title to the page, and let long names of axes take several lines."""
    figure.update_layout(title=None, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    for axis in (*figure.select_xaxes(), *figure.select_yaxes()):
        axis.title.text = wrapped(axis.title.text or "")
    return Drawing(figure, height, width)


def _need(fulfilled: object, reason: str) -> None:
    if not fulfilled:
        raise ValueError(reason)


def _need_values(seen: Shown, trials: int = 2, keys: int = 0) -> None:
    _need(
        len(seen.objectives[0].done) >= trials,
        f"fewer than {trials} trials were completed" if trials > 1 else "no trial was completed",
    )
    varied = min(len(each.keys) for each in seen.objectives)
    _need(varied >= keys, f"completed trials differ in fewer than {keys} parameters")


def history(seen: Shown) -> list[Drawing]:
    """Return each objective by the number of the trial, and the best so far."""
    _need_values(seen, trials=1)
    plot = visualization.plot_optimization_history
    figures = [plot(each.study, target_name=each.name) for each in seen.objectives]
    for figure in figures:
        figure.update_traces(line_shape="hv", name="best so far", selector={"mode": "lines"})
        figure.update_layout(xaxis_title="trial")
    return [_finished(figure) for figure in figures]


def front(seen: Shown) -> list[Drawing]:
    """Return the objectives against each other."""
    _need_values(seen, trials=1)
    _need(len(seen.objectives) < 4, "there are more than three objectives")
    names = [each.name for each in seen.objectives]
    figure = visualization.plot_pareto_front(seen.copy, target_names=names)
    return [_finished(figure.update_traces(marker_showscale=False), height=480)]


def intermediate_values(seen: Shown) -> list[Drawing]:
    """Return what each trial reported on its way."""
    states = {f"Trial{trial.number}": trial.state.name for trial in seen.trials if trial.intermediate_values}
    _need(states, "no trial reported values on its way")
    figure = visualization.plot_intermediate_values(seen.copy)
    figure.data = spread(figure.data, _LINES)
    named: set[str] = set()  # states that have a line in the legend
    for line in figure.data:
        state = states[line.name]
        line.update(line={"color": COLORS[state], "width": 1.3}, opacity=0.7, showlegend=state not in named)
        line.update(hovertemplate=f"{line.name}: %{{y}} at step %{{x}}<extra></extra>")
        line.update(name=state.lower(), legendgroup=state)
        named.add(state)
    figure.update_layout(showlegend=True, xaxis_title="optimiser step", yaxis_title=seen.objectives[0].name)
    return [_finished(figure, height=460)]


def importance(seen: Shown) -> list[Drawing]:
    """Return how much each parameter matters."""
    _need_values(seen, trials=FEW, keys=1)
    return [_importance(each) for each in seen.objectives]


def _importance(objective: Objective) -> Drawing:
    """Optuna's picture copies the whole study for each bar."""
    from plotly.graph_objects import Bar, Figure

    found = dict(reversed([*objective.importances.items()][:_KEYS]))  # the first is on top
    labels = {"text": [f"{value:.2f}" for value in found.values()], "textposition": "outside", "cliponaxis": False}
    bars = Bar(x=[*found.values()], y=[wrapped(key) for key in found], orientation="h", **labels)
    figure = Figure(bars, {"xaxis_title": f"importance for {objective.name}"})
    figure.update_xaxes(range=[0, 1.15 * max(found.values(), default=1) or 1])  # with room for the number behind a bar
    return _finished(figure, height=110 + 44 * len(found))


def slices(seen: Shown) -> list[Drawing]:
    """Return each objective against each parameter."""
    _need_values(seen, keys=1)
    return [_slice(each, key) for each in seen.objectives for key in each.keys[:_KEYS]]


def _slice(objective: Objective, key: str) -> Drawing:
    figure = visualization.plot_slice(objective.study, [key], target_name=objective.name)
    figure.update_traces(marker_showscale=False)
    _cut_choices(figure.layout.xaxis, figure.layout.xaxis.categoryarray or ())
    return _finished(figure, height=330)


def contours(seen: Shown) -> list[Drawing]:
    """Return each objective over pairs of the most important parameters."""
    _need_values(seen, keys=2)
    views = [(each, kept(each.study, [0], spread(each.done, _LINES))) for each in seen.objectives]
    return [_contour(each, view, pair) for each, view in views for pair in combinations(each.keys[:_PAIRED], 2)]


def _contour(objective: Objective, view: optuna.Study, pair: Sequence[str]) -> Drawing:
    figure = visualization.plot_contour(view, list(pair), target_name=objective.name)
    for axis, values in ((figure.layout.xaxis, figure.data[0].x), (figure.layout.yaxis, figure.data[0].y)):
        if axis.type == "category":
            _cut_choices(axis, values)
    return _finished(figure, height=420)


def parallel_coordinates(seen: Shown) -> list[Drawing]:
    """Return a line for each trial through its values of all parameters."""
    _need_values(seen, keys=1)
    return [_parallel(each) for each in seen.objectives]


def _parallel(objective: Objective) -> Drawing:
    keys = sorted(objective.keys[:_KEYS])  # Optuna's order
    view = kept(objective.study, [0], spread(objective.done, _LINES))
    figure = visualization.plot_parallel_coordinate(view, keys, target_name=objective.name)
    figure.update_layout(plot_bgcolor=_SHADE)  # on white the worst would not be seen
    figure.update_traces(marker_showscale=False, selector={"mode": "markers"})  # the first axis is one
    figure.for_each_annotation(lambda tick: tick.update(text=_cut(tick.text), font_color=None))
    figure.update_xaxes(ticktext=[wrapped(name) for name in (objective.name, *keys)])
    return _finished(figure, height=460, width=130 * (len(keys) + 1))


def distribution(seen: Shown) -> list[Drawing]:
    """Return which part of the trials is below each value."""
    _need_values(seen)
    figures = [(each, visualization.plot_edf(each.study, target_name=each.name)) for each in seen.objectives]
    for each, figure in figures:
        figure.update_layout(showlegend=False, xaxis_title=each.name, yaxis_title="share of trials")
    return [_finished(figure, height=330) for _, figure in figures]


def timeline(seen: Shown) -> list[Drawing]:
    """Return when each trial ran, and how it ended."""
    _need(seen.trials, "there is no trial")
    figure = visualization.plot_timeline(seen.copy)
    for bars in figure.data:
        bars.update(marker_color=COLORS[bars.name], name=bars.name.lower())
    figure.update_layout(xaxis_title=None, yaxis_title="trial")
    return [_finished(figure, height=min(200 + 12 * len(seen.trials), 900))]
