"""Filters take the rows that they say, count nothing twice, and say what is wrong with them."""

from typing import Any

import pytest

from lightune.data.filters import CONDITIONS, filtered, parse
from lightune.data.table import Table
from lightune.errors import ConfigError, DataError

ROWS: list[dict[str, Any]] = [
    {"text": "a short one", "lang": "en", "stars": 5, "gold": True, "words": ["a", "b"]},
    {"text": "this one has six words here", "lang": "de", "stars": "3.5", "gold": "false", "words": []},
    {"text": "", "lang": None, "stars": 0, "gold": "True", "words": ["c"]},
    {"text": "zwei Worte", "lang": "de", "stars": "4", "gold": False, "words": ["d", "e", "f"]},
]
TABLE = Table(ROWS, "rows.jsonl", lines=[1, 2, 3, 4])


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        ({}, [0, 1, 2, 3]),
        ({"lang": "de"}, [1, 3]),
        ({"lang": ["en", "fr"]}, [0]),
        ({"lang": None}, [2]),
        ({"lang": {"not": None}}, [0, 1, 3]),
        ({"lang": {"not": ["de", "fr"]}}, [0, 2]),
        ({"stars": 4}, [3]),  # as a number, and as the text of a CSV file
        ({"stars": {"min": 3.5}}, [0, 1, 3]),
        ({"stars": {"min": 1, "max": 4}}, [1, 3]),
        ({"gold": True}, [0, 2]),
        ({"gold": False}, [1, 3]),
        ({"text": {"min_words": 2, "max_words": 3}}, [0, 3]),
        ({"text": {"min_chars": 1, "max_chars": 11}}, [0, 3]),
        ({"words": {"max_words": 1}}, [1, 2]),
        ({"text": {"matches": "^[a-z ]+$"}}, [0, 1]),
        ({"lang": {"matches": "e"}}, [0, 1, 3]),
        ({"lang": "de", "text": {"matches": "words|Worte"}, "stars": {"max": 3.9}}, [1]),
    ],
    ids=str,
)
def test_rows_that_meet_every_condition_are_taken(filters: dict[str, Any], kept: list[int]) -> None:
    table = filtered(TABLE, filters)
    assert table.rows == [ROWS[i] for i in kept]
    assert [table.locate(i) for i in range(len(table))] == [f"rows.jsonl, line {i + 1}" for i in kept]


def test_every_condition_is_tested_above() -> None:
    assert set(CONDITIONS) == {
        "is", "not", "matches", "min", "max", "min_words", "max_words", "min_chars", "max_chars",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("filters", "says", "remedy"),
    [
        ({"text": {"min_word": 3}}, "data.filter.text.min_word: there is no such condition", "'min_words'"),
        ({"text": {"max_words": "many"}}, "data.filter.text.max_words=many: expected a number", "=5"),
        ({"text": {"matches": "("}}, r"data\.filter\.text\.matches=\(: no regular expression", "re understands"),
    ],
)
def test_a_condition_that_cannot_be_is_refused_before_rows_are_read(
    filters: dict[str, Any], says: str, remedy: str
) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        parse(filters)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("filters", "says", "remedy"),
    [
        ({"langs": "de"}, "data.filter.langs: rows.jsonl has no such column", "'lang'"),
        ({"lang": "fr"}, "data.filter.lang=fr: no row of rows.jsonl is left", "'en'"),
        (
            {"text": {"min": 1}},
            "rows.jsonl, line 1: column 'text' holds 'a short one', which is no number",
            "max_chars",
        ),
    ],
)
def test_rows_that_do_not_fit_a_condition_are_named(filters: dict[str, Any], says: str, remedy: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        filtered(TABLE, filters)
    assert remedy in caught.value.remedy
