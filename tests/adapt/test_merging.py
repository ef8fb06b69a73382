"""Folding adapters into their layers: the same outputs, and the same bits afterwards."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from lightune.adapt import Adapter
from lightune.adapt.merging import MergedEvaluation, adapted_layers, fold, foldable, put_back
from lightune.models import Backbone
from lightune.tasks.classification import Classification
from tests import running

METHODS: dict[str, Callable[..., peft.PeftConfig]] = {
    "lora": partial(peft.LoraConfig, r=2),
    "lora with biases": partial(peft.LoraConfig, r=2, lora_bias=True),
    "dora": partial(peft.LoraConfig, r=2, use_dora=True),
    "loha": partial(peft.LoHaConfig, r=2),
    "ia3": partial(peft.IA3Config, feedforward_modules=[]),
}
TASK = Classification(columns={}, labels=("a", "b", "c"))
LORA = Adapter(METHODS["lora"], evaluate_merged=True)


def _adapted(backbone: Backbone, method: Adapter = LORA) -> nn.Module:
    """Return a model with adapters that do something: untrained ones are the identity."""
    torch.manual_seed(0)
    model = method.apply(*backbone.load(TASK.auto_class, backbone.read_config(**TASK.head_config())), TASK.peft_type)
    for parameter in model.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.1)
    return model.eval()


def _logits(model: nn.Module) -> Tensor:
    ids = torch.tensor([[101, 2054, 2003, 2023, 102]])
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def _changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


WITH_BIAS = ("lora with biases",)  # which a decoder's layers have not


@pytest.mark.parametrize(
    ("backbone", "method"),
    [*(("tiny_encoder", name) for name in METHODS), *(("tiny_decoder", n) for n in METHODS if n not in WITH_BIAS)],
)
def test_a_folded_model_says_the_same_and_unfolds_to_the_same_bits(
    backbone: str, method: str, request: pytest.FixtureRequest
) -> None:
    model = _adapted(request.getfixturevalue(backbone), Adapter(METHODS[method]))
    before, beside = _copied(model), _logits(model)
    assert foldable(model)
    kept = fold(model)
    folded = _changed(before, _copied(model))
    assert {name for name in folded if name.endswith(".base_layer.weight")}
    assert all(".base_layer." in name for name in folded)
    assert torch.allclose(_logits(model), beside, atol=1e-5)
    put_back(model, kept)
    assert not _changed(before, _copied(model))
    assert torch.equal(_logits(model), beside)


def test_what_peft_cannot_merge_stays_as_it_is(tiny_decoder: Backbone) -> None:
    model = _adapted(tiny_decoder, Adapter(METHODS["lora with biases"]))
    before = _copied(model)
    assert fold(model) == []
    assert not _changed(before, _copied(model))
    assert not any(layer.merged for layer in adapted_layers(model))


def test_weights_that_would_be_rounded_are_not_folded(tiny_encoder: Backbone) -> None:
    model = _adapted(tiny_encoder)
    assert foldable(model)
    assert not foldable(model.to(torch.bfloat16))


def test_a_weight_that_another_module_shares_is_not_folded(tiny_encoder: Backbone) -> None:
    model = _adapted(tiny_encoder)
    first, second = adapted_layers(model)[:2]
    second.get_base_layer().weight = first.get_base_layer().weight
    assert not foldable(model)


def test_a_model_without_adapters_is_left_alone(tiny_encoder: Backbone) -> None:
    model, _ = tiny_encoder.load(TASK.auto_class, tiny_encoder.read_config(**TASK.head_config()))
    before = _copied(model)
    put_back(model, fold(model))
    assert not _changed(before, _copied(model))


def test_only_a_method_that_was_told_to_merges() -> None:
    assert [type(callback) for callback in LORA.callbacks()] == [MergedEvaluation]
    assert Adapter(METHODS["lora"]).callbacks() == []


class Spy(Callback):
    """Notes whether adapters are folded in training and in validation batches, and breaks off where it is told to."""

    def __init__(self, breaks: bool = False) -> None:
        self.folded: dict[str, set[bool]] = {"train": set(), "val": set()}
        self.breaks = breaks

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.folded["train"] |= _states(pl_module)

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.folded["val"] |= _states(pl_module)
        if self.breaks:
            raise RuntimeError("broken off")


def _states(model: nn.Module) -> set[bool]:
    return {layer.merged for layer in adapted_layers(model)}


def _run(folder: Path, spy: Spy, *overrides: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Train a run and return the model's tensors before and after."""
    experiment = running.assembled(folder, "task=classification", "peft=lora", *overrides)
    experiment.trainer.callbacks.append(spy)  # type: ignore[attr-defined]
    before = _copied(experiment.module.model)
    with pytest.raises(RuntimeError, match="broken off") if spy.breaks else nullcontext():
        experiment.trainer.fit(experiment.module, experiment.data)
    return before, _copied(experiment.module.model)


def test_a_run_validates_folded_and_trains_unfolded(tmp_path: Path) -> None:
    spy = Spy()
    before, after = _run(tmp_path, spy)
    assert spy.folded == {"train": {False}, "val": {True}}
    assert all("lora_" in name or "modules_to_save" in name for name in _changed(before, after))
    # The checkpoint of a random backbone holds all of it: unfolded, though it was written after a validation.
    assert not _changed(after, {n.removeprefix("model."): t for n, t in running.weights(tmp_path).items()})


def test_a_validation_that_is_broken_off_leaves_nothing_folded(tmp_path: Path) -> None:
    spy = Spy(breaks=True)
    before, after = _run(tmp_path, spy)
    assert spy.folded["val"] == {True}
    assert all("lora_" in name or "modules_to_save" in name for name in _changed(before, after))


def test_folding_leaves_training_and_its_numbers_alone(tmp_path: Path) -> None:
    runs = {
        told: running.train(tmp_path / told, "task=ner", "peft=lora", f"peft.evaluate_merged={told}")
        for told in ("true", "false")
    }
    ours, theirs = (running.weights(runs[told]) for told in ("true", "false"))
    assert not _changed(ours, theirs)
    for prefix in ("val/", "test/"):
        ours, theirs = (running.metrics(runs[told], prefix) for told in ("true", "false"))
        assert ours == pytest.approx(theirs, abs=1e-6)
