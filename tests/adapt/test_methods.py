"""What each method trains, what it saves, and that an adapter read back gives the very same numbers."""

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from lightune.adapt import Adapter, Full
from lightune.errors import ConfigError
from lightune.models import Backbone
from lightune.tasks.base import Task
from lightune.tasks.classification import Classification
from lightune.tasks.ner import EntityRecognition
from lightune.tasks.qa import QuestionAnswering

TASKS: dict[str, Task] = {
    "qa": QuestionAnswering(columns={}),
    "classification": Classification(columns={}, labels=("a", "b", "c")),
    "ner": EntityRecognition(columns={}, labels=("B-X", "O")),
}
METHODS: dict[str, Callable[..., peft.PeftConfig]] = {
    "lora": partial(peft.LoraConfig, r=2),
    "dora": partial(peft.LoraConfig, r=2, use_dora=True),
    "loha": partial(peft.LoHaConfig, r=2),
    "ia3": partial(peft.IA3Config, feedforward_modules=[]),
}
BACKBONES = ("tiny_encoder", "tiny_decoder")
LORA = Adapter(METHODS["lora"])


def _loaded(backbone: Backbone, task: Task) -> tuple[PreTrainedModel, frozenset[str]]:
    torch.manual_seed(0)
    return backbone.load(task.auto_class, backbone.read_config(**task.head_config()))


def _logits(model: nn.Module, task: Task) -> Tensor:
    ids = torch.tensor([[101, 2054, 2003, 2023, 102, 2009, 2003, 102]])
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with torch.no_grad():
        output = model.eval()(**batch)
    return torch.cat([output.start_logits, output.end_logits]) if task.name == "qa" else output.logits


def _trainable(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def _shaken(model: nn.Module) -> Any:
    """Change everything that is trained, as training would: adapters begin as the identity."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_full_trains_everything_and_changes_nothing(backbone: str, name: str, request: pytest.FixtureRequest) -> None:
    task = TASKS[name]
    model, fresh = _loaded(request.getfixturevalue(backbone), task)
    before = _logits(model, task)
    for parameter in model.parameters():
        parameter.requires_grad = False
    full = Full()
    full.check(model, ())
    adapted = full.apply(model, fresh, task.peft_type)
    assert _trainable(adapted) == {parameter for parameter, _ in adapted.named_parameters()}
    assert torch.equal(_logits(adapted, task), before)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_an_adapter_and_its_head_survive_saving(
    backbone: str, name: str, method: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    task = TASKS[name]
    model, fresh = _loaded(request.getfixturevalue(backbone), task)
    base = copy.deepcopy(model)
    before = _logits(model, task)
    adapted = Adapter(METHODS[method]).apply(model, fresh, task.peft_type)
    assert isinstance(adapted, PeftModel)
    if method == "lora":  # the others may begin elsewhere
        assert torch.allclose(_logits(adapted, task), before, atol=1e-6)

    _shaken(adapted).save_pretrained(tmp_path)
    after = _logits(adapted, task)
    assert not torch.allclose(after, before, atol=1e-2)
    # The backbone as it was, with another head: whoever loads the adapter draws one at random.
    for parameter_name in fresh:
        nn.init.normal_(base.get_parameter(parameter_name))
    reloaded = PeftModel.from_pretrained(base, str(tmp_path))
    assert torch.equal(_logits(reloaded, task), after)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_only_the_adapter_and_the_head_are_trained(backbone: str, name: str, request: pytest.FixtureRequest) -> None:
    task = TASKS[name]
    model, fresh = _loaded(request.getfixturevalue(backbone), task)
    frozen = {key: tensor.clone() for key, tensor in model.state_dict().items() if key not in fresh}
    linear = sum(isinstance(m, nn.Linear) for m in model.modules()) - 1  # all but the head
    adapted = LORA.apply(model, fresh, task.peft_type)
    trained = _trainable(adapted)
    pairs = {key for key in trained if ".lora_A." in key or ".lora_B." in key}
    assert len(pairs) == 2 * linear
    heads = {f"base_model.model.{key.replace('.', '.modules_to_save.default.', 1)}" for key in fresh}
    assert trained - pairs == heads
    assert isinstance(adapted, PeftModel)
    kept = _shaken(adapted).get_base_model().state_dict()
    for key, tensor in frozen.items():
        layer, _, kind = key.rpartition(".")
        assert torch.equal(kept[key if key in kept else f"{layer}.base_layer.{kind}"], tensor), key


def test_gradients_reach_all_that_is_trained(tiny_encoder: Backbone) -> None:
    task = TASKS["classification"]
    model, fresh = _loaded(tiny_encoder, task)
    adapted = _shaken(LORA.apply(model, fresh, task.peft_type))
    ids = torch.tensor([[101, 2054, 102]])
    adapted(input_ids=ids, attention_mask=torch.ones_like(ids), labels=torch.tensor([1])).loss.backward()
    moved = {name for name, p in adapted.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert moved == _trainable(adapted)


def test_what_is_fresh_outside_the_head_is_trained_too(tiny_encoder: Backbone) -> None:
    task = TASKS["qa"]
    model, fresh = _loaded(tiny_encoder, task)
    query = "bert.encoder.layer.0.attention.self.query.bias"
    more = {"bert.embeddings.LayerNorm.weight", query}  # a parameter of a module, and one of a layer that is adapted
    adapted = LORA.apply(model, fresh | more, task.peft_type)
    plain = {name.removeprefix("base_model.model.").replace(".base_layer", "") for name in _trainable(adapted)}
    assert {name for name in plain if "lora_" not in name and "qa_outputs" not in name} == more


def test_a_head_that_came_with_the_weights_is_trained_too(tiny_encoder: Backbone) -> None:
    for name, head in (("qa", "qa_outputs"), ("classification", "classifier"), ("ner", "classifier")):
        model, _ = _loaded(tiny_encoder, TASKS[name])
        adapted = LORA.apply(model, frozenset(), TASKS[name].peft_type)
        assert {key for key in _trainable(adapted) if head in key} == {
            f"base_model.model.{head}.modules_to_save.default.{kind}" for kind in ("weight", "bias")
        }


def test_a_name_that_the_head_has_too_is_adapted_in_the_backbone(make_backbone: Callable[..., Backbone]) -> None:
    # RoBERTa's blocks and its head both have layers called dense.
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    task = TASKS["classification"]
    for wanted, count in (("auto", 12), (["dense"], 6)):
        model, fresh = _loaded(make_backbone(model_type="roberta", **sizes), task)
        adapted = Adapter(METHODS["lora"], target_modules=wanted).apply(model, fresh, task.peft_type)
        with_adapter = [name for name, module in adapted.named_modules() if hasattr(module, "lora_A")]
        assert len(with_adapter) == count
        assert not any("classifier" in name for name in with_adapter)
        whole = {name for name in _trainable(adapted) if "classifier" in name}
        assert len(whole) == 4
        assert all(".modules_to_save." in name for name in whole)


def test_modules_that_the_user_saves_are_kept_beside_the_head(tiny_encoder: Backbone) -> None:
    task = TASKS["qa"]
    model, fresh = _loaded(tiny_encoder, task)
    method = Adapter(partial(peft.LoraConfig, r=2, modules_to_save=["word_embeddings"]))
    saved = {name for name in _trainable(method.apply(model, fresh, task.peft_type)) if "modules_to_save" in name}
    assert {name.split(".modules_to_save")[0].rpartition(".")[2] for name in saved} == {"word_embeddings", "qa_outputs"}


def test_other_adapters_can_be_put_on_the_same_backbone(tiny_encoder: Backbone, tmp_path: Path) -> None:
    """A saved adapter names its task, its targets and its head, so that others' tools can load it."""
    task = TASKS["ner"]
    model, fresh = _loaded(tiny_encoder, task)
    adapted: Any = LORA.apply(model, fresh, task.peft_type)
    adapted.save_pretrained(tmp_path)
    config = peft.PeftConfig.from_pretrained(str(tmp_path))
    assert isinstance(config, peft.LoraConfig)
    assert config.task_type == "TOKEN_CLS"
    assert set(config.target_modules or ()) == {"query", "key", "value", "dense"}
    assert "classifier" in (config.modules_to_save or [])
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size < 100_000  # and it holds no backbone, which alone takes four megabytes


@pytest.mark.parametrize(
    ("method", "problem", "remedy"),
    [
        (Adapter(METHODS["lora"], target_modules=["qeury"]), "called 'qeury'", "did you mean 'query'"),
        (
            Adapter(partial(peft.LoraConfig, target_modules=["query"])),
            "peft.config.target_modules would be overruled",
            "peft.target_modules=[…]",
        ),
    ],
)
def test_a_method_that_does_not_fit_is_refused_without_weights(
    method: Adapter, problem: str, remedy: str, minilm: Backbone
) -> None:
    skeleton = minilm.skeleton("AutoModelForQuestionAnswering", minilm.read_config())
    with pytest.raises(ConfigError) as caught:
        method.check(skeleton, ["qa_outputs"])
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy
    LORA.check(skeleton, ["qa_outputs"])


@pytest.mark.parametrize(
    ("method", "problem"),
    [
        (Adapter(METHODS["lora"], target_modules=["LayerNorm"]), "Target module LayerNorm"),
        (Adapter(partial(peft.LoraConfig, r=0)), "`r` should be a positive integer"),
    ],
)
def test_what_peft_refuses_is_the_user_s_to_mend(method: Adapter, problem: str, tiny_encoder: Backbone) -> None:
    model, fresh = _loaded(tiny_encoder, TASKS["qa"])
    with pytest.raises(ConfigError, match=problem):
        method.apply(model, fresh, "QUESTION_ANS")
