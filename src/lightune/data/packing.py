"""Several short texts in one row, so that no computation is spent on padding."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from itertools import chain

from torch.utils.data import Dataset

from lightune.data.features import Feature, Features


def best_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Put features into few rows, longest first, each into the fullest row that takes it (best-fit decreasing).

    Args:
        lengths: Tokens of each feature, at most `capacity` each.
        capacity: Tokens of a row.

    Returns:
        Positions of the features of each row. Equal arguments give equal rows, in every epoch.
    """
    rows: list[list[int]] = []
    left: list[tuple[int, int]] = []  # (tokens that still fit, row), sorted
    for position in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        place = bisect_left(left, (lengths[position], -1))
        if place == len(left):
            rows.append([])
            left.append((capacity, len(rows) - 1))
        room, row = left.pop(place)
        rows[row].append(position)
        insort(left, (room - lengths[position], row))
    return rows


class Packed(Dataset[Feature]):
    """Rows of several features each: their columns one after the other, and which token belongs to which of them.

    Args:
        features: A data set of single features.
        rows: Positions of the features of each row.
        columns: Columns that hold one value a token; others are left out.
    """

    def __init__(self, features: Features, rows: Sequence[Sequence[int]], columns: Sequence[str]) -> None:
        self.features = features.select_columns(list(columns))
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        """Return a row; its ``segments`` count the features from 1."""
        members = [self.features[position] for position in self.rows[index]]
        sizes = [len(feature["input_ids"]) for feature in members]
        return {
            **{column: list(chain.from_iterable(f[column] for f in members)) for column in self.features.column_names},
            "segments": [number for number, size in enumerate(sizes, 1) for _ in range(size)],
        }
