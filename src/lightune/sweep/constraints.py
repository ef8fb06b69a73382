"""Conditions that a good trial has to meet: ``params/trainable <= 1e6``."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial

from lightune.errors import ConfigError, nearest

NUMBERS = "numbers"  # attribute of a trial: what its run has measured
_CONDITION = re.compile(r"\s*(\S+?)\s*(<=|>=)\s*(\S+)\s*")
_BROKEN = 1.0  # of a trial that was given up before it had numbers


@dataclass(frozen=True)
class Constraint:
    """A bound of one of a run's numbers.

    Args:
        name: Of the number, such as ``params/trainable`` or ``memory/peak_rss_mb``.
        bound: Its largest value, or its smallest one.
        is_upper: Whether it is the largest.
    """

    name: str
    bound: float
    is_upper: bool

    def violation(self, numbers: Mapping[str, float]) -> float:
        """Return by how much the bound is exceeded; 0 or less where it is kept.

        Args:
            numbers: What a run has measured.
        """
        beyond = numbers[self.name] - self.bound
        return beyond if self.is_upper else -beyond


def constraint(text: str) -> Constraint:
    """Read a condition.

    Raises:
        ConfigError: It is none.
    """
    found = _CONDITION.fullmatch(text)
    try:
        assert found is not None
        return Constraint(found[1], float(found[3]), found[2] == "<=")
    except (AssertionError, ValueError) as error:
        raise ConfigError(
            f"hydra.sweeper.constraints: {text!r} is no condition", "type one such as 'params/trainable <= 1e6'"
        ) from error


def violations(constraints: Sequence[Constraint], trial: FrozenTrial) -> list[float]:
    """Return by how much a trial exceeds each bound, as samplers of Optuna ask for it.

    Args:
        constraints: All conditions.
        trial: One that has ended.
    """
    numbers = trial.user_attrs.get(NUMBERS)
    return [_BROKEN if numbers is None else one.violation(numbers) for one in constraints]


def missing(constraints: Sequence[Constraint], numbers: Mapping[str, float]) -> str | None:
    """Return why conditions cannot be looked at, None where they can.

    Args:
        constraints: All conditions.
        numbers: What a run has measured.
    """
    absent = [one.name for one in constraints if one.name not in numbers]
    return f"it measured no {absent[0]}: {nearest(absent[0], numbers)}" if absent else None
