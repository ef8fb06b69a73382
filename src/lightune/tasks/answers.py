"""The answers of extractive question answering: from the forms in which data has them to texts and offsets, checked."""

from collections.abc import Mapping
from typing import Any

from lightune.data.table import Row
from lightune.errors import DataError

Answers = dict[str, list[Any]]
NONE: Mapping[str, tuple[()]] = {"text": (), "answer_start": ()}
_LEARN_THEM = "type task.no_answer=true to learn such questions too, or leave them out"


def read_answers(row: Row, place: str, no_answer: bool) -> Answers:
    """Return the answers of a row as ``{"text": [...], "answer_start": [...]}``, offsets in characters.

    Args:
        row: Has ``context``, ``answers``, and ``is_impossible`` where the data says so of each question. Answers are a
            plain text, which is searched for in the context, or texts with offsets; where the question is impossible
            they are only plausible, and left out.
        place: What messages call the row.
        no_answer: Whether a question may have no answer.

    Returns:
        As many texts as offsets; none where the question has no answer.

    Raises:
        DataError: The answers have another form, do not stand where they should, or contradict ``is_impossible``; or
            there are none, and `no_answer` is False.
    """
    impossible = _said_impossible(row, place)
    given = NONE if impossible else _as_mapping(row["answers"], row["context"], place)
    answers = {key: list(given[key]) for key in NONE}
    _check_count(answers, place, no_answer, contradicted=impossible is False)
    for text, start in zip(answers["text"], answers["answer_start"], strict=True):
        _check_place(text, start, row["context"], place)
    return answers


def _said_impossible(row: Row, place: str) -> bool | None:
    """Return whether the row calls its question impossible, None where it does not say."""
    if "is_impossible" not in row:
        return None
    value = row["is_impossible"]
    known = {"true": True, "false": False}.get(str(value).lower())  # texts come from CSV
    if known is None:
        raise DataError(
            f"{place}: is_impossible should be true or false, and is {value!r:.60}",
            "mend the row, or read no such column: task.columns.is_impossible=null",
        )
    return known


def _as_mapping(answers: Any, context: str, place: str) -> Mapping[str, Any]:
    if isinstance(answers, str):
        return _searched(answers, context, place)
    if not isinstance(answers, dict) or not all(isinstance(answers.get(key), list) for key in NONE):
        raise DataError(
            f"{place}: answers should be a text or {{'text': [...], 'answer_start': [...]}}, and is {answers!r:.60}",
            "bring the column into that form, or name another one: task.columns.answers=…",
        )
    return answers


def _searched(answer: str, context: str, place: str) -> Mapping[str, Any]:
    if not answer.strip():
        return NONE
    if answer not in context:
        raise DataError(
            f"{place}: the answer {answer!r} does not stand in the context",
            "mend it (capitals and spaces count), or leave the row out",
        )
    return {"text": [answer], "answer_start": [context.find(answer)]}


def _check_count(answers: Answers, place: str, no_answer: bool, contradicted: bool) -> None:
    texts, starts = (len(answers[key]) for key in NONE)
    if texts != starts:
        raise DataError(
            f"{place}: the question has {texts} answers and {starts} offsets", "give each answer its offset"
        )
    if not texts and not no_answer:
        raise DataError(f"{place}: the question has no answer", _LEARN_THEM)
    if not texts and contradicted:
        raise DataError(
            f"{place}: is_impossible is false, and the question has no answer",
            "give it one, or set is_impossible to true",
        )


def _check_place(text: Any, start: Any, context: str, place: str) -> None:
    if not isinstance(text, str) or not isinstance(start, int) or isinstance(start, bool):
        raise DataError(
            f"{place}: an answer is {text!r:.60} at {start!r:.60}",
            "an answer is a text, and its offset a whole number of characters",
        )
    if not text.strip() or start < 0 or context[start : start + len(text)] != text:
        there = context[max(start, 0) : max(start, 0) + len(text)]
        raise DataError(
            f"{place}: the answer {text!r} does not stand at character {start} of the context, but {there!r} does",
            "mend answer_start, or give the answer as a plain text and it is searched for",
        )
