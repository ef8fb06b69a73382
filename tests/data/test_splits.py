"""Every row lands in one split, labels keep their shares, groups stay whole, and the seed alone decides."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any

import pytest

from lightune.data.splits import FRACTIONS, complete, cut
from lightune.data.table import Table
from lightune.errors import ConfigError, DataError, UserError

HALVES = {"train": 0.5, "val": 0.5}
THIRDS = {"train": 1 / 3, "val": 1 / 3, "test": 1 / 3}
SMALL_TRAIN = {"train": 0.2, "val": 0.3, "test": 0.5}
# Zipf's law: 240 rows of label 0, 120 of label 1, … 8 of label 29; then labels of one and of two rows
ZIPF: list[Hashable] = [label for label in range(30) for _ in range(240 // (label + 1))]
RARE: list[Hashable] = [*ZIPF, *(f"once {i}" for i in range(25)), *(f"twice {i // 2}" for i in range(30))]


def _table(size: int) -> Table:
    return Table([{"id": i} for i in range(size)], "a.csv", lines=list(range(2, size + 2)))


def _ids(tables: Mapping[str, Table]) -> dict[str, list[int]]:
    return {name: [row["id"] for row in table.rows] for name, table in tables.items()}


def _sizes(tables: Mapping[str, Table]) -> dict[str, int]:
    return {name: len(table) for name, table in tables.items()}


def _contexts(count: int, largest: int) -> list[Hashable]:
    """Give groups of 1 to `largest` rows, interleaved."""
    sizes = [1 + (group * 7) % largest for group in range(count)]
    return [group for turn in range(largest) for group, size in enumerate(sizes) if turn < size]


@pytest.mark.parametrize("seed", [0, 1, 42])
@pytest.mark.parametrize("fractions", [FRACTIONS, HALVES, THIRDS, SMALL_TRAIN, {"all": 1.0}])
@pytest.mark.parametrize(
    ("size", "stratify", "group"),
    [
        (3, None, None),
        (10, None, None),
        (1009, None, None),
        (len(ZIPF), ZIPF, None),
        (len(RARE), RARE, None),
        (40, list(range(40)), None),
        (len(_contexts(50, 6)), None, _contexts(50, 6)),
        (len(ZIPF), ZIPF, [i // 4 for i in range(len(ZIPF))]),
        (len(ZIPF), ZIPF, [i % 97 for i in range(len(ZIPF))]),
    ],
)
def test_every_row_lands_in_one_split_in_its_old_order(
    size: int,
    stratify: list[Hashable] | None,
    group: list[Hashable] | None,
    fractions: Mapping[str, float],
    seed: int,
) -> None:
    tables = cut(_table(size), fractions, seed, stratify, group)
    ids = _ids(tables)
    assert list(ids) == list(fractions)
    assert sorted(i for part in ids.values() for i in part) == list(range(size))
    assert all(part == sorted(part) and part for part in ids.values())
    # Row i stands in line i + 2.
    assert all(t.locate(n) == f"a.csv, line {row['id'] + 2}" for t in tables.values() for n, row in enumerate(t.rows))


@pytest.mark.parametrize(
    ("size", "fractions", "expected"),
    [
        (100, FRACTIONS, {"train": 80, "val": 10, "test": 10}),
        (7, HALVES, {"train": 4, "val": 3}),
        (10, THIRDS, {"train": 4, "val": 3, "test": 3}),
        # 9 x 0.2, 0.3, 0.5 = 1.8, 2.7, 4.5: the two largest remainders round up
        (9, SMALL_TRAIN, {"train": 2, "val": 3, "test": 4}),
        # 4 x 0.8, 0.1, 0.1 = 3.2, 0.4, 0.4 gives 3, 1, 0; nothing stays empty
        (4, FRACTIONS, {"train": 2, "val": 1, "test": 1}),
        (3, FRACTIONS, {"train": 1, "val": 1, "test": 1}),
        # 0.29 x 100 is 28.999999999999996 in floating point
        (100, {"train": 0.29, "val": 0.71}, {"train": 29, "val": 71}),
    ],
)
def test_sizes_by_largest_remainder(size: int, fractions: dict[str, float], expected: dict[str, int]) -> None:
    assert _sizes(cut(_table(size), fractions, seed=3)) == expected


@pytest.mark.parametrize("fractions", [FRACTIONS, HALVES, THIRDS, SMALL_TRAIN])
@pytest.mark.parametrize("labels", [ZIPF, ["a", "b", "c", "d"] * 30, [i % 40 for i in range(200)]])
def test_labels_keep_their_shares(labels: list[Hashable], fractions: Mapping[str, float]) -> None:
    tables = cut(_table(len(labels)), fractions, seed=0, stratify=labels)
    counts = {name: Counter(labels[i] for i in ids) for name, ids in _ids(tables).items()}
    for label, size in Counter(labels).items():
        for name, share in fractions.items():
            assert abs(counts[name][label] - size * share) < 1, (label, name)
    # What rounding takes from a split with one label it gives back with another.
    for name, share in fractions.items():
        assert abs(len(tables[name]) - len(labels) * share) <= 1, name


def test_no_label_is_unknown_to_train() -> None:
    ids = _ids(cut(_table(len(RARE)), FRACTIONS, seed=0, stratify=RARE))
    labels = {name: {RARE[i] for i in part} for name, part in ids.items()}
    assert labels["val"] | labels["test"] <= labels["train"]
    assert not {label for label in labels["val"] | labels["test"] if str(label).startswith("once")}


def test_rare_labels_do_not_bend_the_shares_of_others() -> None:
    # In floating point 0.7 + 0.2 + 0.1 is not 1, and 0.7 x 100 is no whole number.
    labels: list[Hashable] = [*["many"] * 100, *(f"once {i}" for i in range(20))]
    ids = _ids(cut(_table(120), {"train": 0.7, "val": 0.2, "test": 0.1}, seed=0, stratify=labels))
    assert {name: sum(i < 100 for i in part) for name, part in ids.items()} == {"train": 70, "val": 20, "test": 10}


def test_frequent_labels_make_up_for_rare_ones() -> None:
    # The single row gives train what val is owed: half a row. Of 3 = 1.5 + 1.5 val gets two, wherever they stand.
    labels: list[Hashable] = ["many", "once", "many", "many"]
    for order in (labels, labels[::-1], sorted(labels, key=str)):
        for seed in range(5):
            assert _sizes(cut(_table(4), HALVES, seed, stratify=order)) == {"train": 2, "val": 2}


@pytest.mark.parametrize("first", ["train", "val", "test"])
def test_train_comes_first_wherever_it_is_named(first: str) -> None:
    shares = {first: SMALL_TRAIN[first]} | SMALL_TRAIN
    labels: list[Hashable] = ["once", *["many"] * 19]
    assert 0 in _ids(cut(_table(20), shares, seed=5, stratify=labels))["train"]


@pytest.mark.parametrize("stratify", [None, [i % 3 for i in range(1000)]])
@pytest.mark.parametrize("largest", [1, 5, 40])
def test_groups_stay_whole_and_fill_the_splits(largest: int, stratify: list[Hashable] | None) -> None:
    groups = _contexts(120, largest)
    labels = stratify[: len(groups)] if stratify and len(groups) <= 1000 else None
    ids = _ids(cut(_table(len(groups)), FRACTIONS, seed=1, stratify=labels, group=groups))
    seen = {name: {groups[i] for i in part} for name, part in ids.items()}
    assert sum(map(len, seen.values())) == len(set(groups))
    for name, share in FRACTIONS.items():
        assert abs(len(ids[name]) - share * len(groups)) <= max(Counter(groups).values()), name


def test_groups_of_one_label_each_keep_its_share() -> None:
    labels: list[Hashable] = [label for label, groups in (("a", 200), ("b", 60), ("c", 20)) for _ in range(5 * groups)]
    ids = _ids(cut(_table(1400), FRACTIONS, 0, stratify=labels, group=[i // 5 for i in range(1400)]))
    counts = {name: Counter(labels[i] for i in part) for name, part in ids.items()}
    for label, size in Counter(labels).items():
        for name, share in FRACTIONS.items():
            assert abs(counts[name][label] - share * size) <= 5, (label, name)


@pytest.mark.parametrize("seed", range(8))
def test_one_huge_group_goes_to_train(seed: int) -> None:
    ids = _ids(cut(_table(50), FRACTIONS, seed, group=[0] * 35 + list(range(1, 16))))
    assert set(range(35)) <= set(ids["train"])


@pytest.mark.parametrize("seed", range(4))
def test_groups_are_dealt_to_whom_most_is_owed(seed: int) -> None:
    # Quotas of 36, 4.5 and 4.5 rows: eleven groups of three for train, then one each, then 0, 1.5 and 1.5 are owed.
    sizes = _sizes(cut(_table(45), FRACTIONS, seed, group=[i // 3 for i in range(45)]))
    assert sizes == {"train": 36, "val": 6, "test": 3}


def test_small_labels_do_not_starve_a_split_of_groups() -> None:
    # 50 labels of two groups of two rows: by each label alone, train would take every group.
    labels: list[Hashable] = [i // 4 for i in range(200)]
    ids = _ids(cut(_table(200), FRACTIONS, 0, stratify=labels, group=[i // 2 for i in range(200)]))
    assert [len(part) for part in ids.values()] == [160, 20, 20]
    assert {labels[i] for i in ids["train"]} == set(labels)


@pytest.mark.parametrize("seed", range(6))
def test_a_label_with_one_group_goes_to_train(seed: int) -> None:
    labels: list[Hashable] = ["rare", "rare", *["many"] * 28]
    ids = _ids(cut(_table(30), {"val": 0.5, "train": 0.5}, seed, labels, group=[i // 2 for i in range(30)]))
    assert {0, 1} <= set(ids["train"])


@pytest.mark.parametrize("seed", range(6))
def test_mixed_groups_count_as_their_commonest_label(seed: int) -> None:
    labels: list[Hashable] = ["a" if i % 3 and i < 30 else "b" for i in range(60)]
    ids = _ids(cut(_table(60), HALVES, seed, labels, group=[i // 3 for i in range(60)]))
    assert {name: sum(i < 30 for i in part) for name, part in ids.items()} == {"train": 15, "val": 15}


@pytest.mark.parametrize("seed", range(6))
def test_an_empty_split_gets_the_smallest_group(seed: int) -> None:
    groups: list[Hashable] = [*[0] * 40, *[1] * 30, *[2] * 4, *[3] * 20]
    ids = _ids(cut(_table(94), {"train": 0.99, "val": 0.01}, seed, group=groups))
    assert ids["val"] == [70, 71, 72, 73]


def test_the_seed_decides_and_nothing_else() -> None:
    first = _ids(cut(_table(500), FRACTIONS, seed=7))
    assert first == _ids(cut(_table(500), FRACTIONS, seed=7))
    other = _ids(cut(_table(500), FRACTIONS, seed=8))
    # Two random tenths of 500 rows share 5 rows on average.
    assert len(set(first["test"]) & set(other["test"])) < 20
    # Neither end of the file is preferred: the mean position of 50 random rows is 250 +- 20 (one deviation).
    assert 170 < sum(first["test"]) / 50 < 330


def test_a_known_cut_stays_what_it_was() -> None:
    """Whoever changes this changes the data that published numbers stand on."""
    assert _ids(cut(_table(20), FRACTIONS, seed=0)) == {
        "train": [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 18],
        "val": [15, 17],
        "test": [3, 19],
    }


def test_hash_randomisation_has_no_say() -> None:
    code = (
        "from lightune.data.splits import cut, FRACTIONS\n"
        "from lightune.data.table import Table\n"
        "labels = ['word %d' % (i * i % 11) for i in range(99)]\n"
        "table = Table([{'id': i} for i in range(99)], 'a')\n"
        "for group in (None, labels[::-1]):\n"
        "    for part in cut(table, FRACTIONS, 3, labels, group).values(): print(part.rows)\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for salt in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert runs[0].count("'id'") == 2 * 99


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"train": 90}, {"train": 72, "val": 9, "test": 9}),
        ({"train": 90, "test": 5}, {"train": 80, "val": 10, "test": 5}),
        ({"train": 90, "val": 5}, {"train": 80, "val": 5, "test": 10}),
        ({"test": 5, "val": 6, "train": 7}, {"train": 7, "val": 6, "test": 5}),
    ],
)
def test_missing_splits_are_cut_from_train(given: dict[str, int], expected: dict[str, int]) -> None:
    tables = {name: _table(size) for name, size in given.items()}
    completed = complete(tables, seed=0)
    assert list(completed) == ["train", "val", "test"]
    assert _sizes(completed) == expected
    for name in given.keys() - {"train"}:
        assert completed[name] is tables[name]
    own = [row["id"] for name in {"train", "val", "test"} - (given.keys() - {"train"}) for row in completed[name].rows]
    assert sorted(own) == list(range(given["train"]))


@pytest.mark.parametrize("need", [["train"], ["val"], ["test"], ["train", "val", "test"]])
def test_what_is_needed_does_not_change_what_is_cut(need: list[str]) -> None:
    assert _ids(complete({"train": _table(50)}, seed=0, need=need)) == _ids(complete({"train": _table(50)}, seed=0))


def test_what_is_not_needed_may_be_absent() -> None:
    assert _sizes(complete({"test": _table(4)}, seed=0, need=["test"])) == {"test": 4}
    assert _sizes(complete({"train": _table(10)}, 0, {"train": 0.9, "val": 0.1}, need=["train", "val"])) == {
        "train": 9,
        "val": 1,
    }


def test_labels_and_groups_are_taken_from_train() -> None:
    table = Table([{"label": i % 4, "context": i // 3} for i in range(120)], "a.jsonl")
    by_label = complete({"train": table}, seed=0, stratify=lambda t: [row["label"] for row in t.rows])
    assert [Counter(row["label"] for row in by_label["val"].rows)[label] for label in range(4)] == [3, 3, 3, 3]
    grouped = complete({"train": table}, seed=0, group=lambda t: [row["context"] for row in t.rows])
    contexts = [{row["context"] for row in part.rows} for part in grouped.values()]
    assert sum(map(len, contexts)) == 40
    none = complete({"train": table}, seed=0, stratify=lambda t: None, group=lambda t: None)
    assert none["val"].rows == cut(table, FRACTIONS, 0)["val"].rows


@pytest.mark.parametrize(
    ("arguments", "kind", "expected"),
    [
        ({"tables": {"train": 2}}, DataError, ["a.csv has 2 rows", "at least 3", "data.val=…"]),
        ({"tables": {"train": 1, "val": 9}}, DataError, ["a.csv has 1 row,", "at least 2", "data.test=…"]),
        ({"tables": {"train": 9}, "group": lambda t: [0, 1] * 4 + [0]}, DataError, ["2 groups", "at least 3"]),
        ({"tables": {"val": 9, "test": 9}}, DataError, ["no data for train", "data.train=…"]),
        ({"tables": {"val": 9}, "need": ["test"]}, DataError, ["no data for test", "data.test=…", "data.train=…"]),
        ({"fractions": {"train": 0.9, "val": 0.1}}, ConfigError, ["no data for test", "no share", "0.8"]),
        ({"fractions": {"train": 0.8, "val": 0.1}}, ConfigError, ["sum to 0.9", "sum to 1"]),
        ({"fractions": {}}, ConfigError, ["sum to 0"]),
        ({"fractions": {"train": 0.8, "val": 0.2, "test": 0}}, ConfigError, ["fraction of test is 0"]),
        ({"fractions": {"train": 1.2, "val": -0.2}}, ConfigError, ["fraction of train is 1.2"]),
        ({"fractions": {"train": float("nan"), "val": 0.2}}, ConfigError, ["fraction of train is nan"]),
        ({"fractions": {"train": "80%", "val": 0.2}}, ConfigError, ["fraction of train is '80%'"]),
        ({"fractions": {"train": 0.8, "val": 0.1, "tset": 0.1}}, ConfigError, ["'tset'", "did you mean 'test'"]),
        ({"fractions": {"val": 0.5, "test": 0.5}}, ConfigError, ["no share", "train"]),
    ],
)
def test_faults_are_explained(arguments: dict[str, Any], kind: type[UserError], expected: list[str]) -> None:
    given = arguments.get("tables", {"train": 90})
    tables = {name: _table(size) for name, size in given.items()}
    with pytest.raises(kind) as caught:
        complete(**{"seed": 0, **arguments, "tables": tables})
    assert caught.value.remedy
    assert [part for part in expected if part not in str(caught.value)] == [], str(caught.value)
