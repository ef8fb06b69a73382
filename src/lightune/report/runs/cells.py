"""Cells of tables."""

import json
from typing import Any

from lightune.numbers import is_number
from lightune.report import show
from lightune.report.page import Cell

_LONGEST = 300  # characters


def plain(value: Any, longest: int = _LONGEST) -> Cell:
    """Return a cell of text, cut where it is long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return Cell(show.cut(text, longest))


def number(value: float | None, digits: str = ",.6g") -> Cell:
    """Return a cell of a number, empty where there is none."""
    return Cell("") if value is None else Cell(f"{value:{',' if isinstance(value, int) else digits}}", value)


def either(value: Any, longest: int = _LONGEST) -> Cell:
    """Return a cell of whatever a configuration holds."""
    return number(value, "g") if is_number(value) else plain(value, longest)
