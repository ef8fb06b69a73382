"""A random part of a table: its size, its labels, and the same one everywhere."""

from collections import Counter

import pytest

from lightune.data.sampling import sampled
from lightune.data.table import Table

LABELS = ["a"] * 700 + ["b"] * 290 + ["c"] * 10
TABLE = Table([{"n": i} for i in range(1000)], "x")


@pytest.mark.parametrize(("size", "count"), [(100, 100), (0.25, 250), (1, 1), (0.0001, 1), (999, 999), (5000, 1000)])
def test_so_many_rows_in_their_order(size: float, count: int) -> None:
    numbers = [row["n"] for row in sampled(TABLE, size, seed=3).rows]
    assert len(numbers) == count
    assert numbers == sorted(set(numbers))
    assert numbers == [row["n"] for row in sampled(TABLE, size, seed=3).rows]


def test_another_seed_takes_other_rows() -> None:
    one, other = (sampled(TABLE, 0.1, seed).rows for seed in (1, 2))
    assert one != other
    assert 300 < sum(row["n"] for row in one) / 100 < 700  # from all over the table


def test_labels_keep_their_shares() -> None:
    part = sampled(TABLE, 0.1, seed=0, stratify=LABELS)
    assert Counter(LABELS[row["n"]] for row in part.rows) == {"a": 70, "b": 29, "c": 1}
    assert {LABELS[row["n"]] for row in sampled(TABLE, 5, seed=0, stratify=LABELS).rows} == {"a", "b", "c"}
