"""Pairs are read and encoded text by text, each loss is what it says, and vectors become what is measured."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedTokenizerBase

from lightune.data.table import Row, Table
from lightune.errors import ConfigError, DataError
from lightune.models import Backbone
from lightune.tasks.base import Batch, Output
from lightune.tasks.embedding import Embedding
from lightune.tasks.pooling import POOLINGS
from tests.tasks.features import batch_of, features_of

COLUMNS: dict[str, str | None] = {"id": "id", "text": "text", "text_pair": "text_pair", "negative": "negative"}
SCORED: dict[str, str | None] = {**COLUMNS, "score": "score"}
TASK = Embedding(columns=COLUMNS, pooling="mean")
COSINE = Embedding(columns=SCORED, loss="cosine", pooling="mean")
COSENT = replace(COSINE, loss="cosent")
ABOVE = Embedding(columns=SCORED, positive_score=4.0, pooling="mean")
ROWS: list[Row] = [
    {"text": "a dog runs in the park", "text_pair": "the animal is running", "negative": ["a dog sleeps"]},
    {"text": "she sings", "text_pair": "a woman sings an old song to her child", "negative": []},
    {"text": "it rains", "text_pair": "water falls", "negative": ["it snows", "the sun shines on the sea today"]},
]


def _scored(scores: list[float]) -> list[Row]:
    return [{**row, "score": score} for row, score in zip(ROWS, scores, strict=True)]


def _encoded(rows: list[Row], tokenizer: PreTrainedTokenizerBase, task: Embedding, length: int = 64) -> dict[str, Any]:
    table = task.read(Table(rows, "a.jsonl"))
    columns = {key: [row[key] for row in table.rows] for key in table.rows[0]}
    return task.encode({**columns, "example": list(range(len(rows)))}, tokenizer, length)


def _batch(rows: list[Row], tokenizer: PreTrainedTokenizerBase, task: Embedding, multiple: int | None = None) -> Batch:
    return batch_of(features_of(task, task.read(Table(rows, "a.jsonl")).rows, tokenizer, 64), task, multiple)


@pytest.fixture(scope="module")
def model(tiny_encoder: Backbone) -> nn.Module:
    """Return a random encoder without dropout whose texts differ."""
    torch.manual_seed(0)
    config = tiny_encoder.read_config()
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    config.initializer_range = 0.2
    return tiny_encoder.load("AutoModel", config)[0].train()


# Rows -----------------------------------------------------------------------------------------------------------------


def test_pairs_with_and_without_negatives() -> None:
    pair = {"text": "a", "text_pair": "b"}
    assert TASK.read(Table([pair], "a.csv")).rows == [{"id": "1", **pair}]
    assert TASK.read(Table([{**pair, "negative": "c"}], "a.csv")).rows == [{"id": "1", **pair, "negative": ["c"]}]
    many = {**pair, "negative": ["c", "d"]}
    assert TASK.read(Table([many], "a.jsonl")).rows == [{"id": "1", **many}]
    none = Embedding(columns={**COLUMNS, "negative": None})
    assert none.read(Table([many], "a.jsonl")).rows == [{"id": "1", **pair}]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": " "}, r"a\.csv, line 7: column 'text' should hold a text"),
        ({"text_pair": 3}, r"a\.csv, line 7: column 'text_pair' should hold a text"),
        ({"negative": ["c", ""]}, r"a\.csv, line 7: column 'negative' should hold a text, or a list of texts, .* ''"),
        ({"negative": 4}, r"a\.csv, line 7: column 'negative' should hold a text, or a list of texts, .* 4"),
        ({"score": "high"}, r"a\.csv, line 7: column 'score' should hold a number"),
        ({"score": 5.5}, r"a\.csv, line 7: the score 5\.5 lies outside of task\.score_range=\[0,5\]"),
    ],
)
def test_bad_rows_are_named(row: Row, message: str) -> None:
    whole = {"text": "a", "text_pair": "b", "negative": "c", "score": 1.0, **row}
    with pytest.raises(DataError, match=message):
        COSINE.read(Table([whole], "a.csv", lines=[7]))


def test_a_named_column_has_to_be_there() -> None:
    task = Embedding(columns={**COLUMNS, "negative": "negativ"})
    with pytest.raises(DataError, match=r"a\.csv: there is no column 'negativ' for the task's 'negative'"):
        task.read(Table([{"text": "a", "text_pair": "b", "negative": "c"}], "a.csv"))


def test_scores_out_of_range_matter_to_the_cosine_alone() -> None:
    row = {"text": "a", "text_pair": "b", "score": 12}
    assert COSENT.read(Table([row], "a.csv")).rows[0]["score"] == 12.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "contrastiv"}, r"task\.loss=contrastiv[\s\S]*did you mean 'contrastive'"),
        ({"pooling": "max"}, r"task\.pooling=max[\s\S]*mean"),
        ({"temperature": 0.0}, r"task\.temperature=0\.0: expected a number above 0"),
        ({"score_range": (5, 0)}, r"task\.score_range=\[5, 0\]"),
        ({"loss": "cosine"}, r"task\.loss=cosine needs scores[\s\S]*task\.columns\.score"),
        ({"columns": SCORED}, r"does not know which of the scored pairs[\s\S]*task\.positive_score"),
    ],
)
def test_settings_that_do_not_go_together(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(TASK, **changes)


def test_scores_that_teach_nothing_are_refused() -> None:
    def table(*scores: float) -> Table:
        return COSENT.read(Table([{"text": "a", "text_pair": "b", "score": score} for score in scores], "a.csv"))

    with pytest.raises(DataError, match=r"a\.csv: no pair reaches task\.positive_score=4[\s\S]*highest score is 3\.5"):
        ABOVE.with_labels(table(3.5, 1))
    for task in (COSINE, COSENT):
        with pytest.raises(DataError, match=r"a\.csv: all pairs have the same score, 2\.0"):
            task.with_labels(table(2, 2))
        assert task.with_labels(table(2, 3)) == task
    assert ABOVE.with_labels(table(4, 4)) == ABOVE
    assert TASK.with_labels(Table([], "a.csv")) == TASK
    assert TASK.group({"text": "a", "text_pair": "b"}) == "a"


# Features -------------------------------------------------------------------------------------------------------------


def test_each_text_is_encoded_alone(tokenizer: PreTrainedTokenizerBase) -> None:
    encoded = _encoded(ROWS, tokenizer, TASK)
    for row, ids, length in zip(ROWS, encoded["input_ids"], encoded["length"], strict=True):
        assert ids == tokenizer([row["text"], row["text_pair"], *row["negative"]])["input_ids"]
        assert length == sum(map(len, ids))
    assert encoded["truncated"] == [False] * 3
    assert _encoded(ROWS, tokenizer, TASK, 6)["truncated"] == [True] * 3
    assert "score" not in encoded
    assert _encoded(_scored([1, 2, 3]), tokenizer, COSENT)["score"] == [1.0, 2.0, 3.0]


def test_equal_texts_have_equal_keys(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = [{"text": "a", "text_pair": "b", "negative": ["c"]}, {"text": "c", "text_pair": "a", "negative": ["d"]}]
    (a, b, c), (also_c, also_a, d) = _encoded(rows, tokenizer, TASK)["key"]
    assert (a, c) == (also_a, also_c)
    assert len({a, b, c, d}) == 4
    assert all(0 <= key < 2**63 for key in (a, b, c, d))


@pytest.mark.parametrize(("backbone", "pooling"), [("tiny_encoder", "mean"), ("tiny_decoder", "last")])
def test_the_pooling_suits_the_backbone(
    backbone: str, pooling: str, tokenizer: PreTrainedTokenizerBase, request: pytest.FixtureRequest
) -> None:
    config = request.getfixturevalue(backbone).read_config()
    assert Embedding(columns=COLUMNS).with_backbone(config, tokenizer).pooling == pooling
    assert Embedding(columns=COLUMNS, pooling="cls").with_backbone(config, tokenizer).pooling == "cls"


# Steps ----------------------------------------------------------------------------------------------------------------


def _vector(model: nn.Module, tokenizer: PreTrainedTokenizerBase, text: str, pooling: str = "mean") -> Tensor:
    """Return one text's vector, without padding and without this task's help."""
    hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
    vector = {"mean": hidden.mean(0), "cls": hidden[0], "last": hidden[-1]}[pooling]
    return vector / vector.norm()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_contrastive_loss_is_that_of_texts_one_by_one(
    pooling: str, model: nn.Module, tokenizer: PreTrainedTokenizerBase
) -> None:
    task = replace(TASK, pooling=pooling)
    texts = [*(row["text_pair"] for row in ROWS), *(text for row in ROWS for text in row["negative"])]
    with torch.no_grad():
        queries, candidates = (
            torch.stack([_vector(model, tokenizer, text, pooling) for text in part])
            for part in ([row["text"] for row in ROWS], texts)
        )
        wanted = functional.cross_entropy(queries @ candidates.T / 0.05, torch.arange(3), reduction="sum")
    for multiple in (None, 8):
        output = task.step(model, _batch(ROWS, tokenizer, task, multiple))
        assert output.loss_sum.item() == pytest.approx(wanted.item(), rel=1e-4)
        assert int(output.count) == 3
        assert output.loss_sum.requires_grad
        assert torch.allclose(output.logits[0], queries, atol=1e-5)


def test_an_evaluation_takes_its_loss_from_the_split(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> None:
    batch = _batch(ROWS, tokenizer, TASK)
    trained = TASK.step(model, batch)
    output = TASK.step(model.eval(), batch)
    model.train()
    assert (output.loss_sum.item(), int(output.count)) == (0.0, 3)
    predictions = TASK.conclude(TASK.predict(output, batch), [{"id": str(i), **row} for i, row in enumerate(ROWS)])
    assert TASK.measure(predictions)["loss"] == pytest.approx(trained.loss_sum.item() / 3, rel=1e-4)


def test_the_loss_of_cosines(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> None:
    rows = _scored([5.0, 0.0, 2.5])
    output = COSINE.step(model, _batch(rows, tokenizer, COSINE))
    with torch.no_grad():
        found = [float(_vector(model, tokenizer, r["text"]) @ _vector(model, tokenizer, r["text_pair"])) for r in rows]
    wanted = (found[0] - 1) ** 2 + found[1] ** 2 + (found[2] - 0.5) ** 2
    assert output.loss_sum.item() == pytest.approx(wanted, rel=1e-4)
    ordered = COSENT.step(model, _batch(rows, tokenizer, COSENT))
    mistakes = sum(np.exp((found[j] - found[i]) / 0.05) for i, j in ((0, 1), (0, 2), (2, 1)))
    assert ordered.loss_sum.item() == pytest.approx(3 * np.log(1 + mistakes), rel=1e-4)


def test_only_pairs_that_belong_together_are_pulled(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> None:
    rows = _scored([4.0, 3.9, 5.0])
    assert int(ABOVE.step(model, _batch(rows, tokenizer, ABOVE)).count) == 2
    none = ABOVE.step(model, _batch(_scored([0, 1, 2]), tokenizer, ABOVE))
    assert (none.loss_sum.item(), int(none.count)) == (0.0, 0)
    assert none.loss_sum.requires_grad


def test_without_normalisation_products_are_free(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> None:
    task = replace(TASK, normalize=False, temperature=1.0)
    firsts, _ = task.step(model, _batch(ROWS, tokenizer, task)).logits
    unit, _ = TASK.step(model, _batch(ROWS, tokenizer, TASK)).logits
    assert torch.allclose(unit.norm(dim=1), torch.ones(3))
    assert (firsts.norm(dim=1) > 1.5).all()
    assert torch.allclose(functional.normalize(firsts, dim=1), unit, atol=1e-6)


# Examples -------------------------------------------------------------------------------------------------------------


def test_evidence_holds_each_examples_own_vectors() -> None:
    """Examples of one, no and two hard negatives: the other texts come slot by slot."""
    firsts, others = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[10.0], [20.0], [30.0], [11.0], [31.0], [32.0]])
    batch = {"key": torch.tensor([[1, 2, 3, -1], [4, 5, -1, -1], [6, 7, 8, 9]]), "example": torch.tensor([7, 0, 3])}
    evidence = TASK.predict(Output(torch.tensor(0.0), torch.tensor(3), (firsts, others)), batch)
    assert [(example, vectors.ravel().tolist()) for example, vectors in evidence] == [
        (7, [1.0, 10.0, 11.0]),
        (0, [2.0, 20.0]),
        (3, [3.0, 30.0, 31.0, 32.0]),
    ]


def test_retrieval_by_hand() -> None:
    examples = [{"id": "p", "text": "a", "text_pair": "b"}, {"id": "q", "text": "c", "text_pair": "d"}]
    evidence = [
        (1, np.array([[0.0, 1.0], [1.0, 0.0]], dtype="float32")),
        (0, np.array([[1.0, 0.0], [0.6, 0.8]], dtype="float32")),
    ]
    predictions = TASK.conclude(evidence, examples)
    assert [(p.id, p.prediction, p.target, p.scores["rank"]) for p in predictions] == [
        ("p", "d", "b", 2.0),
        ("q", "b", "d", 2.0),
    ]
    assert [p.scores["cosine"] for p in predictions] == pytest.approx([0.6, 0.0])
    metrics = TASK.measure(predictions)
    assert (metrics["mrr"], metrics["recall_at_1"], metrics["recall_at_5"]) == (0.5, 0.0, 1.0)
    wanted = [np.log(np.exp(20 * 0.6) + np.exp(20)) - 12, np.log(np.exp(16) + 1)]
    assert metrics["loss"] == pytest.approx(np.mean(wanted), rel=1e-5)
    assert predictions[0].row().keys() == {"id", "prediction", "target", "cosine", "rank", "loss"}


@pytest.mark.parametrize("task", [COSINE, COSENT, ABOVE])
def test_scored_pairs_are_correlated(task: Embedding) -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(40, 2, 8)).astype("float32")
    scores = generator.integers(0, 6, 40).astype(float)
    examples = [{"id": str(i), "text": f"a{i}", "text_pair": f"b{i}", "score": s} for i, s in enumerate(scores)]
    predictions = task.conclude(list(enumerate(vectors)), examples)
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in vectors]
    assert [p.prediction for p in predictions] == pytest.approx(cosines, abs=1e-6)
    metrics = task.measure(predictions)
    assert metrics["spearman"] == pytest.approx(spearmanr(cosines, scores).statistic, abs=1e-6)
    assert metrics["pearson"] == pytest.approx(pearsonr(cosines, scores).statistic, abs=1e-6)
    assert metrics["loss"] > 0
    if task is COSINE:
        assert metrics["loss"] == pytest.approx(np.mean((np.array(cosines) - scores / 5) ** 2), rel=1e-5)
    if task is ABOVE:
        assert [bool(p.scores) for p in predictions] == [score >= 4 for score in scores]


@pytest.mark.parametrize("task", [TASK, COSINE, COSENT, ABOVE])
def test_names_of_metrics_are_known_beforehand(task: Embedding) -> None:
    assert task.measure([])["loss"] == 0.0
    assert ("mrr" in task.measure([])) == (not task.scored)
    assert ("spearman" in task.measure([])) == task.scored
    assert task.tables([]) == {}
