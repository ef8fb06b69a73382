"""Reading multiple-choice rows: the choices in each of their layouts, and the answer in each of its notations."""

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from string import ascii_uppercase
from typing import Any, cast

from lightune.data.table import Row, Table
from lightune.errors import DataError
from lightune.numbers import is_whole
from lightune.tasks.columns import Columns, canonical

ChoiceColumns = Mapping[str, str | Sequence[str] | None]
LETTERS = ascii_uppercase
_AS = {"index": "a number", "letter": "a letter", "text": "a text"}
NOTATIONS = ("auto", *_AS)  # in which an answer may be written
_OPTIONAL = ("id", "context", "question", "subject")
_PARTS = ("context", "question")
_CHOICES = "choices"  # where the cells of several columns are put together
_REMEDY = "mend the row, or leave it out"


def read_choices(
    table: Table,
    columns: ChoiceColumns,
    notation: str,
    first: int = 0,
    repeated: bool = False,
    placeholder: str | None = None,
) -> Table:
    """Return the canonical table of a multiple-choice task.

    Args:
        table: Rows as the user has them.
        columns: Canonical column (id, context, question, choices, answer, subject) → the data's column; for choices it
            may be several columns, and context, question and subject may be None. A context of that name may be absent.
        notation: How answers are written: ``index``, ``letter``, ``text``, or ``auto``: whichever fits the row.
        first: The number of the first choice, where answers are numbers.
        repeated: Whether the right choice may occur twice in a row.
        placeholder: What stands in the question where the choice belongs.

    Returns:
        Rows of id, context and question (texts, one of them possibly empty), choices (texts), answer (an index from 0),
        right (the indices of all answers that are right), and subject where there is one. With a placeholder choices
        are questions that are filled in, question is empty, and names holds what they are filled in with.

    Raises:
        DataError: A column is absent, there is nothing to be asked, there are not two choices, or the answer is none of
            them, or could be several; names the row.
    """
    read = canonical(*_gathered(table, columns), _OPTIONAL, usual=("context",))
    for index, row in enumerate(read.rows):
        place = read.locate(index)
        row.update({part: _text(row.get(part, ""), place, part) for part in _PARTS})
        if not (row["context"] or row["question"]):
            raise DataError(f"{place}: context and question are both empty", _REMEDY)
        row["choices"] = _checked_choices(row["choices"], place)
        row["right"] = _checked_answers(row, notation, first, place)
        row["answer"] = row["right"][0]
        if not repeated:
            _refuse_repeated(row, place)
        if placeholder:
            row.update(_filled_in(row, placeholder, place))
        if "subject" in row:
            row["subject"] = str(row["subject"]).strip()
    return read


def _refuse_repeated(row: Row, place: str) -> None:
    for right in (row["choices"][index] for index in row["right"]):
        if row["choices"].count(right) > 1:
            raise DataError(
                f"{place}: the right choice, {right!r:.60}, occurs twice",
                "mend the row, leave it out, or keep such rows: task.repeated=true",
            )


def _filled_in(row: Row, placeholder: str, place: str) -> Row:
    if placeholder not in row["question"]:
        raise DataError(f"{place}: the question has no {placeholder!r}: {row['question']!r:.60}", _REMEDY)
    filled = [row["question"].replace(placeholder, choice) for choice in row["choices"]]
    return {"question": "", "choices": filled, "names": row["choices"]}


def _gathered(table: Table, columns: ChoiceColumns) -> tuple[Table, Columns]:
    """Return the table with each row's choices in one column and empty texts for absent ones, and its columns."""
    source = columns["choices"]
    several = () if source is None or isinstance(source, str) else tuple(source)
    for column in several:
        if column not in table.columns:
            raise DataError(
                f"{table.origin}: there is no column '{column}' for a choice (its columns: {', '.join(table.columns)})",
                "type 'task.columns.choices=[<one>,<another>]'",
            )
    filled = table.filled({str(columns.get(part)) for part in _PARTS}.intersection(table.columns))
    if not several:
        return filled, cast(Columns, columns)
    rows = [{**row, _CHOICES: _without_end([row.get(column) for column in several])} for row in filled.rows]
    return replace(filled, rows=rows), cast(Columns, {**columns, "choices": _CHOICES})


def _without_end(values: list[Any]) -> list[Any]:
    """Return the cells up to the last that is not empty: rows may have fewer choices than there are columns."""
    while values and (values[-1] is None or values[-1] == ""):
        values = values[:-1]
    return values


def _text(value: Any, place: str, column: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{place}: {column} should be a text, and is {value!r:.60}", _REMEDY)
    return value.strip()


def _checked_choices(value: Any, place: str) -> list[str]:
    choices = _parsed(value) if isinstance(value, str) else value
    if not isinstance(choices, list | tuple):
        raise DataError(
            f"{place}: the choices should be a list of texts, and are {value!r:.60}",
            'write ["one", "another"], or name a column for each: \'task.columns.choices=[<one>,<another>]\'',
        )
    for number, choice in enumerate(choices, start=1):
        if not isinstance(choice, str) or not choice.strip():
            raise DataError(f"{place}: choice {number} should be a text, and is {choice!r:.60}", _REMEDY)
    if len(choices) < 2:
        raise DataError(f"{place}: expected 2 choices or more, and found {len(choices)}", _REMEDY)
    return [choice.strip() for choice in choices]


def _parsed(text: str) -> Any:
    """Return the list that a text holds as JSON or as Python writes it; None where it holds none."""
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None


def _checked_answers(row: Row, notation: str, first: int, place: str) -> list[int]:
    """Return the indices of the right choices: of one, or where the data has a list, of several."""
    given = row["answer"] if isinstance(row["answer"], list) else [row["answer"]]
    if not given:
        raise DataError(f"{place}: the list of right answers is empty", _REMEDY)
    return list(dict.fromkeys(_checked_answer(answer, row, notation, first, place) for answer in given))


def _checked_answer(answer: Any, row: Row, notation: str, first: int, place: str) -> int:
    found = meanings(answer, row["choices"], first)
    if notation != "auto":
        found = {name: index for name, index in found.items() if name == notation}
    if not found:
        raise DataError(
            f"{place}: the answer {answer!r:.60} is none of the {len(row['choices'])} choices",
            f"an answer is a number from {first}, a letter from A, or the choice's own text; mend the row, or name "
            "another column: task.columns.answer=…",
        )
    if len(set(found.values())) > 1:
        read = ", ".join(f"{_letter(index)} as {_AS[name]}" for name, index in found.items())
        raise DataError(
            f"{place}: the answer {answer!r:.60} is ambiguous: {read}",
            f"say how answers are written: task.answers=… ({', '.join(found)})",
        )
    return next(iter(found.values()))


def _letter(index: int) -> str:
    return LETTERS[index] if index < len(LETTERS) else f"the choice of index {index}"


def meanings(answer: Any, choices: Sequence[str], first: int = 0) -> dict[str, int]:
    """Return what an answer can mean.

    Args:
        answer: As the data has it. A number means an index and nothing else; a text may be an index too, a letter in
            either case, or the text of a choice.
        choices: The texts to choose from.
        first: The number of the first choice.

    Returns:
        Notation (``index``, ``letter``, ``text``) → index from 0, for each notation in which it is one of the choices.
        A text that several choices share means the first of them.
    """
    if is_whole(answer):
        candidates = {"index": answer - first}
    elif isinstance(answer, str):
        text = answer.strip()
        candidates = {
            "index": int(text) - first if text.isdecimal() else -1,
            "letter": LETTERS.index(text.upper()) if len(text) == 1 and text.upper() in LETTERS else -1,
            "text": list(choices).index(text) if text in choices else -1,
        }
    else:
        candidates = {}
    return {name: index for name, index in candidates.items() if 0 <= index < len(choices)}
