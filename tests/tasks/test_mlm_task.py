"""What is chosen, what becomes of it, and an evaluation that does not depend on chance."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForMaskedLM, BertConfig, PreTrainedTokenizerBase

from lightune.data.table import Row, Table
from lightune.errors import ConfigError, DataError
from lightune.tasks import language
from lightune.tasks.base import Batch
from lightune.tasks.mlm import MaskedLanguageModelling, chosen_tokens, corrupted
from tests.tasks.features import batch_of, features_of

TASK = MaskedLanguageModelling(columns={"id": "id", "text": "text"})
TEXTS = ["Brinesalt is good for waterproofing boots.", "It was found for the first time in October 1840. " * 4, "Ω"]


def _features(task: MaskedLanguageModelling, tokenizer: PreTrainedTokenizerBase, length: int) -> list[dict[str, Any]]:
    return features_of(task, [{"text": text} for text in TEXTS], tokenizer, length)


def _batch(features: Sequence[dict[str, Any]]) -> Batch:
    return batch_of(features, TASK)


@pytest.fixture(scope="module")
def config(tokenizer: PreTrainedTokenizerBase) -> BertConfig:
    return BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )


@pytest.fixture(scope="module")
def task(config: BertConfig, tokenizer: PreTrainedTokenizerBase) -> MaskedLanguageModelling:
    return replace(TASK, mask_probability=0.4).with_backbone(config, tokenizer)


@pytest.fixture(scope="module")
def model(config: BertConfig) -> nn.Module:
    torch.manual_seed(0)
    return AutoModelForMaskedLM.from_config(config).eval()


def test_chosen_by_hand() -> None:
    units = torch.tensor([[-1, 0, 1, 1, 2, -1]])
    draws = torch.tensor([[0.0, 0.2, 0.1, 0.9, 0.5, 0.0]])
    assert chosen_tokens(units, draws, 0.15).int().tolist() == [[0, 0, 1, 1, 0, 0]]
    assert chosen_tokens(units, draws, 0.3).int().tolist() == [[0, 1, 1, 1, 0, 0]]


def test_corrupted_by_hand() -> None:
    ids = torch.tensor([[10, 11, 12, 13]])
    chosen = torch.tensor([[True, True, True, False]])
    fates = torch.tensor([[0.79, 0.85, 0.95, 0.0]])
    places = torch.tensor([[0.0, 0.999, 0.0, 0.0]])
    assert corrupted(ids, chosen, fates, places, mask_token=3, vocabulary=100).tolist() == [[3, 99, 12, 13]]


def test_shares() -> None:
    """Fifteen in a hundred tokens; of these eight tenths are masked, a tenth is random, a tenth stays."""
    torch.manual_seed(1)
    units = torch.arange(400).expand(500, 400)
    draws = torch.rand(3, 500, 400)
    chosen = chosen_tokens(units, draws[0], 0.15)
    ids = torch.full((500, 400), 7)
    found = corrupted(ids, chosen, draws[1], draws[2], mask_token=3, vocabulary=1000)
    assert chosen.float().mean() == pytest.approx(0.15, abs=0.005)
    assert (found[chosen] == 3).float().mean() == pytest.approx(0.8, abs=0.01)
    assert (found[chosen] == 7).float().mean() == pytest.approx(0.1, abs=0.01)
    assert torch.equal(found[~chosen], ids[~chosen])


def test_whole_words_are_chosen_together(task: MaskedLanguageModelling, tokenizer: PreTrainedTokenizerBase) -> None:
    features = _features(replace(task, whole_words=True), tokenizer, 64)
    units = torch.tensor(features[0]["units"])
    pieces = tokenizer.convert_ids_to_tokens(features[0]["input_ids"])
    joined = [place for place, piece in enumerate(pieces) if piece.startswith("##")]
    assert joined
    assert all(units[place] == units[place - 1] for place in joined)
    torch.manual_seed(0)
    for _ in range(20):
        chosen = chosen_tokens(units[None], torch.rand(1, len(units)), 0.4)[0]
        assert all(chosen[place] == chosen[place - 1] for place in joined)
        assert not chosen[[0, -1]].any()  # the special tokens


def test_nothing_is_lost_by_windows(task: MaskedLanguageModelling, tokenizer: PreTrainedTokenizerBase) -> None:
    special = (tokenizer.cls_token_id, tokenizer.sep_token_id)
    features = _features(task, tokenizer, 12)
    assert len(features) > len(TEXTS)
    for example, text in enumerate(TEXTS):
        ids = [t for f in features if f["example"] == example for t in f["input_ids"] if t not in special]
        assert ids == tokenizer(text, add_special_tokens=False)["input_ids"]


def test_an_evaluation_is_the_same_each_time_and_in_any_batch(
    task: MaskedLanguageModelling, tokenizer: PreTrainedTokenizerBase, model: nn.Module
) -> None:
    features = _features(task, tokenizer, 24)
    examples: list[Row] = [{"id": str(i)} for i in range(len(TEXTS))]
    found = []
    for parts in ([features], [[f] for f in reversed(features)], [features[:2], features[2:]]):
        evidence = []
        for part in parts:
            with torch.no_grad():
                batch = _batch(part)
                evidence += task.predict(task.step(model, batch), batch)
        found.append(task.measure(sorted(task.conclude(evidence, examples), key=lambda p: p.example)))
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert found[0] == pytest.approx(found[2], rel=1e-5)


def test_training_masks_anew_and_agrees_with_transformers(
    task: MaskedLanguageModelling, tokenizer: PreTrainedTokenizerBase, config: BertConfig
) -> None:
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_config(config).train()
    batch = _batch(_features(task, tokenizer, 64))
    losses = set()
    for seed in range(3):
        torch.manual_seed(seed)
        output = task.step(model, batch)
        losses.add(float(output.loss_sum))
        torch.manual_seed(seed)
        draws = torch.rand(3, *batch["units"].shape)
        chosen = chosen_tokens(batch["units"], draws[0], 0.4)
        ids = corrupted(batch["input_ids"], chosen, draws[1], draws[2], tokenizer.mask_token_id, len(tokenizer))
        inputs = {key: batch[key] for key in ("attention_mask", "token_type_ids")}
        theirs = model(input_ids=ids, labels=batch["input_ids"].where(chosen, -100), **inputs).loss
        assert float(output.loss_sum / output.count) == pytest.approx(float(theirs), rel=1e-5)
    assert len(losses) == 3


def test_hits_by_hand(task: MaskedLanguageModelling) -> None:
    predictions = task.conclude([(0, 2.0, 4, 1), (1, 1.0, 1, 1), (0, 1.0, 2, 2)], [{"id": "a"}, {"id": "b"}])
    assert [p.prediction for p in predictions] == [0.5, 1.0]
    assert task.measure(predictions)["accuracy"] == pytest.approx(4 / 7)
    assert task.measure([])["accuracy"] == 0.0


@pytest.mark.parametrize("share", [0, 1, -0.1, 15])
def test_a_share_that_is_none(share: float) -> None:
    with pytest.raises(ConfigError, match=r"task\.mask_probability="):
        replace(TASK, mask_probability=share)


def test_a_tokenizer_without_a_mask_is_refused(tokenizer: PreTrainedTokenizerBase, config: BertConfig) -> None:
    class Maskless:
        mask_token_id = None

    with pytest.raises(ConfigError, match="has no mask token"):
        TASK.with_backbone(config, Maskless())  # type: ignore[arg-type]


def test_a_blank_text_is_named() -> None:
    with pytest.raises(DataError, match=r"a\.csv, line 2: column 'text' should hold a text"):
        TASK.read(Table([{"text": " "}], "a.csv", lines=[2]))


def test_an_evaluation_in_parts_is_that_of_the_whole(
    task: MaskedLanguageModelling, model: nn.Module, tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = _batch(_features(task, tokenizer, 16))
    whole = task.step(model, batch)
    monkeypatch.setattr(language, "_LOGITS", 1)
    parts = task.step(model, batch)
    for one, other in zip(parts.logits, whole.logits, strict=True):
        torch.testing.assert_close(one, other)
