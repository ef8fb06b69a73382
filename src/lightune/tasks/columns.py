"""From the user's columns to canonical ones."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lightune.data.table import PART, Row, Table
from lightune.errors import DataError, nearest

Columns = Mapping[str, str | None]
_SLOT = re.compile(r"{([^{}]+)}")  # in a text that several columns fill


def canonical(table: Table, columns: Columns, optional: Sequence[str] = ("id",), usual: Sequence[str] = ()) -> Table:
    """Return the table under canonical column names.

    Args:
        table: Rows as the user has them.
        columns: Canonical name → the user's name, or None where the user has no such column; or a text with names of
            several columns in braces: ``"{title}: {body}"``.
        optional: Canonical columns that may be absent; a missing ``id`` becomes the row's number.
        usual: Those of them whose canonical name, being the usual one, does not say that the data has such a column.

    Raises:
        DataError: A column is absent, or a row has no value in it.
    """
    available = table.columns
    picked: dict[str, str] = {}
    for name, source in columns.items():
        if source in available:
            picked[name] = str(source)
        elif fields := _SLOT.findall(source or ""):
            for column in fields:
                if column not in available:
                    raise _column_error(table, name, column)
            picked[name] = str(source)
        elif name not in optional or not (source is None or name == "id" or (name == source and name in usual)):
            raise _column_error(table, name, source)
    rows = [_picked_row(table, i, picked) for i in range(len(table.rows))]
    return Table(rows, table.origin, table.lines, table.numbers, table.files)


def _column_error(table: Table, name: str, source: str | None) -> DataError:
    there = ", ".join(table.columns)
    close = nearest(str(source or name), table.columns)
    hint = f"; {close}" if close.startswith("did") else ""
    return DataError(
        f"{table.origin}: there is no column '{source}' for the task's '{name}' (its columns: {there})",
        f"type task.columns.{name}=<one of them>{hint}",
    )


def _picked_row(table: Table, index: int, picked: Mapping[str, str]) -> Row:
    source = table.rows[index]
    row = {name: _value(source, column) for name, column in picked.items()}
    for name, value in row.items():
        if value is None and name != "id":
            raise DataError(
                f"{table.locate(index)}: column '{picked[name]}' has no value", "fill it in, or leave the row out"
            )
    if PART in source:  # of a mixture
        row[PART] = source[PART]
    row["id"] = str(row["id"]) if row.get("id") is not None else str(table.number(index))
    return row


def _value(row: Row, column: str) -> Any:
    """Return what a row has in a column, or the text that its values fill."""
    if column in row or not _SLOT.search(column):
        return row.get(column)
    return _SLOT.sub(lambda slot: "" if row.get(slot[1]) is None else str(row[slot[1]]), column)


def require_text(table: Table, column: str, source: str | None) -> None:
    """Raise DataError at the first row whose canonical column is not a text with at least one visible character."""
    for index, row in enumerate(table.rows):
        value = row[column]
        if not isinstance(value, str) or not value.strip():
            raise DataError(
                f"{table.locate(index)}: column '{source or column}' should hold a text, and holds {value!r:.60}",
                "mend or leave out the row, or name another column",
            )
