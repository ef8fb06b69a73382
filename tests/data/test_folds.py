"""Every row is validated on once, labels keep their shares, groups stay whole, and the seed alone decides."""

from collections import Counter
from collections.abc import Callable, Hashable

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, StratifiedKFold

from lightune.data.folds import fold
from lightune.data.table import Table
from lightune.errors import DataError
from tests.data.test_splits import RARE, ZIPF, _contexts, _ids


def _by(column: str) -> Callable[[Table], list[Hashable]]:
    return lambda table: [row[column] for row in table.rows]


def _labelled(labels: list[Hashable], groups: list[Hashable] | None = None) -> dict[str, Table]:
    rows = [{"id": i, "label": label, "group": (groups or labels)[i]} for i, label in enumerate(labels)]
    part = len(rows) * 4 // 5
    return {
        "train": Table(rows[:part], "train.csv"),
        "val": Table(rows[part:], "val.csv"),
        "test": Table([{"id": 0}], "test.csv"),
    }


@pytest.mark.parametrize("count", [2, 3, 5, 10])
@pytest.mark.parametrize("labels", [ZIPF, RARE, ["a"] * 10, list(range(10))], ids=["zipf", "rare", "one", "all"])
def test_every_row_is_in_one_fold_and_labels_are_dealt_out_evenly(labels: list[Hashable], count: int) -> None:
    tables = _labelled(labels)
    folds = [fold(tables, number, count, 7, stratify=_by("label")) for number in range(1, count + 1)]
    vals = [_ids(each)["val"] for each in folds]
    assert sorted(i for val in vals for i in val) == list(range(len(labels)))
    for each, val in zip(folds, vals, strict=True):
        assert _ids(each)["train"] == [i for i in range(len(labels)) if i not in set(val)]
        assert each["test"] is tables["test"]
    assert max(map(len, vals)) - min(map(len, vals)) <= 1
    for label in set(labels):
        counts = [sum(labels[i] == label for i in val) for val in vals]
        assert max(counts) - min(counts) <= 1


@pytest.mark.filterwarnings("ignore:The least populated class")
@pytest.mark.parametrize("count", [2, 5])
def test_folds_have_the_labels_that_those_of_scikit_learn_have(count: int) -> None:
    theirs = [
        sorted(Counter(np.array(ZIPF)[val].tolist()).values())
        for _, val in StratifiedKFold(count, shuffle=True, random_state=0).split(ZIPF, ZIPF)
    ]
    parts = (fold(_labelled(ZIPF), number + 1, count, 0, stratify=_by("label"))["val"] for number in range(count))
    ours = [sorted(Counter(row["label"] for row in part.rows).values()) for part in parts]
    assert sum(map(sum, ours)) == sum(map(sum, theirs)) == len(ZIPF)
    for mine, other in zip(ours, theirs, strict=True):
        assert len(mine) == len(other)
        assert max(abs(a - b) for a, b in zip(mine, other, strict=True)) <= 1


@pytest.mark.parametrize("count", [2, 5])
def test_groups_stay_in_one_fold_which_are_as_even_as_those_of_scikit_learn(count: int) -> None:
    groups = _contexts(40, 7)
    folds = [
        fold(_labelled([0] * len(groups), groups), i + 1, count, 3, group=_by("group"))["val"] for i in range(count)
    ]
    held = [{row["group"] for row in part.rows} for part in folds]
    assert sum(map(len, held)) == len(set().union(*held)) == 40
    theirs = [len(val) for _, val in GroupKFold(count).split(groups, groups=groups)]
    assert sorted(map(len, folds)) == sorted(theirs)


def test_the_seed_alone_chooses_the_folds() -> None:
    tables = _labelled(ZIPF)
    one, same, other = (_ids(fold(tables, 2, 5, seed, stratify=_by("label")))["val"] for seed in (1, 1, 2))
    assert one == same != other


def test_rows_keep_the_places_they_had_in_their_files() -> None:
    tables = _labelled(["a"] * 10)
    places = {part.locate(n) for part in fold(tables, 1, 2, 0).values() for n in range(len(part))}
    assert {"train.csv, row 8", "val.csv, row 1", "val.csv, row 2"} <= places


def test_more_folds_than_rows_or_groups_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"data\.folds=11: of rows there are 10 in train\.csv, val\.csv\n.*data\.folds=10"
    ):
        fold(_labelled(["a"] * 10), 1, 11, 0)
    with pytest.raises(DataError, match=r"data\.folds=3: of groups of rows that belong together there are 2"):
        fold(_labelled([0] * 10, [i % 2 for i in range(10)]), 1, 3, 0, group=_by("group"))
