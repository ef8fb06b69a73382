"""JSON: a list of objects, the same under the key ``data``, or one object a line; also of SQuAD, DREAM, SuperGLUE."""

import json
from typing import Any

from lightune.data.readers import dream, squad, superglue
from lightune.data.readers.source import Source
from lightune.data.table import Row, Table
from lightune.errors import DataError

KINDS = {dict: "an object", list: "a list", str: "a string", bool: "a truth value", type(None): "null"}
SHAPES = 'write [{…}, {…}] or {"data": [{…}, {…}]}; one object per line is data.format=jsonl'


def looks_like_lines(text: str) -> bool:
    """Tell whether the first line is an object of its own and more follow, whatever the suffix says."""
    first, _, rest = text.strip().partition("\n")
    try:
        return bool(rest) and isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def parse_json(source: Source) -> Table:
    """Read a file that is one JSON value.

    Args:
        source: A list of objects, ``{"data": [objects]}``, or SQuAD's or DREAM's layout, which is flattened.

    Returns:
        The objects as they are.

    Raises:
        DataError: It is not JSON, or of another shape.
    """
    value = load(source)
    if squad.looks_like_squad(value):
        return squad.flatten(value, source.name)
    if dream.looks_like_dream(value):
        return dream.flatten(value, source.name)
    rows = value.get("data") if isinstance(value, dict) else value
    if not isinstance(rows, list):
        seen = f"an object with the keys {', '.join(value)}" if isinstance(value, dict) else kind_of(value)
        raise DataError(f"{source.name} holds {seen}, not a list of objects", SHAPES)
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise DataError(f"{source.name}, row {number}: {kind_of(row)}, not an object", SHAPES)
    return Table(rows, source.name)


def parse_squad(source: Source) -> Table:
    """Read a file that must be in SQuAD's layout; see `squad.flatten`."""
    return squad.flatten(load(source), source.name)


def parse_lines(source: Source) -> Table:
    """Read a file of one JSON object per line; blank lines are skipped, and SuperGLUE's nested layouts flattened.

    Raises:
        DataError: A line is not JSON, or not an object.
    """
    numbered = [(number, line) for number, line in enumerate(source.lines, start=1) if line.strip()]
    rows = [_object(line, f"{source.name}, line {number}") for number, line in numbered]
    return superglue.flattened(Table(rows, source.name, lines=[number for number, _ in numbered]))


def load(source: Source) -> Any:
    """Parse the whole content as one JSON value.

    Raises:
        DataError: It is not JSON; names the line.
    """
    try:
        return json.loads(source.text)
    except (ValueError, RecursionError) as error:
        line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise DataError(f"{source.name}{line}: not valid JSON: {_reason(error)}", SHAPES) from None


def kind_of(value: object) -> str:
    """Name the JSON kind of a value: ``"an object"``, ``"a list"``, ``"a number"``, …."""
    return KINDS.get(type(value), "a number")


def _object(line: str, place: str) -> Row:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: not valid JSON: {_reason(error)}", _line_remedy(line)) from None
    if not isinstance(value, dict):
        raise DataError(f"{place}: {kind_of(value)}, not an object", _line_remedy(line))
    return value


def _line_remedy(line: str) -> str:
    spread = line.strip().startswith("[") or line.strip() == "{"
    return "write one object per line" + ("; a list over several lines is data.format=json" if spread else "")


def _reason(error: Exception) -> str:
    return f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
