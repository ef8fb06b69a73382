"""Averaged weights: the closed form, what evaluations and checkpoints hold, and going on."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn

from lightune.callbacks import WeightAveraging
from lightune.callbacks.averaging import share_kept
from lightune.errors import ConfigError
from tests import running

AVERAGED = ("callbacks=[default,weight_averaging]", "task=classification", "peft=lora")


class Trail(Callback):
    """Keeps what each step trained."""

    def __init__(self) -> None:
        self.weights: list[dict[str, Tensor]] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        self.weights.append({n: p.detach().clone() for n, p in pl_module.named_parameters() if p.requires_grad})


def typed(*more: str) -> tuple[str, ...]:
    return (*AVERAGED, *more)


@pytest.mark.parametrize("decay", [0.9, None])
def test_the_average_is_that_of_the_closed_form(decay: float | None, tmp_path: Path) -> None:
    more = f"callbacks.weight_averaging.decay={'null' if decay is None else decay}"
    experiment = running.assembled(tmp_path / "run", *typed(more))
    trainer: Any = experiment.trainer
    trail = Trail()
    trainer.callbacks.insert(0, trail)
    trainer.fit(experiment.module, experiment.data)
    (averaging,) = (callback for callback in trainer.callbacks if isinstance(callback, WeightAveraging))
    for name, found in averaging.average.items():
        values = [weights[name].double() for weights in trail.weights]
        expected = values[0]
        for count, value in enumerate(values[1:], start=2):
            expected = expected + (1 - share_kept(count, decay)) * (value - expected)
        assert torch.allclose(found.double(), expected, atol=1e-6)
        if decay is None:
            assert torch.allclose(found.double(), torch.stack(values).mean(0), atol=1e-6)


def test_torch_averages_alike() -> None:
    layer = torch.nn.Linear(3, 2)
    theirs = AveragedModel(layer, avg_fn=get_ema_avg_fn(0.1))
    ours = WeightAveraging(decay=0.1)
    for _ in range(4):
        with torch.no_grad():
            layer.weight += 1
        theirs.update_parameters(layer)
        ours._update(layer)
    assert torch.allclose(ours.average["weight"], dict(theirs.module.named_parameters())["weight"])


def test_the_best_checkpoint_holds_the_average_and_gives_the_numbers_of_the_run(tmp_path: Path) -> None:
    run = running.train(tmp_path / "run", *typed())
    best = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    (state,) = (state for name, state in best["callbacks"].items() if "WeightAveraging" in name)
    assert all(torch.equal(best["state_dict"][name], tensor) for name, tensor in state["average"].items())
    assert any(not torch.equal(state["trained"][name], tensor) for name, tensor in state["average"].items())
    again = running.evaluate(run / "checkpoints" / "best.ckpt", tmp_path / "eval")
    assert running.metrics(again, "test/") == pytest.approx(running.metrics(run, "test/"), abs=1e-6)


@pytest.mark.parametrize("steps", [3, 5])  # in mid-epoch, and right after a validation
def test_a_run_goes_on_from_the_weights_that_are_trained(steps: int, tmp_path: Path) -> None:
    cut = running.train(tmp_path / "cut", *typed("scheduler=constant", f"trainer.max_steps={steps}"))
    running.resume(cut, "trainer.max_steps=8")
    through = running.train(tmp_path / "through", *typed("scheduler=constant", "trainer.max_steps=8"))
    assert running.losses(cut)[steps:] == running.losses(through)[steps:]
    ours, theirs = running.weights(cut), running.weights(through)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("wrong", [{"decay": 1.0}, {"decay": 0.0}, {"start": 1.0}, {"start": -0.1}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="="):
        WeightAveraging(**wrong)
