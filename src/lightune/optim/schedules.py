"""Learning-rate schedules over optimiser steps, with a warm-up given in steps or as a share of the run.

The curves are those of transformers and torch. What is added here is that the number of steps is known only when
training starts: a config names one of these functions and its warm-up, and the caller adds the optimiser and
`total_steps`. Each but `reduce_on_plateau` returns a scheduler to be stepped once per optimiser step; it scales every
group's own learning rate, and its state is plain data.
"""

import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau
from transformers.optimization import (
    get_constant_schedule,
    get_constant_schedule_with_warmup,
    get_cosine_with_hard_restarts_schedule_with_warmup,
    get_cosine_with_min_lr_schedule_with_warmup,
    get_inverse_sqrt_schedule,
    get_linear_schedule_with_warmup,
    get_wsd_schedule,
)

from lightune.errors import ConfigError
from lightune.numbers import is_number, is_whole


def linear(optimizer: Optimizer, *, total_steps: float, warmup: float = 0) -> LambdaLR:
    """Rise from 0 during the warm-up, then fall in a straight line to 0 at the last step.

    Args:
        optimizer: Holds the peak learning rates in its groups.
        total_steps: Optimiser steps of the whole run.
        warmup: See `warmup_steps`.
    """
    steps = _known(total_steps)
    return get_linear_schedule_with_warmup(optimizer, warmup_steps(steps, warmup), steps)


def cosine(optimizer: Optimizer, *, total_steps: float, warmup: float = 0, end: float = 0.0) -> LambdaLR:
    """Rise from 0 during the warm-up, then fall along half a cosine (Loshchilov and Hutter 2017, no restarts).

    Args:
        optimizer: Holds the peak learning rates in its groups.
        total_steps: Optimiser steps of the whole run.
        warmup: See `warmup_steps`.
        end: Share of the peak that is left at the last step.
    """
    steps, end = _known(total_steps), _share("end", end)
    return get_cosine_with_min_lr_schedule_with_warmup(optimizer, warmup_steps(steps, warmup), steps, min_lr_rate=end)


def cosine_with_restarts(optimizer: Optimizer, *, total_steps: float, warmup: float = 0, cycles: int = 3) -> LambdaLR:
    """Rise from 0 during the warm-up, then fall along half a cosine to 0, several times (Loshchilov and Hutter 2017).

    Args:
        optimizer: Holds the peak learning rates in its groups.
        total_steps: Optimiser steps of the whole run.
        warmup: See `warmup_steps`.
        cycles: How often it falls; all take as long.
    """
    steps = _known(total_steps)
    if not is_whole(cycles) or cycles < 1:
        raise ConfigError(
            f"scheduler.cycles={cycles}: expected a whole number of at least 1", "type scheduler.cycles=3"
        )
    return get_cosine_with_hard_restarts_schedule_with_warmup(optimizer, warmup_steps(steps, warmup), steps, cycles)


def polynomial(
    optimizer: Optimizer, *, total_steps: float, warmup: float = 0, power: float = 2.0, end: float = 0.0
) -> LambdaLR:
    """Rise from 0 during the warm-up, then fall as (1 - progress) to a power; ``power=1`` is `linear`.

    The curve of transformers, with an end for each group's own rate where theirs has one rate for all.

    Args:
        optimizer: Holds the peak learning rates in its groups.
        total_steps: Optimiser steps of the whole run.
        warmup: See `warmup_steps`.
        power: Above 1 it falls fast at first, below 1 late.
        end: Share of the peak that is left at the last step.
    """
    end = _share("end", end)
    if not power > 0:
        raise ConfigError(
            f"scheduler.power={power}: expected a number above 0", "type for instance scheduler.power=2.0"
        )
    return _decaying(optimizer, total_steps, warmup, lambda progress: end + (1 - end) * (1 - progress) ** power)


def exponential(optimizer: Optimizer, *, total_steps: float, warmup: float = 0, end: float = 0.01) -> LambdaLR:
    """Rise from 0 during the warm-up, then fall by the same factor in each step.

    Args:
        optimizer: Holds the peak learning rates in its groups.
        total_steps: Optimiser steps of the whole run.
        warmup: See `warmup_steps`.
        end: Share of the peak that is left at the last step; the factor follows from it.
    """
    end = _share("end", end)
    if end == 0:
        raise ConfigError("scheduler.end=0: no factor leads there", "type for instance scheduler.end=0.01")
    return _decaying(optimizer, total_steps, warmup, lambda progress: end**progress)


def inverse_sqrt(optimizer: Optimizer, *, total_steps: float, warmup: float = 0) -> LambdaLR:
    """Rise from 0 during the warm-up, then fall as 1 / √step (Vaswani et al. 2017, section 5.3).

    Args:
        optimizer: Holds the peak learning rates in its groups.
        total_steps: Optimiser steps of the whole run; may be infinite if the warm-up is given in steps.
        warmup: See `warmup_steps`. Without one, the rate halves within 30,000 steps, as transformers has it.
    """
    return get_inverse_sqrt_schedule(optimizer, warmup_steps(total_steps, warmup))


def wsd(
    optimizer: Optimizer,
    *,
    total_steps: float,
    warmup: float = 0,
    decay: float = 0.2,
    shape: str = "1-sqrt",
    end: float = 0.0,
) -> LambdaLR:
    """Rise, stay, and fall at the end: warm-up, stable, decay (Hu et al. 2024; Hägele et al. 2024).

    Args:
        optimizer: Holds the peak learning rates in its groups.
        total_steps: Optimiser steps of the whole run.
        warmup: See `warmup_steps`.
        decay: How long it falls, given as a warm-up is: a share of the run, or steps.
        shape: How it falls: ``linear``, ``cosine`` or ``1-sqrt``.
        end: Share of the peak that is left at the last step, and that it rises from.
    """
    steps, end = _known(total_steps), _share("end", end)
    rising, falling = warmup_steps(steps, warmup), warmup_steps(steps, decay, "decay")
    if rising + falling > steps:
        raise ConfigError(
            f"scheduler.warmup and scheduler.decay take {rising} and {falling} steps, and the run has {steps}",
            "make one of them shorter, such as scheduler.warmup=0.1 scheduler.decay=0.2",
        )
    return get_wsd_schedule(optimizer, rising, falling, steps, decay_type=shape, min_lr_ratio=end)


def one_cycle(
    optimizer: Optimizer, *, total_steps: float, warmup: float = 0.3, start: float = 0.04, end: float = 4e-6
) -> OneCycleLR:
    """Rise and fall once along cosines, momentum the other way (Smith and Topin 2018).

    Args:
        optimizer: Holds the peak learning rates in its groups.
        total_steps: Optimiser steps of the whole run.
        warmup: How long it rises; see `warmup_steps`.
        start: Share of the peak at the first step.
        end: Share of the peak at the last step.
    """
    steps, start, end = _known(total_steps), _share("start", start), _share("end", end)
    rising = warmup_steps(steps, warmup)
    if not (start and end and rising):
        raise ConfigError(
            "scheduler=one_cycle: warmup, start and end have to be above 0", "type for instance scheduler.start=0.04"
        )
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=steps + 1,  # the scheduler is stepped once more, after the last step
        pct_start=(rising + 1) / (steps + 1),
        div_factor=1 / start,
        final_div_factor=start / end,
        cycle_momentum=_has_momentum(optimizer),
    )


def reduce_on_plateau(
    optimizer: Optimizer,
    *,
    total_steps: float | None = None,
    mode: str = "min",
    factor: float = 0.5,
    patience: int = 1,
    end: float = 0.0,
) -> ReduceLROnPlateau:
    """Multiply every rate by a factor when the validation metric has not got better for some validations.

    Args:
        optimizer: Holds the learning rates in its groups.
        total_steps: Taken and not used, so that every schedule is called alike.
        mode: Whether a better metric is lower (``min``) or higher (``max``).
        factor: What rates are multiplied by, below 1.
        patience: Validations without a better value that are waited for.
        end: Share of its first rate below which no group's goes.
    """
    del total_steps
    floors = [group["lr"] * _share("end", end) for group in optimizer.param_groups]
    return ReduceLROnPlateau(
        optimizer,
        mode=mode,  # type: ignore[arg-type]
        factor=factor,
        patience=patience,
        threshold=0.0,  # any better value is better, below 0 too
        threshold_mode="abs",
        min_lr=floors,
        eps=0.0,
    )


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


def _decaying(optimizer: Optimizer, total_steps: float, warmup: float, curve: Callable[[float], float]) -> LambdaLR:
    """Return a schedule that rises from 0, then follows a curve from 1 of the progress after that, from 0 to 1."""
    steps = _known(total_steps)
    rising = warmup_steps(steps, warmup)

    def factor(step: int) -> float:
        if step < rising:
            return step / rising
        return curve(min((step - rising) / max(steps - rising, 1), 1.0))

    return LambdaLR(optimizer, factor)


def _share(name: str, value: float) -> float:
    if not is_number(value) or not 0 <= value <= 1:
        raise ConfigError(
            f"scheduler.{name}={value}: expected a share of the peak, from 0 to 1",
            f"type for instance scheduler.{name}=0.1",
        )
    return float(value)


def _has_momentum(optimizer: Optimizer) -> bool:
    return all("betas" in group or group.get("momentum") for group in optimizer.param_groups)


def warmup_steps(total_steps: float, warmup: float, name: str = "warmup") -> int:
    """Return the number of warm-up steps.

    Args:
        total_steps: Optimiser steps of the whole run.
        warmup: A whole number (``100``) means steps; a number with a decimal point (``0.1``) means that share of
            the run, at least 0 and below 1, rounded up as the Hugging Face Trainer does.
        name: Of the option that was given so.

    Raises:
        ConfigError: The warm-up is negative, a share of 1 or more, longer than the run, or a share of a run
            without an end.
    """
    if not is_number(warmup) or not warmup >= 0:
        raise _bad_length(name, f"{warmup!r} is neither a number of steps nor a share of the run")
    if isinstance(warmup, float):
        if warmup >= 1:
            raise _bad_length(name, f"{warmup} is a share of the run, and must be below 1")
        return math.ceil(_known(total_steps) * warmup)
    if warmup > total_steps:
        raise _bad_length(name, f"{warmup} steps is longer than the run, which has {total_steps}")
    return warmup


def _bad_length(name: str, problem: str) -> ConfigError:
    return ConfigError(
        f"scheduler.{name}={problem}",
        f"give steps as a whole number (scheduler.{name}=100) or a share of the run (scheduler.{name}=0.1)",
    )


def _known(total_steps: float) -> int:
    """Return the length of the run as an int; Lightning's estimate is infinite for a run without an end."""
    if not (math.isfinite(total_steps) and total_steps >= 1):
        raise ConfigError(
            f"this schedule needs to know how many steps the run has, and is told {total_steps}",
            "set trainer.max_epochs or trainer.max_steps, or choose scheduler=constant",
        )
    return int(total_steps)
