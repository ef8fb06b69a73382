"""Pictures of a split's finer tables. matplotlib is imported where something is drawn, and needs no display."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lightune.report import show
from lightune.report.artefacts import written_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, Any]]

_COSTS = {
    "params/trainable": "trained parameters",
    "time/train_s": "seconds of training",
    "memory/peak_rss_mb": "peak memory, MiB",
}
_NUMBERED = 30  # labels up to which each cell holds its count
_NAMED = 200  # labels up to which each has its name beside its line
_LONGEST = 34  # characters of a name
_FEW = 10  # methods whose points hardly lie together
_NUMBER = (0.035, 0.03)  # what a point's number takes of a panel's width and height


def write_pictures(folder: Path, split: str, tables: Mapping[str, Rows]) -> None:
    """Draw what can be drawn of a split's tables, such as ``test_confusion.png``.

    Args:
        folder: Where they go.
        split: Its name begins the names of the files.
        tables: Name → rows, as the task returns them.
    """
    for name, draw in DRAWN.items():
        if tables.get(name):
            with written_whole(folder / f"{split}_{name}.png") as unfinished:
                draw(tables[name]).savefig(unfinished, format="png", dpi=120)


def write_comparison(path: Path, points: Rows, metric: str) -> None:
    """Draw the quality of methods against what each costs.

    Args:
        path: Of the PNG.
        points: One a method: its ``name``, ``test/<metric>``, and each of its costs.
        metric: On the vertical axis.
    """
    with written_whole(path) as unfinished:
        comparison(points, metric).savefig(unfinished, format="png", dpi=120)


def comparison(points: Rows, metric: str) -> "Figure":
    """Return the picture: a panel a cost, a numbered point a method, best first, and their names beside.

    Where points lie so close that their numbers would cover each other, the best one's number stands with how many more
    are there: ``3 +12``.
    """
    from matplotlib.figure import Figure

    ranked = sorted(points, key=lambda point: -point[f"test/{metric}"])
    figure = Figure(figsize=(11, 4.2 * len(_COSTS)), layout="constrained")
    parts: Any = figure.subfigures(1, 2, width_ratios=[4, 1])
    panels, names = parts
    for axes, (cost, label) in zip(panels.subplots(len(_COSTS), squeeze=False).flat, _COSTS.items(), strict=True):
        across, up = [point[cost] for point in ranked], [point[f"test/{metric}"] for point in ranked]
        axes.scatter(across, up, s=14)
        if min(across) > 0 and max(across) > 10 * min(across):
            axes.set_xscale("log")
        _number_points(axes, [*zip(across, up, strict=True)])
        axes.set_xlabel(label)
        axes.set_ylabel(f"{metric} on test")
        axes.grid(visible=True, alpha=0.3)
    lines = [f"{i:2d} {point[f'test/{metric}']:.3f} {point['name']}" for i, point in enumerate(ranked, start=1)]
    lines += ["", "+2: two more lie there"] if len(ranked) > _FEW else []
    names.text(0.02, 0.98, "\n".join(lines), va="top", family="monospace", fontsize=8)
    return figure


def _number_points(axes: "Axes", points: Sequence[tuple[float, float]]) -> None:
    """Write each point's place in the ranking beside it, once for those that lie together."""
    axes.autoscale_view()
    places = axes.transAxes.inverted().transform(axes.transData.transform(points))
    together: dict[int, int] = {}  # point with a number → further points at its place
    for point, place in enumerate(places):
        near = [other for other in together if all(abs(place - places[other]) < _NUMBER)]
        together.update({near[0]: together[near[0]] + 1} if near else {point: 0})
    for point, others in together.items():
        text = f"{point + 1} +{others}" if others else str(point + 1)
        axes.annotate(text, points[point], xytext=(2, 2), textcoords="offset points", fontsize=7)


def confusion(rows: Rows) -> "Figure":
    """Return the picture of a confusion matrix: one line a true label, one column a predicted one.

    A cell's shade is its share of the line, so that rare labels show as well as frequent ones, and grows with the
    root of the share, so that few mistakes among many right answers show too. Its number, where there is room for
    numbers, is the count.

    Args:
        rows: One a true label: ``label``, and ``predicted``, the count of each label that was predicted for it.
    """
    import numpy as np
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    labels = [str(row["label"]) for row in rows]
    counts = np.array([list(row["predicted"].values()) for row in rows])
    shares = counts / counts.sum(1, keepdims=True).clip(min=1)
    size = _inches(len(labels))
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
    axes.set_xlabel("predicted label")
    axes.set_ylabel("true label")
    if len(labels) <= _NAMED:
        _name_lines(axes, labels)
    if len(labels) <= _NUMBERED:
        _number_cells(axes, counts.tolist(), shares.tolist())
    figure.colorbar(image, ax=axes, label="share of the true label's examples", shrink=0.8)
    return figure


def _inches(labels: int) -> float:
    """Return the height of a matrix with room for its names."""
    line = 0.42 if labels <= _NUMBERED else 0.17
    return 2.5 + max(line * min(labels, _NAMED), 2.5)


def _name_lines(axes: "Axes", labels: Sequence[str]) -> None:
    names = [show.cut(label, _LONGEST) for label in labels]
    small = 9 if len(labels) <= _NUMBERED else 6
    axes.set_xticks(range(len(labels)), names, rotation=90, fontsize=small)
    axes.set_yticks(range(len(labels)), names, fontsize=small)


def _number_cells(axes: "Axes", counts: Sequence[Sequence[int]], shares: Sequence[Sequence[float]]) -> None:
    for line, (numbers, shades) in enumerate(zip(counts, shares, strict=True)):
        for column, (number, shade) in enumerate(zip(numbers, shades, strict=True)):
            if number:  # empty cells are the picture's ground
                color = "white" if shade > 0.3 else "black"
                axes.text(column, line, f"{number:,}", ha="center", va="center", color=color, fontsize=8)


def calibration(rows: Rows) -> "Figure":
    """Return the reliability diagram: how often what is predicted with some confidence is right.

    Bars that end at the diagonal say what is true; below it the model is too sure of itself. The darker a bar, the more
    examples.

    Args:
        rows: Of `lightune.metrics.calibration.calibration_table`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot()
    most = max((row["examples"] for row in rows), default=1)
    for row in rows:
        shade, width = 0.25 + 0.75 * row["examples"] / most, row["to"] - row["from"]
        axes.bar(row["from"], row["accuracy"], width, align="edge", color="tab:blue", alpha=shade, edgecolor="white")
    axes.plot([row["confidence"] for row in rows], [row["accuracy"] for row in rows], "o", color="black", markersize=3)
    axes.plot([0, 1], [0, 1], "--", color="gray", linewidth=1)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share of right predictions", aspect="equal")
    return figure


DRAWN: Mapping[str, Callable[[Rows], "Figure"]] = MappingProxyType({"confusion": confusion, "calibration": calibration})
