"""Quantised backbones: the same numbers as dequantised weights give, frozen, saved and loaded again."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.utils.integrations import dequantize_module_weight
from torch import nn
from transformers import BitsAndBytesConfig

from lightune.check import methods
from lightune.models import Backbone
from lightune.models.quantization import constructor, left_alone, quantized_parameters, torchao, weight_count
from tests import running
from tests.pretrained import CLASSES

pytest.importorskip("bitsandbytes")
pytest.importorskip("torchao")

KINDS = ("nf4", "fp4", "int8", "int8_weight_only")
NF4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
# Share of a weight's norm that rounding may take. Of a normal distribution's: 4 bits about 0.09, 8 bits about 0.01.
ROUNDED = {"nf4": 0.11, "fp4": 0.16, "int8": 0.015, "int8_weight_only": 0.015}


def typed(folder: Path, kind: str, *more: str) -> tuple[str, ...]:
    return ("task=classification", "model=auto", f"model.path={folder}", f"quantization={kind}", *more)


def layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return the layers with quantised weights."""
    names = {name.rpartition(".")[0] for name in quantized_parameters(model)}
    return {name: model.get_submodule(name) for name in names}


def full_weight(layer: Any) -> torch.Tensor:
    weight = layer.weight
    return weight.dequantize() if type(weight.data) is not torch.Tensor else dequantize_module_weight(layer)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", ["encoder", "decoder"])
def test_outputs_are_those_of_the_dequantised_weights(
    body: str, kind: str, pretrained: dict[str, Path], tmp_path: Path
) -> None:
    task = {"encoder": "classification", "decoder": "clm"}[body]
    experiment = running.assembled(tmp_path, *typed(pretrained[body], kind), f"task={task}", "peft=lora")
    adapted: Any = experiment.module.model
    model = adapted.unload().eval()
    config = copy.deepcopy(model.config)
    del config.quantization_config
    plain, _ = Backbone(path=str(pretrained[body])).load(experiment.task.auto_class, config)
    few_bits = quantized_parameters(model)
    kept = {name: parameter.data for name, parameter in model.named_parameters() if name not in few_bits}
    plain.load_state_dict(kept, strict=False)  # the head, that was drawn anew
    for name, layer in layers(model).items():
        theirs: Any = plain.get_submodule(name)
        before = theirs.weight.detach().clone()
        now = full_weight(layer).float()
        assert 0 < (now - before).norm() / before.norm() < ROUNDED[kind]
        theirs.weight.data = now
    ids = torch.arange(1000, 1024).view(2, 12)
    with torch.no_grad():
        quantised, dequantised = model(input_ids=ids).logits, plain.eval()(input_ids=ids).logits
    # LLM.int8 rounds the inputs of each layer to 8 bits as well.
    assert (quantised - dequantised).norm() / dequantised.norm() < (0.1 if kind == "int8" else 1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_quantised_run_trains_what_is_added_and_is_evaluated_again(
    kind: str, pretrained: dict[str, Path], tmp_path: Path
) -> None:
    few = ("data.limit.train=8", "trainer.max_epochs=12", "scheduler=constant", "optimizer.lr=2e-3")
    run = running.train(tmp_path / "run", *typed(pretrained["encoder"], kind, "peft=lora", *few))
    losses = running.losses(run)
    assert sum(losses[-5:]) < sum(losses[:5])
    saved = running.weights(run)
    assert all("lora_" in name or "classifier" in name or "pooler" in name for name in saved)
    again = running.evaluate(run / "checkpoints" / "best.ckpt", tmp_path / "eval")
    assert running.metrics(again, "test/") == pytest.approx(running.metrics(run, "test/"), abs=1e-6)


def test_a_quantised_run_goes_on_where_it_was(pretrained: dict[str, Path], tmp_path: Path) -> None:
    plain = typed(pretrained["encoder"], "nf4", "peft=lora", "scheduler=constant")
    cut = running.train(tmp_path / "cut", *plain, "trainer.max_steps=3")
    running.resume(cut, "trainer.max_steps=5")
    through = running.train(tmp_path / "through", *plain, "trainer.max_steps=5")
    ours, theirs = running.weights(cut), running.weights(through)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_card_loads_the_backbone_as_it_was(
    kind: str, pretrained: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = running.train(tmp_path / "run", *typed(pretrained["encoder"], kind, "peft=lora", "trainer.max_steps=2"))
    card = (run / "model" / "README.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    monkeypatch.chdir(run / "model")
    exec(card.split("```python\n")[1].split("```")[0], names)
    ours = running.assembled(tmp_path / "again", *typed(pretrained["encoder"], kind, "peft=lora"))
    assert quantized_parameters(names["model"]) == quantized_parameters(ours.module.model) != set()


def test_weights_are_counted_and_not_their_bytes(pretrained: dict[str, Path], tmp_path: Path) -> None:
    counts = []
    for kind in ("none", "nf4", "int8"):
        run = running.assembled(tmp_path / kind, *typed(pretrained["encoder"], kind, "peft=lora"))
        counts.append(sum(weight_count(p) for p in run.module.model.parameters()))
    assert counts[0] == counts[1] == counts[2]


@pytest.mark.parametrize("name", ["AutoModelForSequenceClassification", "AutoModelForQuestionAnswering"])
def test_heads_and_outputs_keep_their_weights(name: str, pretrained: dict[str, Path]) -> None:
    backbone = Backbone(path=str(pretrained["encoder"]), quantization=NF4)
    config = backbone.read_config()
    head = {"AutoModelForSequenceClassification": "classifier", "AutoModelForQuestionAnswering": "qa_outputs"}[name]
    assert head in left_alone(backbone.skeleton(name, config))
    model, fresh = backbone.load(name, config)
    assert fresh
    assert not fresh & quantized_parameters(model)
    assert len(layers(model)) == 2 * 6


def test_a_language_models_output_keeps_its_weights(pretrained: dict[str, Path]) -> None:
    backbone = Backbone(path=str(pretrained["decoder"]), quantization=NF4)
    model, _ = backbone.load(CLASSES["decoder"], backbone.read_config())
    assert "lm_head.weight" not in quantized_parameters(model)
    assert len(layers(model)) == 2 * 7


def test_code_for_a_configuration_makes_it_again() -> None:
    for quantization in (NF4, BitsAndBytesConfig(load_in_8bit=True), torchao("Int8WeightOnlyConfig")):
        imports, expression = constructor(quantization)
        names: dict[str, Any] = {}
        exec(imports, names)
        assert eval(expression, names).to_dict() == quantization.to_dict()


def test_peft_adapts_what_the_table_says() -> None:
    import peft

    mapping = peft.mapping.PEFT_TYPE_TO_CONFIG_MAPPING
    known = {config.__name__.removesuffix("Config") for config in mapping.values()}
    assert known >= set().union(*methods.QUANTIZED.values())
