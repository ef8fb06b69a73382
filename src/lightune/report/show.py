"""What is printed: the choices and the plan before a run, the results after it."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from lightune.numbers import is_number

_CONSOLE = Console(soft_wrap=False, highlight=False)


def console() -> Console:
    """Return what everything is printed on."""
    return _CONSOLE


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; the first column is text, numbers are set to the right."""
    shown = Table(title=title, title_justify="left", title_style="bold")
    numeric = [all(isinstance(row[i], int | float) for row in rows) for i in range(len(columns))]
    for name, to_the_right in zip(columns, numeric, strict=True):
        shown.add_column(name, justify="right" if to_the_right else "left", overflow="fold")
    for row in rows:
        shown.add_row(*map(_text, row))
    _CONSOLE.print(shown)


def _text(value: Any) -> str:
    if not is_number(value):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def lines(title: str, entries: Mapping[str, str]) -> None:
    """Print named lines that are to be copied, so they are never wrapped."""
    _CONSOLE.print(f"\n[bold]{title}[/bold]")
    width = max(map(len, entries), default=0)
    for name, value in entries.items():
        _CONSOLE.print(f"  {name.ljust(width)}  {value}", soft_wrap=True, markup=False)


def note(text: str) -> None:
    """Print one line."""
    _CONSOLE.print(text, soft_wrap=True, markup=False)


def short(value: Any) -> str:
    """Return a value of a configuration as a table shows it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def cut(text: str, longest: int) -> str:
    """Return a text of at most so many characters: what is longer ends with an ellipsis."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def duration(seconds: float) -> str:
    """Return seconds as ``1 h 02 min`` or ``3 min 07 s`` or ``4.2 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min {rest:02d} s"
