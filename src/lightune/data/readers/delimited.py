"""CSV and TSV: one example per row, fields parted by a delimiter.

CSV follows RFC 4180: double quotes may enclose a field, which then may hold delimiters, line ends and doubled
quotes. TSV is read as language corpora write it, with no quoting at all: a lone ``"`` is a character like any
other.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lightune.data.readers.source import Source
from lightune.data.table import Table
from lightune.errors import ConfigError, DataError

NO_HEADER = "if the file has no header row, say +data.options.header=false or +data.options.header=[text,label,…]"
LONGEST_FIELD = 2**31 - 1  # the csv module stops at 131,072 characters otherwise; a C long must hold it

Record = tuple[int, list[str]]  # first line, fields


@dataclass(frozen=True)
class Layout:
    """How the rows of a file are written; None leaves the choice to the format.

    Args:
        delimiter: What separates fields; one character where there is quoting.
        header: Whether the first row names the columns, or the names where it does not.
        quoting: Whether double quotes may enclose a field.
    """

    delimiter: str | None = None
    header: bool | Sequence[str] | None = None
    quoting: bool | None = None

    def for_format(self, name: str) -> "Layout":
        """Return a layout without None.

        Raises:
            ConfigError: The choices do not make sense together.
        """
        usual = DIALECTS[name]
        full = Layout(
            usual.delimiter if self.delimiter is None else self.delimiter,
            usual.header if self.header is None else self.header,
            usual.quoting if self.quoting is None else self.quoting,
        )
        full._check()
        return full

    def _check(self) -> None:
        if not self.delimiter or (self.quoting and (len(self.delimiter) > 1 or self.delimiter in '"\r\n')):
            raise ConfigError(
                f"data.options.delimiter={self.delimiter!r} cannot separate fields",
                "give one character; with +data.options.quoting=false it may be several",
            )
        if not isinstance(self.header, bool):
            fault = "not a list" if isinstance(self.header, str) else _fault(list(self.header or ()))
            if fault:
                raise ConfigError(
                    f"data.options.header: {fault}", "say true, false, or a list with one name per column"
                )


DIALECTS = {
    "csv": Layout(delimiter=",", header=True, quoting=True),
    "tsv": Layout(delimiter="\t", header=True, quoting=False),
}


def parse(source: Source, layout: Layout) -> Table:
    """Read a file of delimited fields; blank lines are skipped.

    Args:
        source: The file.
        layout: A complete layout, from `Layout.for_format`.

    Returns:
        Rows of text.

    Raises:
        DataError: A row has another number of fields than there are columns, a column name is missing or occurs
            twice, a quoted field does not end, or there is nothing but a header.
    """
    records = list(_quoted(source, layout) if layout.quoting else _plain(source, layout))
    if not records:
        raise DataError(f"{source.name} is empty", "give a file with at least one example")
    names, rest = _header(records, layout, source.name)
    for line, fields in rest:
        if len(fields) != len(names):
            raise _wrong_width(f"{source.name}, line {line}", fields, names, layout)
    if not rest:
        raise DataError(f"{source.name} holds a header ({', '.join(names)}) and no rows", NO_HEADER)
    rows = [dict(zip(names, fields, strict=True)) for _, fields in rest]
    return Table(rows, source.name, lines=[line for line, _ in rest])


def _plain(source: Source, layout: Layout) -> Iterator[Record]:
    assert layout.delimiter
    for number, line in enumerate(source.lines, start=1):
        if line.strip(" "):
            yield number, line.split(layout.delimiter)


def _quoted(source: Source, layout: Layout) -> Iterator[Record]:
    assert layout.delimiter
    # Strict, or a quote that is never closed swallows the rest of the file without a word.
    reader = csv.reader(io.StringIO(source.text, newline=""), delimiter=layout.delimiter, strict=True)
    first = 1
    with _long_fields():
        try:
            for fields in reader:
                if any(fields) or len(fields) > 1:
                    yield first, fields
                first = reader.line_num + 1
        except csv.Error as error:
            raise DataError(
                f"{source.name}, row that begins in line {first}: {error}",
                'close every quoted field and write a quote inside it as ""; '
                "a file where quotes are plain characters is +data.options.quoting=false",
            ) from None


@contextmanager
def _long_fields() -> Iterator[None]:
    """Lift the csv module's limit, which is one for the whole process, for a while."""
    before = csv.field_size_limit(LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _header(records: list[Record], layout: Layout, name: str) -> tuple[list[str], list[Record]]:
    """Return the column names and the records that are rows."""
    (line, first), *rest = records
    if layout.header is False:
        return [f"column_{number}" for number in range(1, len(first) + 1)], records
    if layout.header is not True:
        return list(layout.header or ()), records
    names = [field.strip() for field in first]
    fault = _fault(names)
    if fault:
        index = "" if names[0] else "; pandas leaves its index unnamed: write with to_csv(index=False)"
        raise DataError(f"{name}, line {line}: {fault}", NO_HEADER + index)
    return names, rest


def _fault(names: list[str]) -> str:
    """Say what is wrong with a list of column names, if anything."""
    for position, name in enumerate(names, start=1):
        if not name:
            return f"column {position} has no name"
        if name in names[: position - 1]:
            return f"the column name {name!r} occurs twice"
    return "" if names else "there are no column names"


def _wrong_width(place: str, fields: list[str], names: list[str], layout: Layout) -> DataError:
    start = (layout.delimiter or "").join(fields)
    shown = start if len(start) <= 60 else start[:60] + "…"
    remedy = (
        "put a field that holds the delimiter in double quotes; where quotes are plain characters: "
        "+data.options.quoting=false; for another delimiter: +data.options.delimiter=…"
        if layout.quoting
        else "take the delimiter out of the fields; where double quotes enclose fields: +data.options.quoting=true; "
        "for another delimiter: +data.options.delimiter=…"
    )
    seen = f"{len(fields)} field{'s' if len(fields) != 1 else ''}"
    return DataError(f"{place}: {seen}, expected {len(names)} ({', '.join(names)}): {shown!r}", remedy)
