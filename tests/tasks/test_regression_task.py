"""Numbers are read strictly, the loss is a squared error, and predictions keep the data's unit."""

from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from lightune.data.table import Row, Table
from lightune.errors import DataError
from lightune.models import Backbone
from lightune.tasks.base import Batch, Output, model_inputs
from lightune.tasks.regression import Regression
from tests.tasks.features import batch_of, features_of

COLUMNS: dict[str, str | None] = {"id": "id", "text": "text", "text_pair": "text_pair", "score": "score"}
TASK = Regression(columns=COLUMNS)
SINGLE = Regression(columns={**COLUMNS, "text_pair": None})


def _row(score: Any = 1.0, **others: Any) -> Row:
    return {"text": "one text", "text_pair": "another text", "score": score, **others}


def _batch(rows: list[Row], tokenizer: PreTrainedTokenizerBase, task: Regression, length: int = 64) -> Batch:
    return batch_of(features_of(task, task.read(Table(rows, "a.tsv")).rows, tokenizer, length), task)


@pytest.mark.parametrize(("given", "read"), [(3, 3.0), ("4.5", 4.5), (" 2 ", 2.0), (-1e-3, -0.001), ("1e2", 100.0)])
def test_numbers_are_read(given: Any, read: float) -> None:
    (row,) = TASK.read(Table([_row(given)], "a.tsv")).rows
    assert row == {"id": "1", "text": "one text", "text_pair": "another text", "score": read}


@pytest.mark.parametrize("given", ["good", "", "4,5", "nan", "inf", True, [1.0], "3 of 5"])
def test_what_is_no_number_is_named(given: Any) -> None:
    with pytest.raises(DataError, match=r"a\.tsv, line 7: column 'score' should hold a number, and holds "):
        TASK.read(Table([_row(given)], "a.tsv", lines=[7]))


def test_a_missing_number_is_named() -> None:
    with pytest.raises(DataError, match=r"a\.tsv, row 1: column 'score' has no value"):
        TASK.read(Table([_row(None)], "a.tsv"))


def test_one_number_is_no_regression() -> None:
    with pytest.raises(DataError, match=r"a\.tsv: all examples have the same score, 2\.0"):
        TASK.with_labels(TASK.read(Table([_row(2), _row("2.0")], "a.tsv")))
    assert TASK.with_labels(TASK.read(Table([_row(2), _row(3)], "a.tsv"))).mean == 2.5


@pytest.mark.parametrize("backbone", ["tiny_encoder", "tiny_decoder"])
def test_a_new_head_begins_at_the_mean(backbone: str, request: pytest.FixtureRequest) -> None:
    chosen: Backbone = request.getfixturevalue(backbone)
    model, fresh = chosen.load(TASK.auto_class, chosen.read_config(**TASK.head_config()))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    task = TASK.with_labels(TASK.read(Table([_row(2), _row(3)], "a.tsv")))
    task.initialize({name: parameter for name, parameter in model.named_parameters() if name in fresh})
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    has_bias = "classifier.bias" in before  # Llama's head has none
    assert changed == ["classifier.bias"] * has_bias
    assert not has_bias or model.state_dict()["classifier.bias"].tolist() == [2.5]


def test_an_evaluation_has_no_mean() -> None:
    bias = torch.nn.Parameter(torch.ones(1))
    TASK.initialize({"classifier.bias": bias})
    assert bias.item() == 1


def test_pairs_and_single_texts(tokenizer: PreTrainedTokenizerBase) -> None:
    pair, single = (_batch([_row(1)], tokenizer, task)["input_ids"][0].tolist() for task in (TASK, SINGLE))
    assert tokenizer.convert_ids_to_tokens(pair) == "[CLS] one text [SEP] another text [SEP]".split()
    assert tokenizer.convert_ids_to_tokens(single) == "[CLS] one text [SEP]".split()


def test_what_is_cut_is_counted(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = [{**row, "example": i} for i, row in enumerate([_row(1), _row(1, text="word " * 30)])]
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    assert TASK.encode(columns, tokenizer, 16)["truncated"] == [False, True]


@pytest.mark.parametrize("backbone", ["tiny_encoder", "tiny_decoder"])
def test_the_loss_is_the_squared_error(
    backbone: str, tokenizer: PreTrainedTokenizerBase, request: pytest.FixtureRequest
) -> None:
    chosen: Backbone = request.getfixturevalue(backbone)
    model, _ = chosen.load(TASK.auto_class, chosen.read_config(**TASK.head_config()))
    batch = _batch([_row(1), _row(4.5, text="a longer first text")], tokenizer, TASK)
    output = TASK.step(model.eval(), batch)
    logits = model(**model_inputs(batch)).logits
    assert logits.shape == (2, 1)
    wanted = ((logits[:, 0] - torch.tensor([1.0, 4.5])) ** 2).sum()
    assert output.loss_sum.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert int(output.count) == 2
    assert output.loss_sum.requires_grad
    # Hugging Face's own loss for a head with one output is the mean of the same.
    theirs = model(**model_inputs(batch), labels=batch["score"].float()).loss
    assert output.loss_sum.item() / 2 == pytest.approx(theirs.item(), rel=1e-5)


def test_predictions_keep_unit_and_place() -> None:
    batch = {"example": torch.tensor([1, 0])}
    evidence = TASK.predict(Output(torch.tensor(0.0), torch.tensor(2), (torch.tensor([2.5, -1.0]),)), batch)
    predictions = TASK.conclude(evidence, [{"id": "a", "score": 0.0}, {"id": "b", "score": 5.0}])
    assert [(p.example, p.id, p.prediction, p.target) for p in predictions] == [(1, "b", 2.5, 5.0), (0, "a", -1.0, 0.0)]
    assert TASK.measure(predictions)["pearson"] == pytest.approx(1.0)
    assert predictions[0].row() == {"id": "b", "prediction": 2.5, "target": 5.0}
    assert TASK.stratum({}) is TASK.group({}) is None
    assert TASK.tables(predictions) == {}
