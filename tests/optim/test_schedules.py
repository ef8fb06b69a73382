"""Schedules against transformers' own, HF Trainer's warm-up, hand arithmetic, and a saved and loaded run."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainingArguments, get_scheduler

from lightune.errors import ConfigError
from lightune.optim.schedules import constant, constant_with_warmup, cosine, linear, warmup_steps

NAMES: dict[str, Callable[..., LambdaLR]] = {
    "constant": constant,
    "constant_with_warmup": constant_with_warmup,
    "cosine": cosine,
    "linear": linear,
}


def optimizer(*rates: float) -> SGD:
    return SGD([{"params": [torch.nn.Parameter(torch.ones(1))], "lr": rate} for rate in rates])


def advance(scheduler: LambdaLR, steps: int) -> list[float]:
    """Take steps; return the first group's learning rate in each."""
    rates = []
    for _ in range(steps):
        rates.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.optimizer.step()
        scheduler.step()
    return rates


# Multipliers at steps 0, 2, 4 (end of the warm-up), 8 (half of the rest), 12 (the end) of a run of 12.
HALF_COSINE = (1 + math.cos(math.pi / 2)) / 2
BY_HAND = {
    "linear": [0.0, 0.5, 1.0, 0.5, 0.0],
    "cosine": [0.0, 0.5, 1.0, HALF_COSINE, 0.0],
    "constant_with_warmup": [0.0, 0.5, 1.0, 1.0, 1.0],
}


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name: str) -> None:
    rates = advance(NAMES[name](optimizer(2.0), total_steps=12, warmup=4), 13)
    assert [rates[step] / 2 for step in (0, 2, 4, 8, 12)] == pytest.approx(BY_HAND[name])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("total", "warmup", "steps"), [(20, 0.25, 5), (20, 7, 7), (9, 0, 0), (9, 0.0, 0), (5, 5, 5)])
def test_agrees_with_transformers(name: str, total: int, warmup: float, steps: int) -> None:
    extra = {} if name == "constant" else {"warmup": warmup}
    ours = advance(NAMES[name](optimizer(3e-4), total_steps=total, **extra), total + 2)
    theirs = get_scheduler(name, optimizer(3e-4), num_warmup_steps=steps, num_training_steps=total)
    assert ours == advance(theirs, total + 2)


def test_every_group_keeps_its_own_peak() -> None:
    groups = optimizer(1.0, 10.0)
    advance(linear(groups, total_steps=10, warmup=0.2), 6)
    assert [group["lr"] for group in groups.param_groups] == pytest.approx([0.5, 5.0])


def test_built_from_a_config() -> None:
    partial = instantiate({"_target_": "lightune.optim.schedules.linear", "_partial_": True, "warmup": 0.5})
    assert advance(partial(optimizer(1.0), total_steps=4), 4) == pytest.approx([0.0, 0.5, 1.0, 0.5])


@pytest.mark.parametrize("total", [1, 3, 10, 77, 1000])
@pytest.mark.parametrize("warmup", [0.0, 0.001, 0.06, 0.07, 0.1, 0.5, 0.999, 1])
def test_warmup_is_rounded_as_the_hugging_face_trainer_does(total: int, warmup: float, tmp_path: Path) -> None:
    arguments = TrainingArguments(output_dir=str(tmp_path), warmup_steps=warmup, report_to="none", use_cpu=True)
    assert warmup_steps(total, warmup) == arguments.get_warmup_steps(total)


@pytest.mark.parametrize(
    ("total", "warmup"),
    [(10, -1), (10, -0.1), (10, 11), (10, 1.0), (10, 3.5), (10, math.nan), (10, True), (10, "10%"), (10, None)],
)
def test_bad_warmup(total: int, warmup: Any) -> None:
    with pytest.raises(ConfigError, match=r"scheduler\.warmup=") as caught:
        warmup_steps(total, warmup)
    assert "scheduler.warmup=100" in caught.value.remedy


@pytest.mark.parametrize("name", ["linear", "cosine"])
@pytest.mark.parametrize("total", [math.inf, 0, -1])
def test_a_run_without_an_end_has_no_decay(name: str, total: float) -> None:
    with pytest.raises(ConfigError, match="how many steps") as caught:
        NAMES[name](optimizer(1.0), total_steps=total)
    assert "trainer.max_steps" in caught.value.remedy


def test_a_run_without_an_end_can_be_constant() -> None:
    assert advance(constant(optimizer(1.0), total_steps=math.inf), 3) == [1.0, 1.0, 1.0]
    assert advance(constant_with_warmup(optimizer(1.0), total_steps=math.inf, warmup=2), 3) == [0.0, 0.5, 1.0]
    with pytest.raises(ConfigError, match="how many steps"):
        constant_with_warmup(optimizer(1.0), total_steps=math.inf, warmup=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_state_is_plain_data_and_resumes(name: str, tmp_path: Path) -> None:
    build, extra = NAMES[name], {} if name == "constant" else {"warmup": 0.3}
    whole = advance(build(optimizer(1.0), total_steps=10, **extra), 10)
    first = build(optimizer(1.0), total_steps=10, **extra)
    advance(first, 4)
    torch.save({"optimizer": first.optimizer.state_dict(), "scheduler": first.state_dict()}, tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    second = build(optimizer(1.0), total_steps=10, **extra)
    second.optimizer.load_state_dict(state["optimizer"])
    second.load_state_dict(state["scheduler"])
    assert advance(second, 6) == whole[4:]
