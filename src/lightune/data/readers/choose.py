"""Which reader a file gets: by its name, by its content where the name says too little, or as told."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from lightune.data.readers import conll, delimited, parquet, plain, structured
from lightune.data.readers.delimited import Layout
from lightune.data.readers.source import Source, open_all
from lightune.data.table import Table, concatenate
from lightune.errors import ConfigError, DataError, nearest

PARSERS: dict[str, Callable[[Source], Table]] = {
    "json": structured.parse_json,
    "squad": structured.parse_squad,
    "jsonl": structured.parse_lines,
    "parquet": parquet.parse,
    "conll": conll.parse,
}
TEXT = "text"
FORMATS = (*PARSERS, *delimited.DIALECTS, TEXT)
EXAMPLE = r"'+data.options.from_name=\"(?P<subject>\w+)_test\"'"
SUFFIXES = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".conll": "conll",
    ".bio": "conll",
    ".iob": "conll",
    ".iob2": "conll",
    ".txt": TEXT,
}


def read(
    path: str | Path | Sequence[str | Path],
    format: str | None = None,
    *,
    delimiter: str | None = None,
    header: bool | Sequence[str] | None = None,
    quoting: bool | None = None,
    from_name: str | None = None,
    unit: str | None = None,
) -> Table:
    """Read one file, or several one after the other.

    Args:
        path: A file, a pattern such as ``data/*.jsonl`` (its files in sorted order), or a list of either.
        format: One of ``FORMATS``; otherwise each file's suffix decides, and its content where that is not enough.
        delimiter: What separates the fields of CSV (``,``) and TSV (tab).
        header: For CSV and TSV: whether the first row names the columns (it does unless said otherwise), or the
            names themselves where the file has no such row. Without names, columns are ``column_1``, ``column_2``, ….
        quoting: Whether double quotes may enclose a field: yes for CSV, no for TSV.
        unit: For text: what an example is, a ``line`` (unless said otherwise), a ``paragraph`` or a ``file``.
        from_name: Regular expression that is searched for in each file's name; its named groups become columns.

    Returns:
        At least one row.

    Raises:
        DataError: A file is missing, unreadable, malformed or without rows, or its name does not match.
        ConfigError: The format does not exist, an option does not apply to it, or the expression names no column.
    """
    if format is not None and format not in FORMATS:
        raise ConfigError(f"there is no data format {format!r}", nearest(format, FORMATS))
    layout = Layout(delimiter=delimiter, header=header, quoting=quoting)
    tables = [(source.name, _read_one(source, format, layout, unit)) for source in open_all(path)]
    if from_name is not None:
        tables = [(name, _with_parts(table, name, from_name)) for name, table in tables]
    return concatenate([table for _, table in tables])


def _with_parts(table: Table, name: str, expression: str) -> Table:
    """Return the table with columns that its file's name fills, the same in every row."""
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise ConfigError(f"data.options.from_name={expression}: {error}", f"type for instance {EXAMPLE}") from None
    if not pattern.groupindex:
        raise ConfigError(f"data.options.from_name={expression} names no column", f"type for instance {EXAMPLE}")
    found = pattern.search(name)
    if found is None:
        raise DataError(f"{name}: its name does not match data.options.from_name={expression}", "change one of them")
    return replace(table, rows=[{**row, **found.groupdict()} for row in table.rows])


def _read_one(source: Source, format: str | None, layout: Layout, unit: str | None) -> Table:
    kind = format or _recognise(source, layout)
    if unit is not None and kind != TEXT:
        raise ConfigError(
            f"{source.name} is read as {kind}, where data.options has no unit", "leave it out, or say data.format=text"
        )
    if kind in delimited.DIALECTS:
        table = delimited.parse(source, layout.for_format(kind))
    elif layout != Layout():
        raise ConfigError(
            f"{source.name} is read as {kind}, where data.options has no delimiter, header or quoting",
            "leave them out, or say data.format=csv or data.format=tsv",
        )
    elif kind == TEXT:
        table = plain.parse(source, unit or plain.UNITS[0])
    else:
        table = PARSERS[kind](source)
    if not table.rows:
        raise DataError(f"{source.name} holds no rows", "give a file with at least one example")
    return table


def _recognise(source: Source, layout: Layout) -> str:
    """Return the format of a file that the user did not name."""
    kind = SUFFIXES.get(source.suffix)
    if kind == "json" and structured.looks_like_lines(source.text):
        return "jsonl"
    # Many NER corpora are published as .txt or .tsv. Whoever gives a layout means a table.
    if source.suffix in (".txt", ".tsv") and layout == Layout() and conll.looks_like_conll(source.lines):
        return "conll"
    if kind is None:
        raise DataError(
            f"the format of {source.name} cannot be told from its name",
            f"say data.format=… ({', '.join(FORMATS)}), or use one of the suffixes {' '.join(SUFFIXES)}",
        )
    return kind
