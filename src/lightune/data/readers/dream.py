"""DREAM's JSON: a list of dialogues, each a list of its turns, its questions and its id.

Sun et al., "DREAM: A Challenge Data Set and Models for Dialogue-Based Reading Comprehension" (2019).
"""

from collections.abc import Iterator
from typing import Any

from lightune.data.table import Row, Table
from lightune.errors import DataError

_LAYOUT = 'DREAM reads [[["turn", …], [{"question": "…", "choice": ["…", …], "answer": "…"}, …], "id"], …]'


def looks_like_dream(value: object) -> bool:
    """Tell DREAM's layout from other JSON: a list whose first item is turns, questions, and an id."""
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, list) and [type(part) for part in first] == [list, list, str]


def flatten(value: list[Any], name: str) -> Table:
    """Turn parsed DREAM JSON into one row per question.

    Args:
        value: The parsed file.
        name: What messages call the file.

    Returns:
        Rows with ``id`` (the dialogue's, and the question's number), ``context`` (the turns, one a line), ``question``,
        ``choices`` and ``answer`` (a text).

    Raises:
        DataError: A dialogue or a question is of another shape; names it.
    """
    return Table([row for number, item in enumerate(value, start=1) for row in _dialogue(item, name, number)], name)


def _dialogue(item: Any, name: str, number: int) -> Iterator[Row]:
    place = f"{name}, dialogue {number}"
    if not looks_like_dream([item]) or not all(isinstance(turn, str) for turn in item[0]):
        raise DataError(f"{place}: expected its turns, its questions and its id", _LAYOUT)
    turns, questions, key = item
    for position, question in enumerate(questions, start=1):
        if not isinstance(question, dict) or not question.keys() >= {"question", "choice", "answer"}:
            raise DataError(f"{place}, question {position}: expected question, choice and answer", _LAYOUT)
        yield {
            "id": f"{key}-{position}",
            "context": "\n".join(turns),
            "question": question["question"],
            "choices": question["choice"],
            "answer": question["answer"],
        }
