"""What all tasks share: canonical rows, checked texts, label names in a fixed order, and messages that help."""

import json
from typing import Any

import pytest
import torch

from lightune.data.table import Table
from lightune.errors import DataError
from lightune.tasks.base import Prediction, model_inputs
from lightune.tasks.columns import canonical, require_text
from lightune.tasks.labels import label_config, sorted_labels, unknown_label

TABLE = Table(
    [{"no": 7, "body": "one", "stars": 5, "more": 1}, {"no": 8, "body": "two", "stars": 3}],
    "reviews.jsonl",
    lines=[1, 4],
)


def test_rows_get_canonical_names_and_keep_their_places() -> None:
    read = canonical(TABLE, {"id": "no", "text": "body", "label": "stars"})
    assert read.rows == [{"id": "7", "text": "one", "label": 5}, {"id": "8", "text": "two", "label": 3}]
    assert read.locate(1) == "reviews.jsonl, line 4"
    assert TABLE.rows[0] == {"no": 7, "body": "one", "stars": 5, "more": 1}


@pytest.mark.parametrize(
    ("source", "text"),
    [("{body}", "one"), ("{body}: {more}", "one: 1"), ("no {no}", "no 7"), ("{#1 body} of {more}", "two of 1")],
)
def test_a_text_may_be_made_of_several_columns(source: str, text: str) -> None:
    table = Table([{"no": 7, "body": "one", "#1 body": "two", "more": 1}], "reviews.csv")
    assert canonical(table, {"text": source}).rows == [{"id": "1", "text": text}]


def test_a_column_that_a_row_lacks_leaves_its_place_in_a_text_empty() -> None:
    read = canonical(TABLE, {"id": "no", "text": "{body} {more}"})
    assert [row["text"] for row in read.rows] == ["one 1", "two "]


def test_a_missing_column_of_a_text_is_named() -> None:
    with pytest.raises(DataError, match="there is no column 'titel' for the task's 'text'"):
        canonical(TABLE, {"text": "{titel}: {body}"})


def test_a_column_with_braces_in_its_name_is_that_column() -> None:
    assert canonical(Table([{"{a}": "one", "a": "two"}], "a.csv"), {"text": "{a}"}).rows[0]["text"] == "one"


@pytest.mark.parametrize("source", [None, "id"])
def test_a_row_without_an_id_gets_its_number(source: str | None) -> None:
    read = canonical(TABLE.take([1]), {"id": source, "text": "body"})
    assert read.rows == [{"id": "2", "text": "two"}]


def test_an_optional_column_may_be_left_out() -> None:
    columns = {"text": "body", "text_pair": None}
    assert set(canonical(TABLE, columns, optional=("id", "text_pair")).rows[0]) == {"id", "text"}
    with pytest.raises(DataError, match="no column 'None' for the task's 'text_pair'"):
        canonical(TABLE, columns)


@pytest.mark.parametrize(
    ("columns", "problem", "remedy"),
    [
        ({"text": "bodi"}, "reviews.jsonl: there is no column 'bodi'", "did you mean 'body'?"),
        ({"text": "xyz"}, "(its columns: no, body, stars, more)", "type task.columns.text=<one of them>"),
        (
            {"text": "body", "text_pair": "reply"},
            "no column 'reply' for the task's 'text_pair'",
            "task.columns.text_pair",
        ),
        ({"label": "more"}, "reviews.jsonl, line 4: column 'more' has no value", "leave the row out"),
    ],
)
def test_a_column_that_is_not_there_is_named(columns: dict[str, str | None], problem: str, remedy: str) -> None:
    with pytest.raises(DataError) as caught:
        canonical(TABLE, columns, optional=("id", "text_pair"))
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("value", ["", " \n", 3, ["a"], None])
def test_a_text_has_something_to_read(value: Any) -> None:
    table = Table([{"text": "fine"}, {"text": value}], "a.csv", lines=[2, 3])
    with pytest.raises(DataError, match=r"a\.csv, line 3: column 'body' should hold a text"):
        require_text(table, "text", "body")
    require_text(table.take([0]), "text", "body")


@pytest.mark.parametrize(
    ("found", "given", "expected"),
    [
        ({"pos", "neg", "Neutral"}, None, ("Neutral", "neg", "pos")),
        ({"10", "9", "-1", "0"}, None, ("-1", "0", "9", "10")),
        ({"b", "10", "2"}, None, ("2", "10", "b")),
        ({"01", "1", "001", "+1"}, None, ("001", "01", "1", "+1")),  # equal numbers: still one order
        ({"²", "--1", "1.5", ""}, None, ("", "--1", "1.5", "²")),  # no whole numbers, whatever str.isdigit says
        ({"a", "b"}, ["b", "a", "c"], ("b", "a", "c")),
        ({"a"}, [2, 1], ("2", "1")),
    ],
)
def test_labels_have_one_order(found: set[str], given: list[Any] | None, expected: tuple[str, ...]) -> None:
    assert sorted_labels(found, given) == expected


def test_an_unknown_label_is_named_with_its_nearest() -> None:
    error = unknown_label(TABLE, 1, "positiv", ("negative", "positive"))
    assert error.problem == "reviews.jsonl, line 4: label 'positiv' is unknown: no training example has it"
    assert error.remedy.startswith("did you mean 'positive'")
    assert "task.labels=" in error.remedy


def test_a_model_s_configuration_names_the_labels() -> None:
    from transformers import BertConfig

    config = BertConfig(**label_config(("no", "yes", "maybe")))
    assert config.num_labels == 3
    assert config.id2label == {0: "no", 1: "yes", 2: "maybe"}
    assert config.label2id == {"no": 0, "yes": 1, "maybe": 2}


def test_models_get_only_what_they_all_take() -> None:
    batch = {name: torch.zeros(1) for name in ("input_ids", "attention_mask", "labels", "example", "start")}
    assert set(model_inputs(batch)) == {"input_ids", "attention_mask"}
    assert set(model_inputs({**batch, "token_type_ids": torch.zeros(1)})) == {
        "input_ids",
        "attention_mask",
        "token_type_ids",
    }


def test_a_prediction_becomes_a_flat_row() -> None:
    row = Prediction(4, "q7", "Paris", ["Paris", "paris"], {"f1": 1.0}).row()
    assert json.loads(json.dumps(row)) == {"id": "q7", "prediction": "Paris", "target": ["Paris", "paris"], "f1": 1.0}
