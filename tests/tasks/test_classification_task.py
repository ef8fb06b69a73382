"""Labels in one order, pairs, a loss that smooths in training only, and the metrics of a model that knows."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from sklearn.metrics import f1_score, precision_score, recall_score
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedTokenizerBase

from lightune import losses
from lightune.data import world
from lightune.data.table import Row, Table
from lightune.errors import ConfigError, DataError
from lightune.models import Backbone
from lightune.tasks.base import Batch, Output, Prediction
from lightune.tasks.classification import Classification
from tests.tasks.features import batch_of, features_of

COLUMNS: dict[str, str | None] = {"id": "id", "text": "text", "text_pair": None, "label": "label"}
TASK = Classification(columns=COLUMNS, labels=("negative", "neutral", "positive"))
PAIRS = Classification(columns={**COLUMNS, "text_pair": "reply"}, labels=("no", "yes"))


def _table(*labels: Any, text: str = "a text") -> Table:
    rows = [{"text": f"{text} {i}", "label": label} for i, label in enumerate(labels)]
    return Table(rows, "train.csv", lines=list(range(2, 2 + len(rows))))


def _batch(rows: list[Row], tokenizer: PreTrainedTokenizerBase, task: Classification, length: int = 64) -> Batch:
    return batch_of(features_of(task, rows, tokenizer, length), task)


def _read(task: Classification, table: Table) -> list[Row]:
    return [{**row, "example": i} for i, row in enumerate(task.read(table).rows)]


@pytest.mark.parametrize(
    ("found", "labels"),
    [
        (["b", "a", "b"], ("a", "b")),
        ([10, 9, 10], ("9", "10")),
        (["10", "9"], ("9", "10")),
        ([True, False], ("False", "True")),
        ([" yes", "no "], ("no", "yes")),
        ([-1, 1, 0], ("-1", "0", "1")),
    ],
)
def test_labels_are_those_of_the_training_rows_in_order(found: list[Any], labels: tuple[str, ...]) -> None:
    task = replace(TASK, labels=None)
    trained = task.with_labels(task.read(_table(*found)))
    assert trained.labels == labels
    assert trained == replace(task, labels=labels)
    assert task.labels is None


def test_given_labels_stay_as_they_are() -> None:
    numbers: Any = [2, 1, 0]  # as a configuration may have them
    task = replace(TASK, labels=numbers)
    assert task.with_labels(task.read(_table(0, 1))).labels == ("2", "1", "0")


def test_one_label_is_no_classification() -> None:
    task = replace(TASK, labels=None)
    with pytest.raises(DataError, match=r"train\.csv: all examples have the same label, 'x'"):
        task.with_labels(task.read(_table("x", "x")))


@pytest.mark.parametrize(
    ("labels", "problem", "remedy"),
    [
        (["neutral", "positiv"], "train.csv, line 3: label 'positiv' is unknown", "did you mean 'positive'"),
        (["Neutral"], "train.csv, line 2: label 'Neutral' is unknown", "did you mean 'neutral'"),
        (["neutral", "neutral", 7], "train.csv, line 4: label '7' is unknown", "task.labels="),
    ],
)
def test_an_unknown_label_is_named(labels: list[Any], problem: str, remedy: str) -> None:
    with pytest.raises(DataError) as caught:
        TASK.check_labels(TASK.read(_table(*labels)))
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy
    TASK.check_labels(TASK.read(_table("neutral")))


@pytest.mark.parametrize(
    ("task", "row", "problem"),
    [
        (TASK, {"text": "fine", "label": " "}, "line 9: the label is empty"),
        (TASK, {"text": "fine", "label": None}, "line 9: column 'label' has no value"),
        (TASK, {"text": " ", "label": "no"}, "line 9: column 'text' should hold a text"),
        (PAIRS, {"text": "fine", "reply": "", "label": "no"}, "line 9: column 'reply' should hold a text"),
        (PAIRS, {"text": "fine", "label": "no"}, "no column 'reply' for the task's 'text_pair'"),
    ],
)
def test_a_wrong_row_is_named(task: Classification, row: Row, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        task.read(Table([row], "val.jsonl", lines=[9]))


def test_pairs_are_told_apart(tokenizer: PreTrainedTokenizerBase) -> None:
    table = Table([{"text": "It rains.", "reply": "Then stay.", "label": "yes"}], "a")
    assert PAIRS.read(table).rows == [{"id": "1", "text": "It rains.", "text_pair": "Then stay.", "label": "yes"}]
    batch = _batch(_read(PAIRS, table), tokenizer, PAIRS)
    assert tokenizer.convert_ids_to_tokens(batch["input_ids"][0].tolist()) == (
        "[CLS] it rains . [SEP] then stay . [SEP]".split()
    )
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 0, 0, 1, 1, 1, 1]]
    assert batch["labels"].tolist() == [1]


def test_of_a_pair_the_longer_text_gives_way(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = [{"text": "one two", "text_pair": "x " * 50, "label": "no", "example": 0}]
    (ids,) = _batch(rows, tokenizer, PAIRS, 10)["input_ids"].tolist()
    assert tokenizer.convert_ids_to_tokens(ids) == "[CLS] one two [SEP] x x x x x [SEP]".split()


@pytest.mark.parametrize("backbone", ["tiny_encoder", "tiny_decoder"])
def test_the_head_knows_the_labels(backbone: str, request: pytest.FixtureRequest) -> None:
    chosen: Backbone = request.getfixturevalue(backbone)
    model, _ = chosen.load(TASK.auto_class, chosen.read_config(**TASK.head_config()))
    assert model.config.id2label == {0: "negative", 1: "neutral", 2: "positive"}
    assert model.num_labels == 3


@pytest.mark.parametrize("backbone", ["tiny_encoder", "tiny_decoder"])
def test_smoothing_is_for_training(
    backbone: str, tokenizer: PreTrainedTokenizerBase, make_backbone: Any, request: pytest.FixtureRequest
) -> None:
    config = dict(request.getfixturevalue(backbone).config)
    still = {"attention_probs_dropout_prob": 0.0, "hidden_dropout_prob": 0.0} if backbone == "tiny_encoder" else {}
    chosen = make_backbone(**config, **still)
    task = replace(TASK, label_smoothing=0.2)
    model, _ = chosen.load(task.auto_class, chosen.read_config(**task.head_config()))
    texts = [("bad", "negative"), ("it is very good indeed, I think", "positive"), ("so so", "neutral")]
    table = Table([{"text": text, "label": label} for text, label in texts], "a")
    batch = _batch(_read(task, table), tokenizer, task)
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    assert batch["labels"].tolist() == [0, 2, 1]
    for training, smoothing in ((True, 0.2), (False, 0.0)):
        output = task.step(model.train(training), batch)
        # By the definition: a share of the target's probability goes to all labels evenly.
        wanted = functional.one_hot(batch["labels"], 3) * (1 - smoothing) + smoothing / 3
        loss = -(wanted * logits.log_softmax(-1)).sum()
        assert output.loss_sum.item() == pytest.approx(loss.item(), rel=1e-5)
        assert output.count.item() == 3
        assert torch.allclose(output.logits[0], logits, atol=1e-6)
        assert not output.logits[0].requires_grad


def test_weights_by_hand() -> None:
    train = TASK.read(_table("negative", "negative", "negative", "positive"))
    # 4 examples, 3 labels: 4 / (3 · 3) and 4 / (3 · 1); a label without examples weighs 1.
    balanced = replace(TASK, class_weights="balanced").with_labels(train).class_weights
    assert balanced == {"negative": pytest.approx(4 / 9), "neutral": 1.0, "positive": pytest.approx(4 / 3)}
    named = replace(TASK, class_weights={"positive": 5}).with_labels(train).class_weights
    assert named == {"negative": 1.0, "neutral": 1.0, "positive": 5.0}
    assert TASK.with_labels(train).class_weights is None


@pytest.mark.parametrize(
    ("weights", "problem"),
    [
        ("equal", "task.class_weights=equal: expected null, balanced, or label: factor"),
        ({"positiv": 2.0}, "there is no label 'positiv'"),
        ({"positive": 0}, "task.class_weights.positive=0: expected a number above 0"),
        ({"positive": "much"}, "task.class_weights.positive=much: expected a number above 0"),
    ],
)
def test_wrong_weights_are_refused(weights: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        replace(TASK, class_weights=weights).with_labels(TASK.read(_table("negative", "positive")))


def test_weights_and_focusing_are_for_training(tokenizer: PreTrainedTokenizerBase, tiny_decoder: Backbone) -> None:
    model, _ = tiny_decoder.load(TASK.auto_class, tiny_decoder.read_config(**TASK.head_config()))
    table = _table("negative", "positive", "neutral")
    task = replace(TASK, class_weights={"negative": 2, "neutral": 3, "positive": 4}, focal_gamma=2.0)
    task = task.with_labels(task.read(table))
    batch = _batch(_read(task, table), tokenizer, task)
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    true = logits.log_softmax(-1).gather(1, batch["labels"][:, None]).squeeze(1)
    assert task.step(model.eval(), batch).loss_sum.item() == pytest.approx(-true.sum().item(), rel=1e-5)
    trained = -(torch.tensor([2.0, 4.0, 3.0]) * (1 - true.exp()) ** 2 * true).sum()
    assert task.step(model.train(), batch).loss_sum.item() == pytest.approx(trained.item(), rel=1e-4)


def test_predictions_by_hand() -> None:
    logits = torch.tensor([[0.0, 3.0, 0.0], [1.0, 0.0, 1.5], [2.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    batch = {"example": torch.tensor([2, 0, 3, 1])}
    evidence = TASK.predict(Output(torch.tensor(0.0), torch.tensor(4), (logits.bfloat16(),)), batch)
    targets = ["positive", "positive", "neutral", "positive"]
    examples = [{"id": f"r{i}", "label": label} for i, label in enumerate(targets)]
    predictions = sorted(TASK.conclude(evidence, examples), key=lambda p: p.example)
    assert [(p.id, p.prediction, p.target) for p in predictions] == [
        ("r0", "positive", "positive"),
        ("r1", "positive", "positive"),
        ("r2", "neutral", "neutral"),
        ("r3", "negative", "positive"),
    ]
    assert predictions[2].scores["confidence"] == pytest.approx(torch.tensor([0.0, 3, 0]).softmax(0)[1].item())
    measured = TASK.measure(predictions)
    assert measured["accuracy"] == measured["f1_micro"] == 0.75
    # positive: precision 1, recall 2/3, F1 4/5; neutral: 1; negative: predicted, never there: 0.
    assert measured["f1_macro"] == pytest.approx((0.8 + 1 + 0) / 3)
    assert [row["support"] for row in TASK.tables(predictions)["per_class"]] == [0, 1, 3]


@pytest.mark.parametrize("labels", [None, ("c", "a", "b", "d")])
def test_a_model_that_knows_scores_one(tokenizer: PreTrainedTokenizerBase, labels: tuple[str, ...] | None) -> None:
    own = labels is not None
    table = _table(*"abcdabca" * 5) if own else Table(world.generate("classification")["test"], "corpus")
    task = replace(TASK, labels=labels).with_labels(TASK.read(table))
    rows = _read(task, table)
    evidence: list[Any] = []
    for at in range(0, len(rows), 32):
        batch = _batch(rows[at : at + 32], tokenizer, task)
        logits = functional.one_hot(batch["labels"], len(task.labels or ())) * 20.0
        evidence += task.predict(Output(torch.tensor(0.0), torch.tensor(0), (logits,)), batch)
    predictions = task.conclude(evidence, rows)
    assert [p.prediction for p in predictions] == [row["label"] for row in rows]
    measured = task.measure(predictions)
    assert measured.pop("ece") == pytest.approx(0, abs=1e-6)
    assert set(measured.values()) == {1.0}
    assert sum(row["support"] for row in task.tables(predictions)["per_class"]) == len(rows)


def test_splits_balance_the_labels() -> None:
    assert TASK.stratum({"label": "x"}) == "x"
    assert TASK.group({"label": "x"}) is None


def _prediction(found: str, wanted: str, group: str = "") -> Prediction:
    return Prediction(0, "x", found, wanted, {"confidence": 0.5}, [0.5, 0.5], group)


@pytest.mark.parametrize(("positive", "f1"), [("yes", 0.8), (["1", "yes"], 0.8), ("no", 2 / 3)])
def test_a_positive_label_has_numbers_of_its_own(positive: Any, f1: float) -> None:
    task = replace(PAIRS, positive=positive)
    found = [_prediction("yes", "yes"), _prediction("yes", "yes"), _prediction("yes", "no"), _prediction("no", "no")]
    metrics = task.measure(found)
    assert metrics["f1"] == pytest.approx(f1)
    theirs = [
        score([p.target for p in found], [p.prediction for p in found], pos_label="no" if positive == "no" else "yes")
        for score in (precision_score, recall_score, f1_score)
    ]
    assert [metrics[name] for name in ("precision", "recall", "f1")] == pytest.approx(theirs)
    assert {"precision", "recall", "f1"}.isdisjoint(replace(task, positive=None).measure(found))


def test_a_label_that_never_occurs_scores_nothing() -> None:
    metrics = replace(PAIRS, positive="yes").measure([_prediction("no", "no")])
    assert [metrics[name] for name in ("precision", "recall", "f1")] == [0, 0, 0]


@pytest.mark.parametrize(
    ("positive", "problem"), [("ja", "there is no such label"), (["no", "yes"], "several are labels")]
)
def test_a_positive_label_that_cannot_be_told(positive: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"task.positive=.*{problem}"):
        replace(PAIRS, positive=positive).measure([])


def test_groups_stand_or_fall_together() -> None:
    task = replace(PAIRS, columns={**PAIRS.columns, "group": "question"})
    found = [
        _prediction("yes", "yes", "a"),
        _prediction("no", "no", "b"),
        _prediction("no", "yes", "b"),
        _prediction("no", "no", "c"),
    ]
    assert task.measure(found)["exact_match"] == pytest.approx(2 / 3)
    assert task.measure([])["exact_match"] == 0
    row = {"text": "a", "reply": "b", "label": "no", "question": "q"}
    (read,) = task.read(Table([row], "a.csv")).rows
    assert task.group(read) == read["group"] == "q"
    (concluded,) = task.conclude([(0, 0, torch.tensor([0.7, 0.3]).numpy())], [read])
    assert concluded.group == "q"


def test_r_drop_is_the_mean_of_two_passes_and_their_divergence() -> None:
    class Turns(nn.Module):
        """Gives one pair of logits after the other."""

        def __init__(self) -> None:
            super().__init__()
            self.logits = [torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])]

        def forward(self, **_: Tensor) -> Any:
            return SimpleNamespace(logits=self.logits.pop(0))

    task = replace(TASK, labels=("a", "b"), r_drop=3.0)
    batch = {"input_ids": torch.ones(1, 2), "attention_mask": torch.ones(1, 2), "labels": torch.tensor([0])}
    one, other = Turns().logits
    expected = (
        functional.cross_entropy(one, batch["labels"])
        + functional.cross_entropy(other, batch["labels"])
        + 3.0 * losses.divergence(one, other)
    ) / 2
    assert float(task.step(Turns().train(), batch).loss_sum) == pytest.approx(float(expected))
    once = task.step(Turns().eval(), batch).loss_sum
    assert float(once) == pytest.approx(float(functional.cross_entropy(one, batch["labels"])))
