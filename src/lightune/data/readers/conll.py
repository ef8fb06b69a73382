"""CoNLL columns: one token per line, first column the token, last its tag, blank lines between sentences.

The layout of Tjong Kim Sang and De Meulder, "Introduction to the CoNLL-2003 Shared Task" (2003).
"""

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from lightune.data.readers.source import Source
from lightune.data.table import Row, Table
from lightune.errors import DataError

TAG = re.compile(r"O|[BIESLUM]-\S+")
# Only what ASCII calls blank separates columns: a no-break space may well be part of a token.
BLANK = " \t"
SPACES = re.compile(r"[ \t]+")
DOCUMENT = "-DOCSTART-"
SNIFFED = 200
REMEDY = "each line is a token, its further columns and its tag; a blank line ends a sentence"


def looks_like_conll(lines: Sequence[str]) -> bool:
    """Tell a tagged corpus from a table: every early line ends in a BIO tag, and blank lines part them."""
    early = "\n".join(line.strip(BLANK) for line in islice(lines, SNIFFED)).strip("\n")
    tokens = [SPACES.split(line) for line in early.split("\n") if line and not line.startswith(DOCUMENT)]
    return "\n\n" in early and all(len(columns) > 1 and TAG.fullmatch(columns[-1]) for columns in tokens)


def parse(source: Source) -> Table:
    """Read sentences of tagged tokens.

    Args:
        source: Columns parted by tabs (if the first token's line has one) or by blanks; ``-DOCSTART-`` lines and
            trailing blanks are ignored.

    Returns:
        One row per sentence: ``tokens`` and ``tags``, lists of equal length.

    Raises:
        DataError: A line has another number of columns than the first, no tag, or no token.
    """
    rows: list[Row] = []
    starts: list[int] = []
    open_sentence = False
    for number, columns in _columns(source):
        if columns is None:
            open_sentence = False
            continue
        if not open_sentence:
            rows.append({"tokens": [], "tags": []})
            starts.append(number)
            open_sentence = True
        rows[-1]["tokens"].append(columns[0])
        rows[-1]["tags"].append(columns[-1])
    return Table(rows, source.name, lines=starts)


def _columns(source: Source) -> Iterator[tuple[int, list[str] | None]]:
    """Yield the checked columns of each token's line with its number, None where a sentence ends."""
    tabs, width = False, 0
    for number, raw in enumerate(source.lines, start=1):
        line = raw.rstrip(BLANK)
        if not line or line.startswith(DOCUMENT):
            yield number, None
            continue
        tabs = tabs if width else "\t" in line
        columns = [column.strip(" ") for column in line.split("\t")] if tabs else SPACES.split(line.lstrip(BLANK))
        width = width or len(columns)
        _check(columns, width, f"{source.name}, line {number}")
        yield number, columns


def _check(columns: list[str], width: int, place: str) -> None:
    if len(columns) == 1:
        raise DataError(f"{place}: the token {columns[0]!r} has no tag", REMEDY)
    if len(columns) != width:
        raise DataError(f"{place}: {len(columns)} columns, but {width} in the lines before", REMEDY)
    if not columns[0]:
        raise DataError(f"{place}: the tag {columns[-1]!r} has no token", REMEDY)
