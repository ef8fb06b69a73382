"""Rows, and the place in a file that each of them came from."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

Row = dict[str, Any]
PART = "part"  # the column that names the source of a row, where several are mixed


@dataclass(frozen=True)
class Table:
    """Rows of one split, and where each came from.

    Args:
        rows: One mapping of column name to plain Python value per example.
        origin: File name or hub path, for messages.
        lines: Line of the file on which each row begins, counted from 1 as an editor does. None where the
            format has no lines; 0 for single rows of that kind in a table of several files.
        numbers: Number of each row in its file, counted from 1. None means 1, 2, 3, …
        files: File of each row, where the table holds several.
    """

    rows: list[Row]
    origin: str
    lines: Sequence[int] | None = None
    numbers: Sequence[int] | None = None
    files: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for places in (self.lines, self.numbers, self.files):
            assert places is None or len(places) == len(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def columns(self) -> list[str]:
        """Every column that any row has, in order of first appearance."""
        return list(dict.fromkeys(chain.from_iterable(self.rows)))

    def number(self, index: int) -> int:
        """Return the number (from 1) that a row has in its own file."""
        return self.numbers[index] if self.numbers is not None else index + 1

    def locate(self, index: int) -> str:
        """Name the place of a row, for messages.

        Args:
            index: Position in ``rows``, counted from 0.

        Returns:
            ``"train.jsonl, line 17"`` where the format has lines, else ``"squad (train), row 3"``.
        """
        name = self.files[index] if self.files is not None else self.origin
        line = self.lines[index] if self.lines is not None else 0
        return f"{name}, line {line}" if line else f"{name}, row {self.number(index)}"

    def filled(self, columns: Collection[str]) -> "Table":
        """Return the rows with an empty text where one of these columns has no value."""
        empty = [{column: "" for column in columns if row.get(column) is None} for row in self.rows]
        return replace(self, rows=[{**row, **missing} for row, missing in zip(self.rows, empty, strict=True)])

    def take(self, indices: Iterable[int]) -> "Table":
        """Return the rows at these positions, in this order; each keeps its place."""
        kept = list(indices)
        return Table(
            rows=[self.rows[i] for i in kept],
            origin=self.origin,
            lines=None if self.lines is None else [self.lines[i] for i in kept],
            numbers=[self.number(i) for i in kept],
            files=None if self.files is None else [self.files[i] for i in kept],
        )


def concatenate(tables: Sequence[Table]) -> Table:
    """Join tables, one after the other; every row keeps its own file and line.

    Args:
        tables: At least one.

    Returns:
        One table; the very same object where there was only one.
    """
    if len(tables) == 1:
        return tables[0]
    names = [table.origin for table in tables]
    return Table(
        rows=[row for table in tables for row in table.rows],
        origin=", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else ""),
        lines=[line for table in tables for line in table.lines or [0] * len(table)],
        numbers=[table.number(i) for table in tables for i in range(len(table))],
        files=[name for table in tables for name in table.files or [table.origin] * len(table)],
    )
