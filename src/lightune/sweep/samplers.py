"""The sampler of each trial, from the sampler's configuration."""

import inspect
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from optuna.samplers import BaseSampler, GridSampler
from optuna.trial import FrozenTrial

from lightune.errors import ConfigError
from lightune.sweep.space import Space

Samplers = Callable[[int], BaseSampler]
Constraints = Callable[[FrozenTrial], Sequence[float]]


def samplers(sampler: Any, searched: Space, constraints: Constraints | None = None) -> Samplers:
    """Return what makes the sampler of a trial, whose draws depend on the seed and the trial's number alone.

    Args:
        sampler: A partial Optuna sampler, as Hydra instantiates its configuration.
        searched: What is searched.
        constraints: How far a trial is from meeting each of the conditions; none of them above 0 where it meets all.

    Raises:
        ConfigError: The sampler does not look at constraints.
    """
    made = sampler.func
    given = dict(sampler.keywords)
    seed = given.pop("seed", None)
    arguments = (searched.grid(),) if _is_grid(sampler) else ()
    if constraints is not None:
        if not _takes(made, "constraints_func"):
            raise ConfigError(
                f"hydra.sweeper.constraints: {made.__name__} does not look at them",
                "type hydra/sweeper/sampler=tpe, gp, nsgaii or nsgaiii",
            )
        given["constraints_func"] = constraints

    def sampler_of(number: int) -> BaseSampler:
        # A grid goes through its points in an order that the seed decides, the same for all trials.
        own = None if seed is None else seed if _is_grid(sampler) else (seed * 1_000_003 + number) % 2**32
        found: BaseSampler = made(*arguments, seed=own, **given)
        return found

    return sampler_of


def grid_size(sampler: Any, searched: Space) -> int | None:
    """Return how many points there are, where the sampler goes through a grid."""
    return prod(map(len, searched.grid().values())) if _is_grid(sampler) else None


def _takes(made: Callable[..., Any], argument: str) -> bool:
    """Return whether an argument may be given: a function that passes all on says so of every one."""
    parameters = inspect.signature(made).parameters
    return argument in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _is_grid(sampler: Any) -> bool:
    return getattr(sampler, "func", None) is GridSampler
