"""The loss counts the target alone, decoders and encoder-decoders alike; what is generated is what is measured."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, LlamaConfig, PreTrainedTokenizerBase, T5Config

from lightune.data.table import Row, Table
from lightune.errors import ConfigError, DataError
from lightune.losses import IGNORED
from lightune.metrics.text import Rouge
from lightune.tasks import language
from lightune.tasks.base import Batch, Prediction
from lightune.tasks.text_to_text import TextToText
from tests.tasks.features import batch_of, features_of

TASK = TextToText(
    columns={"id": "id", "source": "document", "target": "summary"},
    prompt={"decoder": "{source} in short", "encoder-decoder": "{source}"},
    max_target_length=8,
    metrics={"rouge": Rouge(("rouge1",))},
)
ROWS: list[Row] = [
    {"document": "a long text about a bridge", "summary": "a bridge"},
    {"document": "short", "summary": ["it is short", "short"]},
    {"document": "one two three " * 10, "summary": "one two three four five six seven eight nine ten"},
]
KINDS = ("decoder", "encoder-decoder")


def _model(kind: str, tokenizer: PreTrainedTokenizerBase) -> nn.Module:
    torch.manual_seed(0)
    size = len(tokenizer)
    if kind == "decoder":
        decoder = LlamaConfig(
            vocab_size=size, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
        )
        return AutoModelForCausalLM.from_config(decoder).eval()
    config = T5Config(vocab_size=size, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    config.decoder_start_token_id = 0
    return AutoModelForSeq2SeqLM.from_config(config).eval()


def _encoded(task: TextToText, tokenizer: PreTrainedTokenizerBase, length: int = 32) -> list[dict[str, Any]]:
    return features_of(task, task.read(Table(ROWS, "a.jsonl")).rows, tokenizer, length)


def _batch(features: Sequence[dict[str, Any]]) -> Batch:
    return batch_of(features, TASK)


@pytest.fixture(scope="module", params=KINDS)
def ready(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerBase) -> tuple[TextToText, nn.Module]:
    model: Any = _model(request.param, tokenizer)
    return TASK.with_backbone(model.config, tokenizer), model


def test_features_of_a_decoder(tokenizer: PreTrainedTokenizerBase) -> None:
    task = TASK.with_backbone(_model("decoder", tokenizer).config, tokenizer)  # type: ignore[arg-type]
    first, second, third = _encoded(task, tokenizer)
    assert tokenizer.decode(first["input_ids"]) == "[CLS] a long text about a bridge in short a bridge [SEP]"
    assert tokenizer.decode([t for t in first["labels"] if t != IGNORED]) == "a bridge [SEP]"
    assert first["labels"][: first["prompt_length"]] == [IGNORED] * first["prompt_length"]
    assert first["labels"][first["prompt_length"] :] == first["input_ids"][first["prompt_length"] :]
    assert tokenizer.decode([t for t in second["labels"] if t != IGNORED]) == "it is short [SEP]"
    assert [f["truncated"] for f in (first, second, third)] == [False, False, True]
    assert third["prompt_length"] == 32 - 8
    assert len(third["input_ids"]) == 32
    assert third["target_bytes"] == len("one two three four five six seven")
    assert str(tokenizer.decode(third["input_ids"])).endswith(" in short one two three four five six seven [SEP]")


def test_features_of_an_encoder_decoder(tokenizer: PreTrainedTokenizerBase) -> None:
    task = TASK.with_backbone(_model("encoder-decoder", tokenizer).config, tokenizer)  # type: ignore[arg-type]
    first, _, third = _encoded(task, tokenizer)
    assert tokenizer.decode(first["input_ids"]) == "[CLS] a long text about a bridge [SEP]"
    assert tokenizer.decode(first["labels"]) == "a bridge [SEP]"
    assert first["length"] == len(first["input_ids"]) + len(first["labels"])
    assert len(third["input_ids"]) == 32
    assert (task.auto_class, task.peft_type) == ("AutoModelForSeq2SeqLM", "SEQ_2_SEQ_LM")


def test_the_loss_is_that_of_transformers(
    ready: tuple[TextToText, nn.Module], tokenizer: PreTrainedTokenizerBase
) -> None:
    task, model = ready
    batch = _batch(_encoded(task, tokenizer))
    ours = task.step(model, batch)
    inputs = {key: batch[key] for key in ("input_ids", "attention_mask", "labels")}
    theirs = model(**inputs).loss
    assert float(ours.loss_sum / ours.count) == pytest.approx(float(theirs), rel=1e-5)
    assert int(ours.count) == 3 + 4 + 8


def test_a_space_before_the_target(byte_level_tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer = byte_level_tokenizer
    task = replace(TASK, target_prefix=" ", prompt={"decoder": "{source}"})
    (feature, *_) = _encoded(task, tokenizer, 64)
    whole = tokenizer.decode([t for t in feature["input_ids"] if t != tokenizer.eos_token_id])
    assert whole == "a long text about a bridge a bridge"


def test_predictions_do_not_depend_on_the_batch(
    ready: tuple[TextToText, nn.Module], tokenizer: PreTrainedTokenizerBase
) -> None:
    task, model = ready
    features, rows = _encoded(task, tokenizer), task.read(Table(ROWS, "a.jsonl")).rows
    found: list[list[Prediction]] = []
    for parts in ([features], [[f] for f in features]):
        evidence = []
        for part in parts:
            with torch.no_grad():
                batch = _batch(part)
                evidence += task.predict(task.step(model, batch), batch)
        found.append(task.conclude(evidence, rows))
    assert [p.prediction for p in found[0]] == [p.prediction for p in found[1]]
    assert task.measure(found[0]) == pytest.approx(task.measure(found[1]), rel=1e-5)
    assert all(p.target == row["target"] for p, row in zip(found[0], rows, strict=True))


def test_nothing_is_generated_in_training_or_where_it_is_not_wanted(
    ready: tuple[TextToText, nn.Module], tokenizer: PreTrainedTokenizerBase
) -> None:
    task, model = ready
    batch = _batch(_encoded(task, tokenizer))
    assert len(task.step(model, batch).logits) == 3
    silent = replace(task, generation=None, decoder=None)
    assert len(silent.step(model, batch).logits) == 2
    try:
        assert len(task.step(model.train(), batch).logits) == 2
    finally:
        model.eval()
    assert "rouge1" not in silent.measure([])


def test_numbers_by_hand() -> None:
    predictions = TASK.conclude([(1, 2.0, 4, 6, " a b "), (0, 1.0, 1, 2, "c")], [_row("c"), _row("a x", "a b c d")])
    assert [p.prediction for p in predictions] == ["a b", "c"]
    found = TASK.measure(predictions)
    assert found["perplexity"] == pytest.approx(math.exp(3 / 5))
    assert found["bits_per_byte"] == pytest.approx(3 / 8 / math.log(2))
    # Of the two references "a b c d" fits better: 2 * 2 / (2 + 4).
    assert found["rouge1"] == pytest.approx((4 / 6 + 1) / 2)


def _row(*targets: str) -> Row:
    return {"id": "x", "target": list(targets)}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"document": "a", "summary": ""}, "column 'summary' should hold a text, or a list of texts, and holds ''"),
        ({"document": "a", "summary": " "}, "column 'summary' should hold a text, or a list of texts"),
        ({"document": "a", "summary": []}, "column 'summary' should hold a text, or a list of texts"),
        ({"document": "a", "summary": ["b", ""]}, "column 'summary' should hold a text, or a list of texts"),
        ({"document": "a", "summary": 3}, "column 'summary' should hold a text, or a list of texts, and holds 3"),
        ({"document": "a", "summary": None}, "column 'summary' has no value"),
        ({"document": " ", "summary": "b"}, "column 'document' should hold a text"),
        ({"document": ["a", 1], "summary": "b"}, "column 'document' should hold a text"),
        ({"document": [], "summary": "b"}, "column 'document' should hold a text"),
    ],
)
def test_rows_that_cannot_be_used_are_named(row: Row, message: str) -> None:
    with pytest.raises(DataError, match=f"news.jsonl, line 9: {message}"):
        TASK.read(Table([row], "news.jsonl", lines=[9]))


def test_sentences_of_a_list_are_one_source() -> None:
    (row,) = TASK.read(Table([{"document": ["One.", "Two."], "summary": "b"}], "news.jsonl")).rows
    assert row["source"] == "One. Two."


@pytest.mark.parametrize(
    ("row", "targets"),
    [
        ({"summary": "a"}, ["a"]),
        ({"summary1": "b", "summary2": "c"}, ["b", "c"]),
        ({"summary1": "b", "summary2": None}, ["b"]),
        ({"summary1": "", "summary2": "c"}, ["c"]),
    ],
)
def test_targets_may_stand_in_several_columns(row: Row, targets: list[str]) -> None:
    task = replace(TASK, columns={**TASK.columns, "target": ["summary", "summary1", "summary2"]})
    (read,) = task.read(Table([{"document": "a", **row}], "news.jsonl")).rows
    assert read["target"] == targets


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"headline": "b"}, "news.jsonl: there is none of the columns first, second for a target"),
        (
            {"first": "", "second": None},
            "news.jsonl, row 1: column 'first, second' should hold a text, or a list of texts",
        ),
    ],
)
def test_several_columns_without_a_target(row: Row, message: str) -> None:
    task = replace(TASK, columns={**TASK.columns, "target": ["first", "second"]})
    with pytest.raises(DataError, match=message):
        task.read(Table([{"document": "a", **row}], "news.jsonl"))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match=r"there is no column 'summary' for the task's 'target'"):
        TASK.read(Table([{"document": "a", "headline": "b"}], "news.jsonl"))


def test_an_encoder_decoder_that_does_not_say_how_it_starts(tokenizer: PreTrainedTokenizerBase) -> None:
    config = T5Config(vocab_size=20)
    config.decoder_start_token_id = None
    with pytest.raises(ConfigError, match="does not say with which token its decoder starts"):
        TASK.with_backbone(config, tokenizer)


def test_an_evaluation_in_parts_is_that_of_the_whole(
    ready: tuple[TextToText, nn.Module], tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, model = ready
    batch = _batch(_encoded(task, tokenizer))
    whole = task.step(model, batch)
    monkeypatch.setattr(language, "_LOGITS", 1)
    parts = task.step(model, batch)
    for one, other in zip(parts.logits, whole.logits, strict=True):
        torch.testing.assert_close(one, other)
