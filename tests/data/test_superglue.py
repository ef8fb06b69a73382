"""SuperGLUE's nested lines become the Hub's rows, each with the line that it came from."""

import json
from pathlib import Path
from typing import Any

import pytest

from lightune.data import readers
from lightune.errors import DataError

MULTIRC: dict[str, Any] = {
    "idx": 6,
    "passage": {
        "text": "Bo paints. Cy sings.",
        "questions": [
            {
                "idx": 2,
                "question": "Who sings?",
                "answers": [{"text": "Bo", "idx": 8, "label": 0}, {"text": "Cy", "idx": 9, "label": 1}],
            },
            {"question": "Who paints?", "answers": [{"text": "Bo"}]},
        ],
    },
}
WSC = {"idx": 3, "text": "Bo left, for he was ill.", "target": {"span1_text": "Bo", "span2_text": "he"}, "label": True}

RECORD: dict[str, Any] = {
    "idx": 5,
    "passage": {
        "text": "Bo met Cy in York. Cy left.",
        "entities": [
            {"start": 0, "end": 1},
            {"start": 7, "end": 8},
            {"start": 13, "end": 16},
            {"start": 19, "end": 20},
        ],
    },
    "qas": [
        {"idx": 1, "query": "@placeholder left.", "answers": [{"text": "Cy", "start": 7, "end": 8}, {"text": "Cy"}]},
        {"query": "In @placeholder."},
    ],
}


def _written(folder: Path, *rows: object) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_multirc_has_a_row_for_each_answer(tmp_path: Path) -> None:
    table = readers.read(_written(tmp_path, MULTIRC, {**MULTIRC, "idx": 7}))
    common = {"paragraph": "Bo paints. Cy sings.", "question": "Who sings?", "question_idx": "6-2"}
    assert table.rows[:2] == [
        {"idx": "6-2-8", **common, "answer": "Bo", "label": 0},
        {"idx": "6-2-9", **common, "answer": "Cy", "label": 1},
    ]
    assert table.rows[2] == {
        "idx": "6-1-0",
        "paragraph": "Bo paints. Cy sings.",
        "question": "Who paints?",
        "question_idx": "6-1",
        "answer": "Bo",
        "label": None,
    }
    assert [table.locate(i) for i in (0, 2, 3)] == [f"rows.jsonl, line {line}" for line in (1, 1, 2)]


def test_record_has_a_row_for_each_query(tmp_path: Path) -> None:
    common = {"passage": "Bo met Cy in York. Cy left.", "entities": ["Bo", "Cy", "York"]}
    assert readers.read(_written(tmp_path, RECORD)).rows == [
        {"idx": "5-1", "query": "@placeholder left.", "answers": ["Cy"], **common},
        {"idx": "5-1", "query": "In @placeholder.", "answers": None, **common},
    ]


def test_wsc_has_its_spans_in_columns(tmp_path: Path) -> None:
    (row,) = readers.read(_written(tmp_path, WSC)).rows
    assert row == {"idx": 3, "text": "Bo left, for he was ill.", "label": True, "span1_text": "Bo", "span2_text": "he"}


@pytest.mark.parametrize("row", [{"passage": "a"}, {"passage": {"text": "a"}}, {"target": "a"}, {"target": {"a": 1}}])
def test_other_rows_stay_as_they_are(row: dict[str, Any], tmp_path: Path) -> None:
    assert readers.read(_written(tmp_path, row)).rows == [row]


def test_a_row_of_another_layout_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl, line 2: not in the layout of the rows before it"):
        readers.read(_written(tmp_path, WSC, {"text": "a"}))
