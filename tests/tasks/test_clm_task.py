"""Every token of a document is predicted once, however it is cut; the numbers are transformers' own."""

import math
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerBase

from lightune.data.table import Row, Table
from lightune.errors import DataError
from lightune.losses import IGNORED
from lightune.tasks import language
from lightune.tasks.base import Batch
from lightune.tasks.clm import CausalLanguageModelling
from lightune.tasks.documents import windows
from tests.tasks.features import batch_of, features_of

TASK = CausalLanguageModelling(columns={"id": "id", "text": "text"})
TEXTS = ["One of the shorter documents.", "A bridge. " * 12, "Ω"]


def _features(tokenizer: PreTrainedTokenizerBase, length: int) -> list[dict[str, Any]]:
    return features_of(TASK, [{"text": text} for text in TEXTS], tokenizer, length)


def _batch(features: list[dict[str, Any]]) -> Batch:
    return batch_of(features, TASK)


@pytest.fixture(scope="module")
def model(tokenizer: PreTrainedTokenizerBase) -> nn.Module:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize("overlap", [0, 1, 3])
@pytest.mark.parametrize("count", [1, 4, 5, 8, 9, 10, 23])
def test_windows_cover_everything_once(count: int, overlap: int) -> None:
    parts = [list(part) for part in windows(range(count), 5, overlap)]
    assert parts[0] + [token for part in parts[1:] for token in part[overlap:]] == list(range(count))
    assert all(len(part) <= 5 for part in parts)
    assert all(len(part) > overlap for part in parts[1:])


@pytest.mark.parametrize("length", [8, 11, 64])
def test_every_token_is_a_target_once(tokenizer: PreTrainedTokenizerBase, length: int) -> None:
    features = _features(tokenizer, length)
    for example, text in enumerate(TEXTS):
        found = [token for f in features if f["example"] == example for token in f["labels"] if token != IGNORED]
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert found == [*ids, tokenizer.sep_token_id]
    assert all(len(f["input_ids"]) <= length and f["labels"][0] == IGNORED for f in features)
    assert all(f["input_ids"][0] == tokenizer.cls_token_id for f in features if f["example"] != 1)


def test_the_loss_is_that_of_transformers(tokenizer: PreTrainedTokenizerBase, model: nn.Module) -> None:
    batch = _batch(_features(tokenizer, 64))
    ours = TASK.step(model, batch)
    theirs = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=batch["labels"]).loss
    assert float(ours.loss_sum / ours.count) == pytest.approx(float(theirs), rel=1e-5)


def test_numbers_by_document(tokenizer: PreTrainedTokenizerBase, model: nn.Module) -> None:
    """Windows are added up; the perplexity of all is that of all tokens, and bytes are those of the text."""
    examples: list[Row] = [{"id": str(i), "text": text} for i, text in enumerate(TEXTS)]
    evidence = []
    for feature in reversed(_features(tokenizer, 11)):
        with torch.no_grad():
            batch = _batch([feature])
            evidence += TASK.predict(TASK.step(model, batch), batch)
    predictions = TASK.conclude(evidence, examples)
    assert sorted(p.example for p in predictions) == [0, 1, 2]
    by_id = {p.id: p for p in predictions}
    assert by_id["2"].scores["bytes"] == 2
    assert by_id["2"].prediction == pytest.approx(math.exp(by_id["2"].scores["loss"] / by_id["2"].scores["tokens"]))
    found = TASK.measure(predictions)
    total = sum(p.scores["loss"] for p in predictions)
    assert found["perplexity"] == pytest.approx(math.exp(total / sum(p.scores["tokens"] for p in predictions)))
    size = sum(len(text.encode()) for text in TEXTS)
    assert found["bits_per_byte"] == pytest.approx(total / math.log(2) / size)


@pytest.mark.parametrize("text", ["", " \n", None, 3, ["a"]])
def test_what_is_no_text_is_named(text: Any) -> None:
    with pytest.raises(DataError, match=r"books\.jsonl, line 4: column 'text'"):
        TASK.read(Table([{"text": text}], "books.jsonl", lines=[4]))


def test_an_evaluation_in_parts_is_that_of_the_whole(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = _batch(_features(tokenizer, 16))
    whole = TASK.step(model, batch)
    monkeypatch.setattr(language, "_LOGITS", 1)
    parts = TASK.step(model, batch)
    for one, other in zip(parts.logits, whole.logits, strict=True):
        torch.testing.assert_close(one, other)
