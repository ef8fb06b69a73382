"""Which of the user's rows are taken: conditions on columns, all of which have to hold. Needs no torch."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lightune.data.table import Table
from lightune.errors import ConfigError, DataError, nearest
from lightune.numbers import is_number

Condition = Callable[[Any], bool]

# What each condition is made of, and how: its argument → a test of a value.
CONDITIONS: Mapping[str, Callable[[Any], Condition]] = {
    "is": lambda wanted: lambda value: _is_one_of(value, wanted),
    "not": lambda wanted: lambda value: not _is_one_of(value, wanted),
    "matches": lambda pattern: lambda value: value is not None and bool(re.search(str(pattern), str(value))),
    "min": lambda least: lambda value: value is not None and float(value) >= least,
    "max": lambda most: lambda value: value is not None and float(value) <= most,
    "min_words": lambda least: lambda value: _words(value) >= least,
    "max_words": lambda most: lambda value: _words(value) <= most,
    "min_chars": lambda least: lambda value: len(str(value)) >= least,
    "max_chars": lambda most: lambda value: len(str(value)) <= most,
}


def parse(filters: Mapping[str, Any]) -> dict[str, list[Condition]]:
    """Return the conditions on each column.

    Args:
        filters: Column → what it has to be: a value; a list of values, one of which it has to be; or a mapping of
            conditions, ``{min_words: 5, max_words: 200}``.

    Raises:
        ConfigError: There is no such condition, or its argument does not fit.
    """
    return {column: _conditions(column, wanted) for column, wanted in filters.items()}


def _conditions(column: str, wanted: Any) -> list[Condition]:
    if not isinstance(wanted, Mapping):
        wanted = {"is": wanted}
    conditions = []
    for name, argument in wanted.items():
        place = f"data.filter.{column}.{name}"
        if name not in CONDITIONS:
            raise ConfigError(f"{place}: there is no such condition", nearest(name, CONDITIONS))
        if name.startswith(("min", "max")) and not is_number(argument):
            raise ConfigError(f"{place}={argument}: expected a number", f"type for instance {place}=5")
        if name == "matches":
            _check_pattern(place, argument)
        conditions.append(CONDITIONS[name](argument))
    return conditions


def _check_pattern(place: str, pattern: Any) -> None:
    try:
        re.compile(str(pattern))
    except re.error as error:
        raise ConfigError(
            f"{place}={pattern}: no regular expression: {error}", "write one as Python's re understands it"
        ) from error


def filtered(table: Table, filters: Mapping[str, Any], part: bool = False) -> Table:
    """Return the rows that meet every condition, in the table's order.

    Args:
        table: Rows as the user has them.
        filters: As in `parse`.
        part: Whether these are some of many rows, so that none of them need be left.

    Raises:
        DataError: There is no such column, a value is not what a condition compares, or no row is left.
    """
    for column, conditions in parse(filters).items():
        kept = _meeting(table, column, conditions)
        if len(table) and not len(kept) and not part:
            raise DataError(
                f"data.filter.{column}={filters[column]}: no row of {table.origin} is left",
                f"its first value is {table.rows[0].get(column)!r:.60}",
            )
        table = kept
    return table


def _meeting(table: Table, column: str, conditions: Sequence[Condition]) -> Table:
    if len(table) and column not in table.columns:
        raise DataError(f"data.filter.{column}: {table.origin} has no such column", nearest(column, table.columns))
    return table.take(i for i in range(len(table)) if all(_holds(table, i, column, one) for one in conditions))


def _holds(table: Table, index: int, column: str, condition: Condition) -> bool:
    value = table.rows[index].get(column)
    try:
        return condition(value)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{table.locate(index)}: column '{column}' holds {value!r:.60}, which is no number",
            f"mend the row, or compare its length: data.filter.{column}.max_chars=…",
        ) from error


def _is_one_of(value: Any, wanted: Any) -> bool:
    return any(_same(value, one) for one in (wanted if isinstance(wanted, list) else [wanted]))


def _same(value: Any, wanted: Any) -> bool:
    """Compare as one would read them: a CSV file has only texts, and spells a truth value as it likes."""
    if value is None or wanted is None:
        return value is wanted
    if isinstance(wanted, bool):
        return str(value).lower() == str(wanted).lower()
    return bool(value == wanted) or str(value) == str(wanted)


def _words(value: Any) -> int:
    return len(value if isinstance(value, list) else str(value or "").split())
