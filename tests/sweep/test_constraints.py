"""Bounds of what a run measures."""

from functools import partial
from typing import Any

import optuna
import pytest

from lightune.errors import ConfigError
from lightune.sweep.constraints import NUMBERS, constraint, missing, violations
from lightune.sweep.samplers import samplers
from lightune.sweep.space import Space


@pytest.mark.parametrize(
    ("text", "value", "violation"),
    [
        ("params/trainable <= 1e6", 1_500_000, 500_000),
        ("params/trainable<=1000", 400, -600),
        ("val/f1 >= 0.9", 0.7, 0.2),
        ("val/f1 >= 0.9", 0.9, 0.0),
        (" time/train_s  <=  -1 ", 1, 2),
    ],
)
def test_a_bound_is_exceeded_by_so_much(text: str, value: float, violation: float) -> None:
    read = constraint(text)
    assert read.violation({read.name: value}) == pytest.approx(violation)


@pytest.mark.parametrize("text", ["", "f1", "f1 > 3", "f1 <= many", "<= 3", "f1 <= 3 4"])
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(ConfigError, match="is no condition"):
        constraint(text)


def test_a_trial_without_numbers_breaks_every_bound() -> None:
    bounds = [constraint("a <= 1"), constraint("b >= 1")]
    trial = optuna.trial.create_trial(value=0.0, user_attrs={NUMBERS: {"a": 0.5, "b": 0.5}})
    assert violations(bounds, trial) == [-0.5, 0.5]
    assert all(by > 0 for by in violations(bounds, optuna.trial.create_trial(value=0.0)))


def test_a_number_that_was_not_measured_is_named() -> None:
    bounds = [constraint("params/trained <= 1")]
    assert missing(bounds, {"params/trained": 1.0}) is None
    assert missing(bounds, {"params/trainable": 1.0}) == (
        "it measured no params/trained: did you mean 'params/trainable'?"
    )


def test_a_function_that_passes_all_on_makes_a_sampler_of_constraints() -> None:
    def made(**options: Any) -> optuna.samplers.BaseSampler:
        return optuna.samplers.NSGAIISampler(**options)

    looked_at: list[int] = []

    def look(trial: optuna.trial.FrozenTrial) -> list[float]:
        looked_at.append(trial.number)
        return [0.0]

    sampler = samplers(partial(made, seed=1), Space(), look)
    study = optuna.create_study(sampler=sampler(0))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert looked_at == [0, 1]
