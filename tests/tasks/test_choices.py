"""Choices are read from every layout, answers in every notation; what is wrong or ambiguous is named with its row."""

from typing import Any

import pytest

from lightune.data.table import Row, Table
from lightune.errors import DataError
from lightune.tasks.choices import ChoiceColumns, meanings, read_choices

COLUMNS: ChoiceColumns = {
    "id": "id",
    "context": "context",
    "question": "question",
    "choices": "choices",
    "answer": "answer",
    "subject": None,
}
TOWNS = ["York", "Crewe", "Hull"]


def _row(**others: Any) -> Row:
    return {"context": "He was born in Crewe.", "question": "Where?", "choices": TOWNS, "answer": 1, **others}


def _read(row: Row, columns: ChoiceColumns = COLUMNS, notation: str = "auto", **options: Any) -> Row:
    (read,) = read_choices(Table([row], "a.csv", lines=[7]), columns, notation, **options).rows
    return read


@pytest.mark.parametrize(
    "given",
    [
        TOWNS,
        '["York", "Crewe", "Hull"]',
        "['York', 'Crewe', \"Hull\"]",
        "('York', 'Crewe', 'Hull')",
        [" York ", *TOWNS[1:]],
    ],
)
def test_choices_are_a_list_or_a_text_that_holds_one(given: Any) -> None:
    assert _read(_row(choices=given)) == {
        "id": "1",
        "context": "He was born in Crewe.",
        "question": "Where?",
        "choices": TOWNS,
        "answer": 1,
        "right": [1],
    }


def test_choices_may_stand_in_columns_of_their_own() -> None:
    columns: ChoiceColumns = {**COLUMNS, "choices": ["a", "b", "c", "d"]}
    row = {"context": "", "question": "Where?", "a": "York", "b": "Crewe", "c": "Hull", "d": "", "answer": "B"}
    assert _read(row, columns)["choices"] == TOWNS
    assert _read({**row, "c": None, "d": None}, columns)["choices"] == TOWNS[:2]
    with pytest.raises(DataError, match=r"a\.csv, line 7: choice 2 should be a text, and is ''"):
        _read({**row, "b": "", "answer": "A"}, columns)
    with pytest.raises(
        DataError, match=r"a\.csv: there is no column 'e' for a choice \(its columns: context, question"
    ):
        _read(row, {**columns, "choices": ["a", "e"]})


def test_context_or_question_may_be_missing() -> None:
    without: ChoiceColumns = {**COLUMNS, "context": None}
    assert _read(_row(), without)["context"] == ""
    assert _read({key: value for key, value in _row().items() if key != "context"})["context"] == ""
    assert _read(_row(question=None))["question"] == ""
    assert _read(_row(context=" ", question=" Where? "))["question"] == "Where?"
    with pytest.raises(DataError, match=r"a\.csv, line 7: context and question are both empty"):
        _read(_row(context="", question=None))
    with pytest.raises(DataError, match="no column 'premise' for the task's 'context'"):
        _read(_row(), {**COLUMNS, "context": "premise"})


def test_subjects_are_texts() -> None:
    assert _read(_row(field=" law "), {**COLUMNS, "subject": "field"})["subject"] == "law"
    assert "subject" not in _read(_row(subject="law"))


@pytest.mark.parametrize(
    ("answer", "choices", "expected"),
    [
        (1, TOWNS, {"index": 1}),
        ("1", TOWNS, {"index": 1}),
        ("B", TOWNS, {"letter": 1}),
        (" b ", TOWNS, {"letter": 1}),
        ("Crewe", TOWNS, {"text": 1}),
        ("crewe", TOWNS, {}),
        (3, TOWNS, {}),
        (-1, TOWNS, {}),
        ("-1", TOWNS, {}),
        ("D", TOWNS, {}),
        (True, TOWNS, {}),
        (1.0, TOWNS, {}),
        (["York"], TOWNS, {}),
        ("", TOWNS, {}),
        ("0", ["3", "0", "1"], {"index": 0, "text": 1}),
        ("0", ["0", "3", "1"], {"index": 0, "text": 0}),
        (0, ["3", "0", "1"], {"index": 0}),  # a number is no text
        ("A", ["B", "A"], {"letter": 0, "text": 1}),
    ],
)
def test_what_an_answer_can_mean(answer: Any, choices: list[str], expected: dict[str, int]) -> None:
    assert meanings(answer, choices) == expected


def test_numbers_may_begin_at_one() -> None:
    assert [_read(_row(answer=answer), first=1)["answer"] for answer in (1, "2", 3, "Hull")] == [0, 1, 2, 2]
    with pytest.raises(DataError, match=r"the answer 0 is none of the 3 choices"):
        _read(_row(answer=0), first=1)


def test_an_ambiguous_answer_is_refused_until_its_notation_is_said() -> None:
    row = _row(choices=["3", "0", "1"], answer="0")
    with pytest.raises(DataError) as caught:
        _read(row)
    assert caught.value.problem == "a.csv, line 7: the answer '0' is ambiguous: A as a number, B as a text"
    assert caught.value.remedy == "say how answers are written: task.answers=… (index, text)"
    assert [_read(row, notation=notation)["answer"] for notation in ("index", "text")] == [0, 1]
    assert _read(_row(choices=["0", "3"], answer="0"))["answer"] == 0  # both readings say the same


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (_row(answer=3), "the answer 3 is none of the 3 choices"),
        (_row(answer=-1), "the answer -1 is none of the 3 choices"),
        (_row(answer="Leeds"), "the answer 'Leeds' is none of the 3 choices"),
        (_row(answer="D"), "the answer 'D' is none of the 3 choices"),
        (_row(answer=True), "the answer True is none of the 3 choices"),
        (_row(answer=None), "column 'answer' has no value"),
        (_row(choices=[]), "expected 2 choices or more, and found 0"),
        (_row(choices=["York"], answer=0), "expected 2 choices or more, and found 1"),
        (_row(answer=[]), "the list of right answers is empty"),
        (_row(answer=[0, "Z"]), "the answer 'Z' is none of the"),
        (_row(choices=["York", " ", "Hull"]), "choice 2 should be a text, and is ' '"),
        (_row(choices=["York", 7]), "choice 2 should be a text, and is 7"),
        (_row(choices=["York", None]), "choice 2 should be a text, and is None"),
        (_row(choices="York, Crewe"), "the choices should be a list of texts, and are 'York, Crewe'"),
        (_row(choices="[York, Crewe"), "the choices should be a list of texts, and are '[York, Crewe'"),
        (_row(choices={"text": TOWNS}), "the choices should be a list of texts, and are {'text': "),
        (_row(choices=None), "column 'choices' has no value"),
        (_row(choices=["Crewe", "York", "Crewe"], answer=2), "the right choice, 'Crewe', occurs twice"),
        (_row(context=7), "context should be a text, and is 7"),
    ],
)
def test_a_bad_row_is_named(row: Row, problem: str) -> None:
    good = _row()
    with pytest.raises(DataError) as caught:
        read_choices(Table([good, row], "a.csv", lines=[3, 7]), COLUMNS, "auto")
    assert caught.value.problem.startswith("a.csv, line 7: ")
    assert problem in caught.value.problem
    assert caught.value.remedy


def test_wrong_choices_may_be_equal_and_right_ones_on_demand() -> None:
    assert _read(_row(choices=["York", "York", "Hull"], answer=2))["answer"] == 2
    assert _read(_row(choices=["York", "Hull", "York"], answer=2), repeated=True)["answer"] == 2


def test_rows_may_have_different_numbers_of_choices() -> None:
    table = Table([_row(), _row(choices=TOWNS[:2]), _row(choices=[*TOWNS, "Ely"], answer="D")], "a.csv")
    assert [len(row["choices"]) for row in read_choices(table, COLUMNS, "auto").rows] == [3, 2, 4]
