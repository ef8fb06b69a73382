"""Pictures show what the tables say, for few labels and for many, and are written whole."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from lightune.report.pictures import confusion, write_pictures


def _rows(counts: list[list[int]], names: list[str]) -> list[dict[str, Any]]:
    return [
        {"label": name, "predicted": dict(zip(names, line, strict=True))}
        for name, line in zip(names, counts, strict=True)
    ]


def _random(count: int) -> list[dict[str, Any]]:
    counts = np.random.default_rng(0).integers(0, 9, (count, count)).tolist()
    return _rows(counts, [f"label {i} of some length" for i in range(count)])


def test_shades_are_shares_and_numbers_are_counts() -> None:
    figure = confusion(_rows([[3, 1, 0], [0, 2000, 0], [0, 0, 0]], ["a", "b", "c"]))
    axes = figure.axes[0]
    shares = axes.images[0].get_array()
    assert shares is not None
    assert shares.tolist() == [[0.75, 0.25, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]  # nothing is divided by 0
    assert {(text.get_position(), text.get_text()) for text in axes.texts} == {
        ((0, 0), "3"),
        ((1, 0), "1"),
        ((1, 1), "2,000"),
    }
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted label", "true label")


@pytest.mark.parametrize("count", [2, 30, 77, 200])
def test_every_label_keeps_its_place_and_none_covers_its_neighbour(count: int) -> None:
    figure = confusion(_random(count))
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert len(axes.get_yticklabels()) == len(axes.get_xticklabels()) == count
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(not one.overlaps(other) for one, other in pairwise(boxes))
    assert bool(axes.texts) == (count <= 30)


def test_thousands_of_labels_make_no_larger_picture() -> None:
    names = [str(i) for i in range(1500)]
    figure = confusion(_rows(np.eye(1500, dtype=int).tolist(), names))
    assert figure.get_size_inches().max() < 40
    assert len(figure.axes[0].get_yticks()) < 30


def test_long_names_are_cut() -> None:
    figure = confusion(_rows([[1, 0], [0, 1]], ["x" * 90, "y"]))
    name, short = (label.get_text() for label in figure.axes[0].get_yticklabels())
    assert len(name) == 34
    assert (name[-1], short) == ("…", "y")


def test_a_label_may_have_any_name() -> None:
    assert confusion(_rows([[1, 0], [0, 1]], ["label", "predicted"])).axes
    assert confusion(_rows([[1, 0], [0, 1]], ["$x", "{_^"])).axes


def test_files_are_written_whole(tmp_path: Path) -> None:
    write_pictures(tmp_path, "test", {"confusion": _random(5), "per_class": [{"label": "a"}]})
    assert [entry.name for entry in tmp_path.iterdir()] == ["test_confusion.png"]
    height, width, _ = imread(tmp_path / "test_confusion.png").shape
    assert 300 < height < width < 1500
    write_pictures(tmp_path / "none", "test", {"per_class": [{"label": "a"}], "confusion": []})
    assert not (tmp_path / "none").exists()
