"""Texts go through two models, each by itself and once; what comes back is kept."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, BartConfig, BartForConditionalGeneration

from lightune.data import back_translation
from lightune.data.augmentation import Augmentation
from lightune.data.back_translation import back_translated
from lightune.data.table import Table
from lightune.errors import ConfigError

TEXTS = ["A dog runs.", "It rains, and nobody is out in the park today.", "He plays the piano", "x"]


@pytest.fixture(scope="module")
def models(minilm: Any, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the folders of two small encoder-decoders with random weights."""
    folders = []
    for seed in (1, 2):
        folder = tmp_path_factory.mktemp(f"translator{seed}")
        tokenizer = minilm.tokenizer()
        torch.manual_seed(seed)
        config = BartConfig(
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.sep_token_id,
            bos_token_id=tokenizer.cls_token_id,
            decoder_start_token_id=tokenizer.cls_token_id,
            forced_eos_token_id=None,
            d_model=16,
            encoder_layers=1,
            decoder_layers=1,
            max_position_embeddings=128,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=16,
            decoder_ffn_dim=16,
            init_std=1.0,
        )
        BartForConditionalGeneration(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        folders.append(str(folder))
    return folders


def _alone(text: str, path: str) -> str:
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModelForSeq2SeqLM.from_pretrained(path).eval()
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    found = model.generate(input_ids=ids, do_sample=False, max_new_tokens=8)
    return str(tokenizer.decode(found[0], skip_special_tokens=True))


def test_each_text_goes_there_and_back(models: list[str], tmp_path: Path) -> None:
    found = back_translated(TEXTS, models, tmp_path)
    assert len(found) == len(TEXTS)
    assert found != TEXTS
    for text, both in zip(TEXTS, found, strict=True):
        (middle,) = back_translation._translated([text], models[0], "")
        (last,) = back_translation._translated([middle], models[1], "")
        assert both == last  # neither the order nor the padding of a batch changes a translation
        assert middle.startswith(_alone(text, models[0])[:8].strip())


def test_a_translation_is_kept(models: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = back_translated(TEXTS, models, tmp_path)
    monkeypatch.setattr(back_translation, "_translated", None)
    assert back_translated(TEXTS, models, tmp_path) == first
    with pytest.raises(TypeError):
        back_translated(TEXTS[:2], models, tmp_path)


def test_copies_are_added_beside_the_others(models: list[str], tmp_path: Path) -> None:
    table = Table([{"id": str(i), "text": text, "label": "a"} for i, text in enumerate(TEXTS)], "a.csv")
    back = back_translated(TEXTS, models, tmp_path)
    alone = Augmentation.of({"copies": 0, "back_translation": models}).copies_of(table, ["text"], 0, tmp_path)
    assert [row["text"] for row in alone.rows] == [*TEXTS, *(new or old for new, old in zip(back, TEXTS, strict=True))]
    assert [row["id"] for row in alone.rows[4:]] == ["0~back", "1~back", "2~back", "3~back"]
    both = Augmentation.of({"swap": 0.3, "back_translation": models}).copies_of(table, ["text"], 0, tmp_path)
    assert len(both) == 12
    assert both.rows[8:] == alone.rows[4:]
    assert both.locate(9) == "a.csv, row 2"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("one", r"back_translation=one: expected two models"),
        (["one"], r"back_translation=\['one'\]: expected two models"),
        (["/none/a", "/none/b"], "back_translation: /none/a could not be loaded"),
    ],
)
def test_models_that_cannot_be_had_are_named(given: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        back_translated(TEXTS, given, tmp_path)
