"""Plain text: an example a line, a paragraph, or a file."""

from collections.abc import Iterator

from lightune.data.readers.source import Source
from lightune.data.table import Table
from lightune.errors import ConfigError, nearest

UNITS = ("line", "paragraph", "file")


def parse(source: Source, unit: str = "line") -> Table:
    """Read texts.

    Args:
        source: Any text; what is blank is left out.
        unit: What an example is: a ``line``, a ``paragraph`` (lines up to a blank one), or the whole ``file``.

    Returns:
        One row each, with ``text``.

    Raises:
        ConfigError: There is no such unit.
    """
    if unit not in UNITS:
        raise ConfigError(f"data.options.unit={unit}: expected one of {', '.join(UNITS)}", nearest(unit, UNITS))
    texts = [(number, text.strip()) for number, text in _cut(source, unit)]
    kept = [(number, text) for number, text in texts if text]
    return Table([{"text": text} for _, text in kept], source.name, lines=[number for number, _ in kept])


def _cut(source: Source, unit: str) -> Iterator[tuple[int, str]]:
    """Yield each piece of text with the number of its first line."""
    if unit == "file":
        yield 1, source.text
        return
    begun, lines = 1, list[str]()
    for number, line in enumerate([*source.lines, ""], start=1):
        if unit == "line" or not line.strip():
            yield begun if lines else number, "\n".join([*lines, line])
            begun, lines = number + 1, []
        else:
            begun = begun if lines else number
            lines.append(line)
