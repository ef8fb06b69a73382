"""Parameter groups on real architectures, against the Hugging Face Trainer's choice and by hand."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from torch import nn
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    LlamaModel,
    T5Config,
    T5ForConditionalGeneration,
    Trainer,
)

from lightune.errors import ConfigError
from lightune.optim.groups import decay_names, head_names, head_rate, parameter_groups

TINY: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 40,
}


def bert() -> nn.Module:
    return BertForQuestionAnswering(BertConfig(**TINY))


def llama() -> nn.Module:
    return LlamaForSequenceClassification(LlamaConfig(**TINY | {"num_labels": 3}))


def headless_llama() -> nn.Module:
    return LlamaModel(LlamaConfig(**TINY))


def tied_llama() -> nn.Module:
    return LlamaForCausalLM(LlamaConfig(**TINY, tie_word_embeddings=True))


def t5() -> nn.Module:
    return T5ForConditionalGeneration(T5Config(d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2, vocab_size=40))


def lora_bert(**settings: Any) -> nn.Module:
    model = BertForSequenceClassification(BertConfig(**TINY))
    chosen: dict[str, Any] = {"r": 2, "task_type": "SEQ_CLS", "target_modules": ["query", "value"], "bias": "all"}
    return get_peft_model(model, LoraConfig(**chosen | settings))


def lora_llama() -> nn.Module:
    return get_peft_model(llama(), LoraConfig(r=2, task_type="SEQ_CLS", target_modules=["q_proj"]))


MODELS = [bert, llama, headless_llama, tied_llama, t5, lora_bert, lora_llama]


def names(groups: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {group["name"]: group["param_names"] for group in groups}


@pytest.mark.parametrize("build", MODELS)
def test_decays_what_the_hugging_face_trainer_decays(build: Any) -> None:
    model = build()
    known = {name for name, _ in model.named_parameters()}
    # The method does not look at its Trainer; it lists a shared tensor under each of its names.
    theirs = set(Trainer.get_decay_parameter_names(None, model)) & known  # type: ignore[arg-type]
    assert decay_names(model) == theirs
    assert 0 < len(theirs) < len(known)


@pytest.mark.parametrize("build", MODELS)
@pytest.mark.parametrize("head_lr", [None, 0.1])
def test_every_trainable_parameter_sits_in_exactly_one_group(build: Any, head_lr: float | None) -> None:
    model = build()
    head_lr = head_lr if head_names(model) else None
    groups = parameter_groups(model, 0.01, 0.1, head_lr)
    named = [name for group in groups for name in group["param_names"]]
    assert sorted(named) == sorted(name for name, p in model.named_parameters() if p.requires_grad)
    for group in groups:
        assert [id(model.get_parameter(name)) for name in group["param_names"]] == [id(p) for p in group["params"]]


def test_groups_of_a_bert_for_question_answering() -> None:
    groups = parameter_groups(bert(), lr=1e-4, weight_decay=0.01, head_lr=1e-3)
    assert [(group["name"], group["lr"], group["weight_decay"]) for group in groups] == [
        ("embeddings", 1e-4, 0.01),
        ("backbone", 1e-4, 0.01),
        ("backbone/no_decay", 1e-4, 0.0),
        ("head", 1e-3, 0.01),
        ("head/no_decay", 1e-3, 0.0),
    ]
    by_name = names(groups)
    assert by_name["head"] == ["qa_outputs.weight"]
    assert by_name["head/no_decay"] == ["qa_outputs.bias"]
    # 3 embeddings; in each of 2 layers query, key, value, 3 dense matrices. A bias for each matrix of a layer, and
    # weight and bias for the norm of the embeddings and the two of each layer.
    assert len(by_name["embeddings"]) == 3
    assert len(by_name["backbone"]) == 2 * 6
    assert len(by_name["backbone/no_decay"]) == 2 * 6 + 2 * (1 + 2 * 2)
    assert "bert.embeddings.word_embeddings.weight" in by_name["embeddings"]


@pytest.mark.parametrize(("head_lr", "rate"), [(None, 1e-3), (0.5, 0.5), ("10x", 1e-2), ("2.5x", 2.5e-3), ("1x", 1e-3)])
def test_the_heads_rate_is_a_number_or_a_multiple(head_lr: float | str | None, rate: float) -> None:
    assert head_rate(1e-3, head_lr) == pytest.approx(rate)
    rates = {group["name"]: group["lr"] for group in parameter_groups(bert(), 1e-3, 0.01, head_lr)}
    assert rates["backbone"] == rates["backbone/no_decay"] == 1e-3
    assert rates["head"] == rates["head/no_decay"] == pytest.approx(rate)


def test_a_multiple_means_nothing_where_there_is_no_head() -> None:
    assert {group["lr"] for group in parameter_groups(tied_llama(), 1e-3, 0.01, "10x")} == {1e-3}


def test_lora_trains_adapter_and_head_only() -> None:
    by_name = names(parameter_groups(lora_bert(bias="none"), 1e-3, 0.01))
    assert set(by_name) == {"backbone", "head", "head/no_decay"}
    assert len(by_name["backbone"]) == 2 * 2 * 2  # layers × targets × (A, B)
    assert all("lora_" in name for name in by_name["backbone"])
    assert by_name["head"] == ["base_model.model.classifier.modules_to_save.default.weight"]


def test_magnitudes_of_dora_do_not_decay() -> None:
    by_name = names(parameter_groups(lora_bert(bias="none", use_dora=True), 1e-3, 0.01))
    assert len(by_name["backbone/no_decay"]) == 2 * 2
    assert all("magnitude" in name for name in by_name["backbone/no_decay"])


def test_shared_parameters_appear_once() -> None:
    model = tied_llama()
    groups = parameter_groups(model, 1e-3, 0.01)
    every = [id(parameter) for group in groups for parameter in group["params"]]
    assert len(every) == len(set(every))
    assert head_names(model) == frozenset()  # its only matrix is the embedding's


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (bert, {"qa_outputs.weight", "qa_outputs.bias"}),
        (llama, {"score.weight"}),
        (lambda: nn.Linear(2, 2), set()),
        (lambda: get_peft_model(tied_llama(), PromptTuningConfig("CAUSAL_LM", num_virtual_tokens=2)), set()),
    ],
)
def test_heads(build: Any, expected: set[str]) -> None:
    assert head_names(build()) == expected


@pytest.mark.parametrize(
    ("build", "fresh", "expected"),
    [
        (bert, {"qa_outputs.weight", "qa_outputs.bias"}, {"qa_outputs.weight", "qa_outputs.bias"}),
        (bert, set(), set()),  # a head that came with the weights is no more in a hurry than they are
        (llama, {"model.norm.weight"}, {"model.norm.weight"}),  # new, though no head
        (lora_bert, {"classifier.weight"}, {"base_model.model.classifier.modules_to_save.default.weight"}),
        (
            lora_bert,
            {"bert.encoder.layer.0.attention.self.query.bias"},
            {"base_model.model.bert.encoder.layer.0.attention.self.query.base_layer.bias"},
        ),
    ],
)
def test_a_multiple_is_for_what_is_new(build: Any, fresh: set[str], expected: set[str]) -> None:
    model = build()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    fast = {
        name
        for group in parameter_groups(model, 1e-3, 0.01, "10x", fresh)
        for name in group["param_names"]
        if group["lr"] == pytest.approx(1e-2)
    }
    assert fast == expected


def test_a_rate_is_for_every_head() -> None:
    rates = {group["name"]: group["lr"] for group in parameter_groups(bert(), 1e-3, 0.01, 0.5, fresh=())}
    assert rates["head"] == rates["head/no_decay"] == 0.5


@pytest.mark.parametrize("norm", [nn.LayerNorm([2, 3]), nn.RMSNorm([2, 3]), nn.GroupNorm(2, 4), nn.BatchNorm1d(4)])
def test_normalisation_layers_of_any_shape_do_not_decay(norm: nn.Module) -> None:
    assert decay_names(nn.Sequential(nn.Linear(3, 3, bias=False), norm)) == {"0.weight"}


@pytest.mark.parametrize("build", [bert, llama, lora_bert])
def test_shards_without_a_shape_decay_alike(build: Any) -> None:
    model = build()
    before = decay_names(model)
    for parameter in model.parameters():
        parameter.data = parameter.data.flatten()[:5]  # what FSDP 1 and ZeRO-3 leave on a rank
    assert decay_names(model) == before


def test_frozen_parameters_are_left_out() -> None:
    model = bert()
    model.requires_grad_(False)
    model.get_parameter("qa_outputs.weight").requires_grad_(True)
    assert names(parameter_groups(model, 0.1, 0.1)) == {"head": ["qa_outputs.weight"]}


def test_optimiser_takes_the_groups_and_a_checkpoint_keeps_the_names(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    before = model.bias.detach().clone()
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.1, 0.5), lr=9.0, weight_decay=9.0)
    model.weight.grad = torch.zeros_like(model.weight)
    model.bias.grad = torch.zeros_like(model.bias)
    weight = model.weight.detach().clone()
    optimizer.step()  # without a gradient only the decay is left: w ← w (1 − lr · decay)
    assert torch.allclose(model.weight, weight * (1 - 0.1 * 0.5))
    assert torch.equal(model.bias, before)
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    saved = torch.load(tmp_path / "state.pt", weights_only=True)["param_groups"]
    assert [(group["name"], group["param_names"]) for group in saved] == [
        ("backbone", ["weight"]),
        ("backbone/no_decay", ["bias"]),
    ]


def test_layers_below_learn_more_slowly() -> None:
    groups = parameter_groups(bert(), lr=1.0, weight_decay=0.01, head_lr=10.0, layer_decay=0.5)
    assert [(group["name"], group["lr"]) for group in groups] == [
        ("embeddings", 0.25),
        ("backbone/embeddings/no_decay", 0.25),  # their normalisation
        ("backbone/layer.0", 0.5),
        ("backbone/layer.0/no_decay", 0.5),
        ("backbone/layer.1", 1.0),
        ("backbone/layer.1/no_decay", 1.0),
        ("head", 10.0),
        ("head/no_decay", 10.0),
    ]
    by_name = names(groups)
    assert all(".layer.0." in name for name in by_name["backbone/layer.0"])
    assert by_name["backbone/embeddings/no_decay"] == [
        "bert.embeddings.LayerNorm.weight",
        "bert.embeddings.LayerNorm.bias",
    ]


@pytest.mark.parametrize("build", MODELS)
def test_layer_decay_counts_each_stack_for_itself(build: Any) -> None:
    groups = parameter_groups(build(), lr=1.0, weight_decay=0.0, layer_decay=0.1)
    for group in groups:
        rates = {"layer.0": 0.1, "layer.1": 1.0} if build is not t5 else {"layer.0": 1.0}
        layer = next((layer for layer in rates if layer in group["name"]), None)
        top = "embeddings" not in group["name"]
        assert group["lr"] == pytest.approx(rates[layer] if layer else 1.0 if top else 0.1 if build is t5 else 0.01)


def test_stacks_of_different_depths_have_rates_of_their_own() -> None:
    config = T5Config(d_model=16, d_kv=8, d_ff=24, num_layers=3, num_decoder_layers=1, num_heads=2, vocab_size=40)
    groups = parameter_groups(T5ForConditionalGeneration(config), lr=1.0, weight_decay=0.1, layer_decay=0.5)
    rates = {group["name"]: group["lr"] for group in groups}
    assert [rates[f"backbone/encoder.block/layer.{i}"] for i in range(3)] == [0.25, 0.5, 1.0]
    assert rates["backbone/decoder.block/layer.0"] == 1.0


def test_more_than_ten_layers_stand_in_their_order() -> None:
    model = BertForQuestionAnswering(BertConfig(**TINY | {"num_hidden_layers": 12}))
    found = [g["name"] for g in parameter_groups(model, 1.0, 0.1, layer_decay=0.9) if "layer" in g["name"]]
    assert found == [f"backbone/layer.{i}{part}" for i in range(12) for part in ("", "/no_decay")]


@pytest.mark.parametrize(
    ("numbers", "key"),
    [
        ({"lr": -1e-4}, "optimizer.lr"),
        ({"lr": float("nan")}, "optimizer.lr"),
        ({"weight_decay": -0.01}, "optimizer.weight_decay"),
        ({"head_lr": float("inf")}, "optimizer.head_lr"),
        ({"head_lr": 1e-3}, "optimizer.head_lr"),  # this model has no head
        ({"layer_decay": 0.0}, "optimizer.layer_decay"),
        ({"layer_decay": 1.1}, "optimizer.layer_decay"),
    ],
)
def test_numbers_that_cannot_be(numbers: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        parameter_groups(nn.Linear(2, 2), **({"lr": 1e-4, "weight_decay": 0.0} | numbers))


def test_nothing_to_train() -> None:
    with pytest.raises(ConfigError, match="no trainable parameter") as caught:
        parameter_groups(nn.Linear(2, 2).requires_grad_(False), 1e-4, 0.0)
    assert "peft=" in caught.value.remedy
