"""Learning-rate schedules over optimiser steps, with a warm-up given in steps or as a share of the run.

The curves are those of transformers. What is added here is that the number of steps is known only when training
starts: a config names one of these functions and its warm-up, and the caller adds the optimiser and `total_steps`.
Each returns a scheduler to be stepped once per optimiser step; it scales every group's own learning rate, and its
state is plain data.
"""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers.optimization import (
    get_constant_schedule,
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

from lightune.errors import ConfigError


def linear(optimizer: Optimizer, *, total_steps: float, warmup: float = 0) -> LambdaLR:
    """Rise from 0 during the warm-up, then fall in a straight line to 0 at the last step.

    Args:
        optimizer: Holds the peak learning rates in its groups.
        total_steps: Optimiser steps of the whole run.
        warmup: See `warmup_steps`.
    """
    steps = _known(total_steps)
    return get_linear_schedule_with_warmup(optimizer, warmup_steps(steps, warmup), steps)


def cosine(optimizer: Optimizer, *, total_steps: float, warmup: float = 0) -> LambdaLR:
    """Rise from 0 during the warm-up, then fall along half a cosine to 0 (Loshchilov and Hutter 2017, no restarts).

    Args:
        optimizer: Holds the peak learning rates in its groups.
        total_steps: Optimiser steps of the whole run.
        warmup: See `warmup_steps`.
    """
    steps = _known(total_steps)
    return get_cosine_schedule_with_warmup(optimizer, warmup_steps(steps, warmup), steps)


def constant_with_warmup(optimizer: Optimizer, *, total_steps: float, warmup: float = 0) -> LambdaLR:
    """Rise from 0 during the warm-up, then stay.

    Args:
        optimizer: Holds the peak learning rates in its groups.
        total_steps: Optimiser steps of the whole run; may be infinite if the warm-up is given in steps.
        warmup: See `warmup_steps`.
    """
    return get_constant_schedule_with_warmup(optimizer, warmup_steps(total_steps, warmup))


def constant(optimizer: Optimizer, *, total_steps: float | None = None) -> LambdaLR:
    """Keep every group's learning rate as it is.

    Args:
        optimizer: Holds the learning rates in its groups.
        total_steps: Taken and not used, so that every schedule is called alike.
    """
    del total_steps
    return get_constant_schedule(optimizer)


def warmup_steps(total_steps: float, warmup: float) -> int:
    """Return the number of warm-up steps.

    Args:
        total_steps: Optimiser steps of the whole run.
        warmup: A whole number (``100``) means steps; a number with a decimal point (``0.1``) means that share of
            the run, at least 0 and below 1, rounded up as the Hugging Face Trainer does.

    Raises:
        ConfigError: The warm-up is negative, a share of 1 or more, longer than the run, or a share of a run
            without an end.
    """
    if isinstance(warmup, bool) or not isinstance(warmup, int | float) or not warmup >= 0:
        raise _bad_warmup(f"{warmup!r} is neither a number of steps nor a share of the run")
    if isinstance(warmup, float):
        if warmup >= 1:
            raise _bad_warmup(f"{warmup} is a share of the run, and must be below 1")
        return math.ceil(_known(total_steps) * warmup)
    if warmup > total_steps:
        raise _bad_warmup(f"{warmup} steps is longer than the run, which has {total_steps}")
    return warmup


def _bad_warmup(problem: str) -> ConfigError:
    return ConfigError(
        f"scheduler.warmup={problem}",
        "give steps as a whole number (scheduler.warmup=100) or a share of the run (scheduler.warmup=0.1)",
    )


def _known(total_steps: float) -> int:
    """Return the length of the run as an int; Lightning's estimate is infinite for a run without an end."""
    if not (math.isfinite(total_steps) and total_steps >= 1):
        raise ConfigError(
            f"this schedule needs to know how many steps the run has, and is told {total_steps}",
            "set trainer.max_epochs or trainer.max_steps, or choose scheduler=constant",
        )
    return int(total_steps)
