"""Schedules against transformers' own, HF Trainer's warm-up, hand arithmetic, and a saved and loaded run."""

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from torch.optim import SGD
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from transformers import TrainingArguments, get_scheduler

from lightune.errors import ConfigError
from lightune.optim import schedules
from lightune.optim.schedules import constant, constant_with_warmup, linear, reduce_on_plateau, warmup_steps

STEPPED = (
    "constant constant_with_warmup cosine cosine_with_restarts exponential inverse_sqrt linear one_cycle polynomial wsd"
)
NAMES: dict[str, Callable[..., LRScheduler]] = {name: getattr(schedules, name) for name in STEPPED.split()}

# What transformers calls those that it has, our options, and its own for the same curve.
THEIRS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "constant": ("constant", {}, {}),
    "constant_with_warmup": ("constant_with_warmup", {}, {}),
    "cosine": ("cosine", {}, {}),
    "cosine to a tenth": ("cosine_with_min_lr", {"end": 0.1}, {"min_lr_rate": 0.1}),
    "cosine_with_restarts": ("cosine_with_restarts", {"cycles": 2}, {"num_cycles": 2}),
    "linear": ("linear", {}, {}),
    "inverse_sqrt": ("inverse_sqrt", {}, {}),
    # Theirs ends at one rate for all groups, relative to the optimiser's default, which is 1e-3.
    "polynomial": ("polynomial", {"power": 3.0, "end": 0.25}, {"power": 3.0, "lr_end": 2.5e-4}),
    "wsd": ("warmup_stable_decay", {"decay": 0, "end": 0.1}, {"num_decay_steps": 0, "min_lr_ratio": 0.1}),
    "wsd in lines": (
        "warmup_stable_decay",
        {"decay": 2, "shape": "linear"},
        {"num_decay_steps": 2, "decay_type": "linear"},
    ),
}


def optimizer(*rates: float) -> SGD:
    return SGD([{"params": [torch.nn.Parameter(torch.ones(1))], "lr": rate} for rate in rates])


def advance(scheduler: LRScheduler, steps: int) -> list[float]:
    """Take steps; return the first group's learning rate in each."""
    rates = []
    for _ in range(steps):
        rates.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.optimizer.step()
        scheduler.step()
    return rates


# Multipliers at steps 0, 2, 4 (end of the warm-up), 8 (half of the rest), 12 (the end) of a run of 12.
HALF_COSINE = (1 + math.cos(math.pi / 2)) / 2
BY_HAND: dict[str, tuple[dict[str, Any], list[float]]] = {
    "linear": ({}, [0.0, 0.5, 1.0, 0.5, 0.0]),
    "cosine": ({}, [0.0, 0.5, 1.0, HALF_COSINE, 0.0]),
    "cosine_with_restarts": ({"cycles": 1}, [0.0, 0.5, 1.0, HALF_COSINE, 0.0]),
    "constant_with_warmup": ({}, [0.0, 0.5, 1.0, 1.0, 1.0]),
    "polynomial": ({"power": 2.0, "end": 0.2}, [0.0, 0.5, 1.0, 0.4, 0.2]),  # 0.2 + 0.8 / 4
    "exponential": ({"end": 0.01}, [0.0, 0.5, 1.0, 0.1, 0.01]),
    "inverse_sqrt": ({}, [0.0, 0.5, 1.0, math.sqrt(4 / 8), math.sqrt(4 / 12)]),
    "wsd": ({"decay": 6}, [0.0, 0.5, 1.0, 1 - math.sqrt(2 / 6), 0.0]),
    "one_cycle": ({"start": 0.2, "end": 0.05}, [0.2, 0.6, 1.0, 0.525, 0.05]),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name: str) -> None:
    options, wanted = BY_HAND[name]
    rates = advance(NAMES[name](optimizer(2.0), total_steps=12, warmup=4, **options), 13)
    assert [rates[step] / 2 for step in (0, 2, 4, 8, 12)] == pytest.approx(wanted)


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize(("total", "warmup", "steps"), [(20, 0.25, 5), (20, 7, 7), (9, 0, 0), (9, 0.0, 0), (5, 3, 3)])
def test_agrees_with_transformers(name: str, total: int, warmup: float, steps: int) -> None:
    called, options, told = THEIRS[name]
    extra = options if name == "constant" else {"warmup": warmup, **options}
    ours = advance(NAMES[name.split()[0]](optimizer(3e-4), total_steps=total, **extra), total + 1)
    theirs = get_scheduler(
        called,
        optimizer(3e-4),
        num_warmup_steps=steps,
        num_training_steps=total,
        scheduler_specific_kwargs=told,
    )
    assert ours == pytest.approx(advance(theirs, total + 1), rel=1e-12, abs=1e-18)


@pytest.mark.parametrize("name", ["exponential", "polynomial", "cosine", "wsd"])
def test_what_is_left_at_the_end(name: str) -> None:
    rates = advance(NAMES[name](optimizer(2.0), total_steps=30, warmup=0.2, end=0.1), 31)
    assert rates[-1] == pytest.approx(0.2)
    assert min(rates[6:]) == rates[-1]
    assert max(rates) == 2.0


def test_exponential_is_a_constant_factor() -> None:
    rates = advance(NAMES["exponential"](optimizer(1.0), total_steps=20, end=1e-3), 21)
    factors = [after / before for before, after in pairwise(rates)]
    assert factors == pytest.approx([1e-3 ** (1 / 20)] * 20)


def test_one_cycle_is_torch_s_and_turns_momentum_the_other_way() -> None:
    ours = NAMES["one_cycle"](SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0, momentum=0.9), total_steps=19, warmup=6)
    like = SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0, momentum=0.9)
    theirs = OneCycleLR(like, max_lr=1.0, total_steps=20, pct_start=7 / 20, final_div_factor=1e4, div_factor=25)
    assert advance(ours, 19) == pytest.approx(advance(theirs, 19))
    assert ours.optimizer.param_groups[0]["momentum"] == like.param_groups[0]["momentum"] == pytest.approx(0.95)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_plateau_lowers_every_rate_to_its_floor(mode: str) -> None:
    groups = optimizer(1.0, 10.0)
    schedule = reduce_on_plateau(groups, mode=mode, factor=0.5, patience=1, end=0.2)
    rates = []
    for value in (5.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0):
        schedule.step(value if mode == "min" else -value)
        rates.append([group["lr"] for group in groups.param_groups])
    # The second of equals is waited for, the third lowers; then it is waited for anew.
    assert [first for first, _ in rates] == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2]
    assert [second for _, second in rates] == [10 * first for first, _ in rates]


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("cosine", {"end": 1.5}, r"scheduler\.end=1\.5: expected a share"),
        ("exponential", {"end": 0}, r"scheduler\.end=0: no factor"),
        ("polynomial", {"power": 0}, r"scheduler\.power=0: expected a number above 0"),
        ("cosine_with_restarts", {"cycles": 0}, r"scheduler\.cycles=0: expected a whole number"),
        ("wsd", {"warmup": 0.5, "decay": 0.6}, "take 5 and 6 steps, and the run has 10"),
        ("wsd", {"decay": 11}, r"scheduler\.decay=11 steps is longer than the run"),
        ("one_cycle", {"warmup": 0}, "have to be above 0"),
        ("one_cycle", {"start": True}, r"scheduler\.start=True: expected a share"),
        ("reduce_on_plateau", {"end": -0.1}, r"scheduler\.end=-0\.1: expected a share"),
    ],
)
def test_what_makes_no_curve(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        getattr(schedules, name)(optimizer(1.0), total_steps=10, **options)


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


@pytest.mark.parametrize("name", sorted(NAMES.keys() - {"constant", "constant_with_warmup", "inverse_sqrt"}))
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
