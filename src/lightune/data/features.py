"""Features on disk: each column's numbers one after the other in a memory-mapped file, and where each feature begins.

`datasets` would do as much and brings pandas and Arrow, 80 MiB that every process of a run would hold for columns of
whole numbers. They are kept in the smallest type that holds them, two bytes for a token of most vocabularies.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, overload

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import Dataset

Feature = Mapping[str, Any]

_INTEGERS = (torch.int8, torch.int16, torch.int32)  # smallest first; wider ones stay as they are


@dataclass(frozen=True)
class Column:
    """A number a feature, or lists of numbers of any lengths, or lists of such lists.

    Args:
        values: All numbers, ``(n,)``.
        counts: Items of each list, ``(lists,)``, a tensor for every depth, outermost first; none for single numbers.
    """

    values: Tensor
    counts: tuple[Tensor, ...] = ()

    @classmethod
    def of(cls, items: Sequence[Any]) -> "Column":
        """Return the column that holds these numbers or nested lists."""
        counts = []
        while any(isinstance(item, list) for item in items):
            counts.append(_narrowed(torch.tensor([len(item) for item in items])))
            items = list(chain.from_iterable(items))
        return cls(_narrowed(torch.tensor(items) if items else torch.tensor(items, dtype=torch.int8)), tuple(counts))

    def __len__(self) -> int:
        return len(self.counts[0]) if self.counts else len(self.values)

    def __getitem__(self, index: int) -> Any:
        """Return the number or the list at a position."""
        return self._item(0, index)

    def tolist(self) -> list[Any]:
        """Return every number or list."""
        return [self[index] for index in range(len(self))] if self.counts else self.values.tolist()

    def totals(self) -> list[int]:
        """Return how many numbers each item has, all its lists together."""
        sums = torch.ones(len(self.values), dtype=torch.int64)
        for counts in reversed(self.counts):
            ends = counts.cumsum(0)
            upto = torch.cat([torch.zeros(1, dtype=torch.int64), sums.cumsum(0)])
            sums = upto[ends] - upto[ends - counts]
        totals: list[int] = sums.tolist()
        return totals

    @cached_property
    def _begins(self) -> list[Tensor]:
        return [torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)]) for counts in self.counts]

    def _item(self, depth: int, index: int) -> Any:
        if depth == len(self.counts):
            return self.values[index].item()
        begin, end = self._begins[depth][index : index + 2].tolist()
        if depth + 1 == len(self.counts):
            return self.values[begin:end].tolist()
        return [self._item(depth + 1, inner) for inner in range(begin, end)]


def _narrowed(values: Tensor) -> Tensor:
    """Return whole numbers in the smallest type that holds all of them; others as they are."""
    if values.dtype != torch.int64 or not len(values):
        return values
    least, most = values.min().item(), values.max().item()
    fits = (kind for kind in _INTEGERS if torch.iinfo(kind).min <= least and most <= torch.iinfo(kind).max)
    return values.to(next(fits, torch.int64))


class Features(Dataset[Feature]):
    """A data set of features: read by position, by column, or by several positions at once.

    Features of a file go to another process as the file's name, which maps it into its own memory.

    Args:
        columns: Name → column, all of one length.
        path: The file that holds them, where there is one.
    """

    def __init__(self, columns: Mapping[str, Column], path: Path | None = None) -> None:
        self.columns = dict(columns)
        self.path = path
        assert len({len(column) for column in self.columns.values()}) == 1, "columns of one length"

    @classmethod
    def from_dict(cls, columns: Mapping[str, Sequence[Any]]) -> "Features":
        """Return features of these columns, a number or a nested list for each feature."""
        return cls({name: Column.of(items) for name, items in columns.items()})

    @classmethod
    def load(cls, path: Path) -> "Features":
        """Return the features of a file; it is mapped into memory, and read where it is looked at."""
        tensors = load_file(path)
        columns = {name: Column(tensors[name], _counts(tensors, name)) for name in tensors if "/" not in name}
        return cls(columns, path.absolute())

    def __reduce__(self) -> tuple[Any, ...]:
        if self.path is None:
            return Features, (self.columns,)
        return _of_file, (self.path, self.column_names)

    def save(self, path: Path) -> None:
        """Write all features into a file."""
        tensors = {name: column.values for name, column in self.columns.items()}
        for name, column in self.columns.items():
            tensors |= {f"{name}/{depth}": counts for depth, counts in enumerate(column.counts)}
        save_file(tensors, path)

    @property
    def column_names(self) -> list[str]:
        """Name of every column."""
        return list(self.columns)

    def select_columns(self, names: Iterable[str]) -> "Features":
        """Return features of these columns alone."""
        return Features({name: self.columns[name] for name in names}, self.path)

    def remove_columns(self, names: Collection[str]) -> "Features":
        """Return features without these columns."""
        return Features({name: column for name, column in self.columns.items() if name not in names}, self.path)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[position] for position in range(len(self)))

    @overload
    def __getitem__(self, key: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, key: str) -> list[Any]: ...
    def __getitem__(self, key: int | str) -> dict[str, Any] | list[Any]:
        """Return the feature at a position, or all of a column."""
        if isinstance(key, str):
            return self.columns[key].tolist()
        if not 0 <= key < len(self):
            raise IndexError(f"feature {key} of {len(self)}")
        return {name: column[key] for name, column in self.columns.items()}


def _of_file(path: Path, names: Sequence[str]) -> Features:
    return Features.load(path).select_columns(names)


def _counts(tensors: Mapping[str, Tensor], name: str) -> tuple[Tensor, ...]:
    depths = sum(other.startswith(f"{name}/") for other in tensors)
    return tuple(tensors[f"{name}/{depth}"] for depth in range(depths))


def concatenate(parts: Sequence[Features]) -> Features:
    """Join features, one after the other.

    Args:
        parts: At least one, all of the same columns.
    """
    return Features({name: _joined([part.columns[name] for part in parts]) for name in parts[0].columns})


def _joined(parts: Sequence[Column]) -> Column:
    depths = zip(*(part.counts for part in parts), strict=True)
    return Column(torch.cat([part.values for part in parts]), tuple(torch.cat(counts) for counts in depths))
