"""An encoder-decoder from an encoder: its weights on both sides, and everything else new."""

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModel, BertConfig, PreTrainedTokenizerBase

from lightune.adapt.targets import fresh_modules
from lightune.models import Backbone
from lightune.models.architecture import architecture_of, head_parameters


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerBase) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2
    )
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_both_sides_start_from_the_encoder(encoder: Path, tmp_path: Path) -> None:
    backbone = Backbone(str(encoder), paired=True, cache=tmp_path)
    config = backbone.read_config()
    assert architecture_of(config) == "encoder-decoder"
    tokenizer = backbone.tokenizer()
    assert config.decoder_start_token_id == tokenizer.cls_token_id
    torch.manual_seed(0)
    model, fresh = backbone.load("AutoModelForSeq2SeqLM", config)
    plain = AutoModel.from_pretrained(encoder).state_dict()
    found = dict(model.named_parameters())
    known = [name for name in plain if f"encoder.{name}" in found]
    assert len(known) > 20
    assert all(torch.equal(found[f"encoder.{name}"], plain[name]) for name in known)
    shared = [name for name in known if f"decoder.bert.{name}" in found]
    assert len(shared) >= len(known) - 2  # the pooler
    assert all(torch.equal(found[f"decoder.bert.{name}"], plain[name]) for name in shared)
    new = set(found) - {f"encoder.{name}" for name in plain} - {f"decoder.bert.{name}" for name in plain}
    assert new <= fresh
    assert fresh & set(found) == new  # what is tied to something else has a second name
    assert any("crossattention" in name for name in fresh)
    assert all(module.startswith("decoder.") for module in fresh_modules(model, fresh))


def test_it_is_put_together_once(encoder: Path, tmp_path: Path) -> None:
    first = Backbone(str(encoder), paired=True, cache=tmp_path).location
    stamp = Path(first).stat().st_mtime_ns
    assert Backbone(str(encoder), paired=True, cache=tmp_path).location == first
    assert Path(first).stat().st_mtime_ns == stamp
    assert not list(Path(first).parent.glob("*.part"))


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_a_head_that_shares_the_embeddings_is_none(name: str) -> None:
    small = {"t5": {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}, "bart": {"d_model": 16}}
    config = AutoConfig.for_model(name, vocab_size=40, **small[name])
    model = Backbone("x", pretrained=False).skeleton("AutoModelForSeq2SeqLM", config)
    assert not head_parameters(model)
    assert not head_parameters(Backbone("x").skeleton("AutoModel", config))
