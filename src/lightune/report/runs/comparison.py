"""What the systems of a test set reach, and which differences are more than chance."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from lightune.objective import metric_mode
from lightune.report.page import Cell, Drawing, Section, Table
from lightune.report.runs.cells import number, plain
from lightune.report.runs.measures import Measure, Numbers, measure, together
from lightune.report.runs.systems import System
from lightune.report.runs.tested import Tested
from lightune.statistics.effects import cohens_d, cohens_h
from lightune.statistics.intervals import Interval, mean_interval
from lightune.statistics.multiple import holm
from lightune.statistics.paired import RESAMPLES, bootstrap, compared, mcnemar, randomisation_test

MOST = 10  # systems of which every two are compared


@dataclass(frozen=True)
class Measured:
    """A system and its metric as a function of examples.

    Args:
        system: The system.
        measures: Of each of its runs.
        draws: Their mean on resampled examples, the same ones for all systems of a test set, ``(resamples,)``.
    """

    system: System
    measures: Sequence[Measure]
    draws: Numbers

    @property
    def value(self) -> float:
        """Mean of its runs."""
        return float(np.mean([each.value for each in self.measures]))

    @property
    def scores(self) -> Numbers | None:
        """Mean score of each example, where the metric is a mean of scores."""
        scores = [each.scores for each in self.measures if each.scores is not None]
        return np.mean(scores, axis=0) if scores else None


@dataclass(frozen=True)
class Pair:
    """Two systems, compared.

    Args:
        better: The one with the better metric.
        other: The other.
        difference: Of their metrics.
        low: Lower bound of its 95 % interval.
        high: Upper bound.
        p: How likely so large a difference is if there is none.
        test: What the p-value is from.
        effect: How large the difference is.
    """

    better: System
    other: System
    difference: float
    low: float
    high: float
    p: float
    test: str
    effect: str


def intervals(system: System, metric: str) -> Interval | None:
    """Return a test metric over a system's seeds, or its folds."""
    values = system.draws(f"test/{metric}")
    return mean_interval(values) if values else None


def ranked(systems: Sequence[System], metric: str) -> list[System]:
    """Return the systems that have a test metric, the best first."""
    having = [(found.value, system) for system in systems if (found := intervals(system, metric))]
    return [system for _, system in sorted(having, key=lambda pair: pair[0], reverse=metric_mode(metric) == "max")]


def measured(systems: Sequence[System], metric: str) -> list[Measured]:
    """Return the best systems of which each run's predictions give its own number of a metric."""
    found = ((system, [measure(run, metric) for run in system.runs]) for system in ranked(systems, metric))
    whole = [(system, [each for each in parts if each]) for system, parts in found if all(parts)][:MOST]
    every = [each for _, parts in whole for each in parts]
    if not every:
        return []
    draws = bootstrap(together(every), len(every[0].counts))
    ends = np.cumsum([len(parts) for _, parts in whole])
    of_systems = np.split(draws, ends[:-1], axis=1)
    return [Measured(*each, drawn.mean(1)) for each, drawn in zip(whole, of_systems, strict=True)]


def pairs(found: Sequence[Measured]) -> list[Pair]:
    """Return every two systems, the better one first."""
    return [_pair(better, other) for better, other in combinations(found, 2)]


def _pair(better: Measured, other: Measured) -> Pair:
    drawn = compared(better.value - other.value, better.draws - other.draws)
    p, test, effect = drawn.p, "bootstrap", ""
    ours, theirs = better.scores, other.scores
    if ours is not None and theirs is not None:
        p, test, effect = randomisation_test(ours - theirs), "randomisation", f"d = {cohens_d(ours - theirs):.2f}"
        if _is_right_or_wrong(ours) and _is_right_or_wrong(theirs):
            p, test, effect = mcnemar(ours, theirs), "McNemar", f"h = {cohens_h(ours.mean(), theirs.mean()):.2f}"
    return Pair(better.system, other.system, drawn.difference, drawn.low, drawn.high, p, test, effect)


def _is_right_or_wrong(scores: Numbers) -> bool:
    return bool(np.isin(scores, (0, 1)).all())


def sections(tested: Tested) -> Iterator[Section]:
    """Yield what there is to say of a test set: each system's metrics, and every two systems' difference."""
    text = (
        f"Metrics of the best checkpoints on {tested.examples:,} test examples: the mean of runs that differ in their "
        "seed or fold alone, ± half of its 95 % interval (Student's t), which is what other seeds may change."
    )
    metric = tested.headline[0]
    runs = sum(len(system.runs) for system in tested.systems)
    drawings = [_intervals(tested, name) for name in tested.headline] if runs > 1 else []
    yield Section(f"Results: {tested.title}", text, drawings=drawings, table=_results(tested))
    if len(tested.systems) > 1:
        yield _differences(tested, metric)


def _results(tested: Tested) -> Table:
    metrics = tested.headline
    rows = [
        [plain(system.label), number(len(system.runs)), plain(system.seeds), *(_over_seeds(system, m) for m in metrics)]
        for system in ranked(tested.systems, metrics[0])
    ]
    return Table(["system", "runs", "seeds", *(f"test/{metric}" for metric in metrics)], rows)


def _over_seeds(system: System, metric: str) -> Cell:
    found = intervals(system, metric)
    return Cell(interval_text(found), found.value) if found else plain("")


def interval_text(found: Interval) -> str:
    """Return ``mean ± margin``, or the mean alone of a single run."""
    return f"{found.value:.4f}" if math.isnan(found.low) else f"{found.value:.4f} ± {found.margin:.4f}"


def _intervals(tested: Tested, metric: str) -> Drawing:
    from plotly.graph_objects import Figure, Scatter

    best_on_top = ranked(tested.systems, metric)[::-1]
    figure = Figure(layout={"xaxis_title": f"test/{metric}", "showlegend": False})
    for system in best_on_top:
        found, values = intervals(system, metric), system.values(f"test/{metric}")
        assert found is not None
        place = [system.marked]
        bar = {"type": "data", "array": [0 if math.isnan(found.low) else found.margin]}
        figure.add_trace(
            Scatter(x=[found.value], y=place, error_x=bar, mode="markers", marker={"size": 10, "color": system.color})
        )
        figure.add_trace(
            Scatter(
                x=values,
                y=place * len(values),
                mode="markers",
                opacity=0.5,
                marker={"symbol": "line-ns-open", "color": system.color},
            )
        )
    figure.update_traces(hovertemplate="%{y}: %{x:.4f}<extra></extra>")
    return Drawing(figure, height=110 + 34 * len(best_on_top))


def _differences(tested: Tested, metric: str) -> Section:
    title = f"Comparison: {tested.title}"
    found = measured(tested.systems, metric)
    if len(found) < 2:
        return Section(title, f"Left out: test/{metric} cannot be had again from the predictions of two systems.")
    every = pairs(found)
    left = len(tested.systems) - len(found)
    text = (
        f"Every two systems{f', {left} others aside,' if left else ''} by test/{metric} of the same examples, and "
        f"whether another test set might say otherwise: {RESAMPLES:,} bootstrap resamples; where examples have scores, "
        "McNemar's test or random signs. Seeds are averaged, not resampled. Of several p-values those after Holm's "
        "correction may be held against 5 %."
    )
    columns = ["better", "other", "difference", "95 % interval", "p", "p (Holm)", "test", "effect"]
    adjusted = holm([pair.p for pair in every])
    rows = [_row(pair, p) for pair, p in zip(every, adjusted, strict=True)]
    width = len(columns) if any(pair.effect for pair in every) else -1
    return Section(title, text, table=Table(columns[:width], [row[:width] for row in rows]))


def _row(pair: Pair, adjusted: float) -> list[Cell]:
    return [
        plain(pair.better.label),
        plain(pair.other.label),
        Cell(f"{pair.difference:+.4f}", pair.difference),
        Cell(f"{pair.low:+.4f} … {pair.high:+.4f}", pair.low),
        Cell(f"{pair.p:.4f}", pair.p),
        Cell(f"{adjusted:.4f}", adjusted),
        plain(pair.test),
        plain(pair.effect),
    ]
