"""Any number of labels an example: how they are read, weighted, decided."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerBase

from lightune.data.encoding import EncodedSplit
from lightune.data.table import Row, Table
from lightune.errors import ConfigError, DataError
from lightune.evaluation import Evaluation
from lightune.models import Backbone
from lightune.tasks.base import Batch, Output, model_inputs
from lightune.tasks.multilabel import MultiLabelClassification
from tests.tasks.features import batch_of, features_of

COLUMNS: dict[str, str | None] = {"id": "id", "text": "text", "text_pair": None, "label": "label"}
UNNAMED = MultiLabelClassification(columns=COLUMNS)
TASK = replace(UNNAMED, labels=("joy", "anger", "fear"))


def _table(*labels: Any) -> Table:
    return Table([{"text": f"text {i}", "label": label} for i, label in enumerate(labels)], "a.tsv")


def _batch(table: Table, tokenizer: PreTrainedTokenizerBase, task: MultiLabelClassification) -> Batch:
    return batch_of(features_of(task, task.read(table).rows, tokenizer, 32), task)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["joy", "fear"], ["joy", "fear"]),
        ("joy, fear", ["joy", "fear"]),
        ("27", ["27"]),
        (7, ["7"]),
        ([0, 3], ["0", "3"]),
        ("", []),
        ([], []),
    ],
)
def test_labels_are_read_from_lists_and_texts(given: Any, read: list[str]) -> None:
    assert TASK.read(_table(given)).rows[0]["label"] == read


def test_another_separator() -> None:
    assert replace(TASK, separator="|").read(_table("a, b|c")).rows[0]["label"] == ["a, b", "c"]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("joy,joy", "label 'joy' is given twice"),
        (["joy", ""], "a label is empty"),
        (None, "column 'label' has no value"),
    ],
)
def test_a_wrong_row_is_named(given: Any, problem: str) -> None:
    with pytest.raises(DataError, match=f"a.tsv, row 2: {problem}"):
        TASK.read(_table("joy", given))


def test_label_names_are_those_of_the_training_rows() -> None:
    assert UNNAMED.with_labels(UNNAMED.read(_table("10,9", "", "2"))).labels == ("2", "9", "10")
    with pytest.raises(DataError, match="no example has a label"):
        UNNAMED.with_labels(UNNAMED.read(_table("", "")))
    with pytest.raises(DataError, match="row 2: label 'jy' is unknown") as caught:
        TASK.check_labels(TASK.read(_table("joy", "fear,jy")))
    assert "did you mean 'joy'" in caught.value.remedy


def test_balanced_weights_by_hand() -> None:
    train = TASK.read(_table("joy", "joy", "joy,anger", ""))
    assert replace(TASK, class_weights="balanced").with_labels(train).class_weights == (1 / 3, 3.0, 1.0)
    with pytest.raises(ConfigError, match="class_weights=equal: expected null or balanced"):
        replace(TASK, class_weights="equal").with_labels(train)


def test_splits_balance_combinations() -> None:
    assert TASK.stratum({"label": ["joy", "anger"]}) == TASK.stratum({"label": ["anger", "joy"]}) == ("anger", "joy")
    assert TASK.group({"label": []}) is None


@pytest.mark.parametrize("backbone", ["tiny_encoder", "tiny_decoder"])
def test_the_loss_is_that_of_transformers(
    backbone: str, tokenizer: PreTrainedTokenizerBase, request: pytest.FixtureRequest
) -> None:
    chosen: Backbone = request.getfixturevalue(backbone)
    model, _ = chosen.load(TASK.auto_class, chosen.read_config(**TASK.head_config()))
    batch = _batch(_table("joy,fear", "", "anger"), tokenizer, TASK)
    assert batch["labels"].tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    output = TASK.step(model.eval(), batch)
    theirs = model(**model_inputs(batch), labels=batch["labels"])
    assert output.loss_sum.item() / int(output.count) == pytest.approx(theirs.loss.item(), rel=1e-5)
    assert torch.equal(output.logits[0], theirs.logits)
    # Weights are for training.
    weighted = replace(TASK, class_weights=(9.0, 9.0, 9.0))
    assert weighted.step(model, batch).loss_sum.item() == output.loss_sum.item()
    assert weighted.step(model.train(), batch).loss_sum.item() > 1.5 * output.loss_sum.item()


def test_predictions_by_hand() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.1], [-3.0, -3.0, -3.0]])
    batch = {"example": torch.tensor([1, 0])}
    evidence = TASK.predict(Output(torch.tensor(0.0), torch.tensor(2), (logits,)), batch)
    examples = [{"id": "a", "label": ["joy"]}, {"id": "b", "label": ["fear", "joy"]}]
    predictions = sorted(TASK.conclude(evidence, examples), key=lambda p: p.example)
    assert [(p.id, p.prediction, p.target) for p in predictions] == [
        ("a", [], ["joy"]),
        ("b", ["joy", "fear"], ["fear", "joy"]),
    ]
    assert predictions[0].row() == {"id": "a", "prediction": [], "target": ["joy"]}
    measured = TASK.measure(predictions)
    assert measured["accuracy"] == 0.5  # the order of an example's labels says nothing
    assert measured["f1_micro"] == pytest.approx(2 * 2 / (2 + 3))
    assert [row["support"] for row in TASK.tables(predictions)["per_class"]] == [2, 0, 1]
    bold = replace(TASK, threshold=0.02).conclude(evidence, examples)
    assert [p.prediction for p in bold] == [["joy", "anger", "fear"]] * 2
    assert np.allclose(predictions[1].probabilities, logits[0].sigmoid())


def _shy(rows: list[Row]) -> list[Any]:
    """Return evidence that is right about every label, but never surer than 0.32."""
    names = TASK.labels or ()
    return [(i, np.array([0.32 if name in row["label"] else 0.12 for name in names])) for i, row in enumerate(rows)]


def test_val_decides_the_threshold_and_is_measured_with_it() -> None:
    rows = TASK.read(_table("joy", "fear,joy", "anger")).rows
    before = TASK.measure(TASK.conclude(_shy(rows), rows))
    tuned = TASK.tuned(before)
    assert (before["f1_micro"], before["best_threshold"], tuned.threshold) == (0.0, 0.3, 0.3)
    assert tuned.measure(tuned.conclude(_shy(rows), rows))["f1_micro"] == before["best_f1_micro"] == 1.0
    values = {}
    for tunes in (False, True):
        evaluation = Evaluation(TASK, EncodedSplit(rows, None, (), 0), tunes=tunes)  # type: ignore[arg-type]
        evaluation._evidence += _shy(rows)
        values[tunes] = evaluation.finish()["f1_micro"]
    assert values == {False: 0.0, True: 1.0}


def test_a_threshold_that_was_given_stays() -> None:
    given = replace(TASK, threshold=0.5)
    assert given.tuned({"best_threshold": 0.3}) is given
    assert TASK.tuned({"loss": 1.0}) is TASK


@pytest.mark.parametrize("threshold", ["low", True, -0.1, 1.0])
def test_a_threshold_is_a_probability(threshold: Any) -> None:
    with pytest.raises(ConfigError, match=rf"task\.threshold={threshold}: expected null or a number from 0 to 1"):
        replace(TASK, threshold=threshold)
