"""Pictures of a data set. matplotlib is imported where something is drawn, and needs no display."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from lightune.report import show
from lightune.report.page import COLORS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BARS = 40  # of a histogram, at most
_NEAR = 1.5  # times the range of nearly all values: of all of them, where they are drawn
_LABELS = 40  # that have bars
_PANELS = 12  # labels whose words are drawn
_ACROSS = 4  # panels beside each other
_LONGEST = 36  # characters of a name
_CUT = "black"


def histogram(values: Mapping[str, Sequence[float]], name: str, limit: float | None = None) -> "Figure":
    """Return how values are spread in each split, as shares of the split: splits of any size can be compared.

    Args:
        values: Split → its values.
        name: What they are.
        limit: A value that a line marks, where values come near it: what is above is cut off.
    """
    figure, axes = _axes(9, 4)
    every = np.concatenate([np.asarray(each, dtype=float) for each in values.values()])
    edges = bins(every, limit)
    for color, (split, each) in zip(cycle(COLORS), values.items(), strict=False):
        inside = np.clip(each, edges[0], edges[-1])  # the last bar holds what is further out
        drawn: Any = {"x": inside, "bins": edges, "weights": np.full(len(each), 1 / max(len(each), 1)), "color": color}
        axes.hist(**drawn, histtype="stepfilled", alpha=0.12)
        axes.hist(**drawn, histtype="step", linewidth=1.6, label=f"{split}, {len(each):,}")
    if limit is not None and limit < edges[-1]:
        axes.axvline(limit, color=_CUT, linestyle="--", linewidth=1.2, label=f"cut off above {limit:,g}")
    axes.locator_params(axis="x", integer=_whole(every))
    further = len(every) and every.max() > edges[-1]
    axes.set_xlabel(f"{name}; the last bar holds all up to {every.max():,g}" if further else name)
    axes.set_ylabel("share of the split")
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    return figure


def bins(values: Any, limit: float | None = None) -> Any:
    """Return the edges of a histogram's bars: up to the largest value, or nearly where it is far off; over the limit.

    Args:
        values: Of all splits, as an array.
        limit: That has to be seen where values come near it.
    """
    if not len(values):
        return np.linspace(0, 1, 2)
    low, high = values.min(), np.quantile(values, 0.995)
    if values.max() - low <= _NEAR * (high - low):
        high = values.max()
    if limit is not None and values.max() > limit / 2:
        high = max(high, limit * 1.1)
    if not _whole(values):
        return np.linspace(low, high if high > low else low + 1, _BARS + 1)
    width = max(1, -(-int(high - low + 1) // _BARS))  # of whole numbers as many fall into each bar
    return np.arange(low - 0.5, high + 0.5 + width, width)


def _whole(values: Any) -> bool:
    return bool(np.equal(values, np.round(values)).all())


def balance(counts: Mapping[str, Mapping[str, int]]) -> "Figure":
    """Return the share of each label in each split, the most frequent of the first split on top.

    Args:
        counts: Split → label → how often.
    """
    labels = list(dict.fromkeys(label for each in counts.values() for label, _ in Counter(each).most_common()))
    shown = labels[:_LABELS]
    figure, axes = _axes(9, 1.8 + 0.11 * len(shown) * (len(counts) + 1))
    height = 0.85 / max(len(counts), 1)
    for number, (color, (split, each)) in enumerate(zip(cycle(COLORS), counts.items(), strict=False)):
        whole = sum(each.values())
        shares = [each.get(label, 0) / max(whole, 1) for label in shown]
        places = np.arange(len(shown)) + (number + 0.5) * height - 0.425
        axes.barh(places, shares, height, color=color, label=f"{split}, {whole:,}")
    axes.set_yticks(range(len(shown)), [_cut(label) for label in shown], fontsize=9)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    left_out = len(labels) - len(shown)
    axes.set_xlabel("share of the split's labels" + (f"; {left_out} rarer ones are left out" if left_out else ""))
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    return figure


def words(best: Mapping[str, Sequence[tuple[str, float]]]) -> "Figure":
    """Return a panel a label with the words that tell it from the others, the first labels of many.

    Args:
        best: Label → words and their scores.
    """
    from matplotlib.figure import Figure

    shown = [*best.items()][:_PANELS]
    rows = -(-len(shown) // _ACROSS)
    columns = -(-len(shown) // rows)
    figure = Figure(figsize=(2.9 * columns, 2.3 * rows + 0.4), layout="constrained")
    panels = [*figure.subplots(rows, columns, squeeze=False).flat]
    for axes, (label, scored) in zip(panels, shown, strict=False):
        axes.barh(range(len(scored)), [score for _, score in scored], color=COLORS[0])
        axes.set_yticks(range(len(scored)), [_cut(word) for word, _ in scored], fontsize=8)
        axes.set_ylim(max(map(len, best.values())) - 0.4, -0.6)
        axes.tick_params(axis="x", labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(_cut(label), fontsize=8)
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    left_out = len(best) - len(shown)
    some = f"; {left_out} rarer labels are left out" if left_out else ""
    figure.supxlabel(f"z-score of the log odds against the other labels{some}", fontsize=9)
    return figure


def _axes(width: float, height: float) -> "tuple[Figure, Any]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _cut(name: str) -> str:
    """Return a name that fits, and that matplotlib does not read as a formula."""
    return show.cut(name, _LONGEST).replace("$", r"\$")
