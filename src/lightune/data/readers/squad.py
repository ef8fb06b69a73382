"""SQuAD's JSON (1.1 and 2.0): articles hold paragraphs, paragraphs hold questions, questions hold answers.

Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension of Text" (2016), and "Know What You
Don't Know: Unanswerable Questions for SQuAD" (2018).
"""

from collections.abc import Iterator
from typing import Any, TypeVar

from lightune.data.table import Row, Table
from lightune.errors import DataError

T = TypeVar("T")
LAYOUT = (
    'SQuAD reads {"data": [{"title", "paragraphs": [{"context", "qas": [{"id", "question", '
    '"answers": [{"text", "answer_start"}]}]}]}]}'
)


def looks_like_squad(value: object) -> bool:
    """Tell SQuAD's layout from other JSON: some item under ``data`` has paragraphs."""
    items = value.get("data") if isinstance(value, dict) else None
    return isinstance(items, list) and any(isinstance(item, dict) and "paragraphs" in item for item in items)


def flatten(value: object, name: str) -> Table:
    """Turn parsed SQuAD JSON into one row per question.

    Args:
        value: The parsed file.
        name: What messages call the file.

    Returns:
        Rows with ``id``, ``title``, ``context``, ``question``, ``answers`` (``text`` and ``answer_start``, lists
        of equal length, both empty for an unanswerable question), and ``is_impossible`` where the file has it.

    Raises:
        DataError: A key is missing or holds something else; names the article and the key.
    """
    rows: list[Row] = []
    for number, article in enumerate(_get(value, "data", list, name), start=1):
        title = article.get("title", "") if isinstance(article, dict) else ""
        place = f"{name}, article {number}" + (f" ({title})" if title else "")
        rows.extend({"title": title} | row for row in _questions(article, place))
    order = ("id", "title", "context", "question", "answers", "is_impossible")
    return Table([{key: row[key] for key in order if key in row} for row in rows], name)


def _questions(article: object, place: str) -> Iterator[Row]:
    for p, paragraph in enumerate(_get(article, "paragraphs", list, place), start=1):
        here = f"{place}, paragraph {p}"
        context = _get(paragraph, "context", str, here)
        for q, question in enumerate(_get(paragraph, "qas", list, here), start=1):
            yield {"context": context} | _question(question, f"{here}, question {q}")


def _question(qa: object, place: str) -> Row:
    row: Row = {"id": str(_get(qa, "id", (str, int), place)), "question": _get(qa, "question", str, place)}
    assert isinstance(qa, dict)
    if "is_impossible" in qa:
        row["is_impossible"] = _get(qa, "is_impossible", bool, place)
    # SQuAD 2.0 files sometimes leave the key out where there is nothing to answer.
    answers = [] if row.get("is_impossible") else _get(qa, "answers", list, place)
    row["answers"] = {
        "text": [_get(answer, "text", str, place) for answer in answers],
        "answer_start": [_get(answer, "answer_start", int, place) for answer in answers],
    }
    return row


def _get(node: Any, key: str, kind: type[T] | tuple[type[T], ...], place: str) -> T:
    """Return ``node[key]``, or say what is wrong with it."""
    if not isinstance(node, dict):
        raise DataError(f"{place}: expected an object with the key {key!r}, got {type(node).__name__}", LAYOUT)
    if key not in node:
        raise DataError(f"{place}: there is no key {key!r}; there is: {', '.join(node) or 'nothing'}", LAYOUT)
    if not isinstance(node[key], kind):
        raise DataError(f"{place}: {key!r} has the wrong type, {type(node[key]).__name__}", LAYOUT)
    value: T = node[key]
    return value
