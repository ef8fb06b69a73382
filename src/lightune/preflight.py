"""What only the parts themselves can tell, looked at before weights are loaded and before the first hour is spent."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import Any

import torch
from lightning import Trainer
from torch import nn
from transformers import PretrainedConfig

from lightune import check
from lightune.adapt import Adaptation
from lightune.adapt.targets import fresh_modules
from lightune.data.module import DataModule
from lightune.errors import ConfigError, nearest
from lightune.models import Backbone
from lightune.models.architecture import architecture_of, head_parameters
from lightune.parallel.layers import check_heads, tensor_plan
from lightune.tasks.base import Task

# What a run measures besides metrics, and a study may want small.
_COSTS = (
    *("params/trainable", "params/total", "tokens/total", "train/loss"),
    *("time/train_s", "time/val_s", "time/test_s", "time/total_s", "memory/peak_rss_mb", "memory/peak_gpu_mb"),
)


def check_architecture(task: Task, config: PretrainedConfig) -> None:
    """Raise ConfigError where the task has no head for the architecture that a model's configuration tells."""
    error = check.architecture_error(task.name, task.architectures, architecture_of(config))
    if error:
        raise error


def check_fit(task: Task, backbone: Backbone, adaptation: Adaptation, config: PretrainedConfig) -> None:
    """Refuse a method that does not fit the modules of a backbone.

    Args:
        task: With its labels.
        backbone: Not loaded.
        adaptation: Tried on the model without weights.
        config: The model's configuration.

    Raises:
        ConfigError: They do not go together.
    """
    skeleton = backbone.skeleton(task.auto_class, config)
    fresh = head_parameters(skeleton)
    adaptation.check(skeleton, fresh_modules(skeleton, fresh))
    with suppress(RuntimeError):  # what a method computes from weights cannot be tried where there are none
        adaptation.apply(skeleton, fresh, task.peft_type)


def check_split(trainer: Trainer, config: PretrainedConfig) -> None:
    """Raise ConfigError where the matrices of a model are to be split over processes, and cannot be."""
    parts = getattr(trainer.strategy, "tensor_size", 1)
    if parts > 1:
        tensor_plan(config)
        check_heads(config, parts)


def check_monitors(task: Task, watched: Mapping[str, str], headline: Sequence[str] = ()) -> None:
    """Refuse to watch or to report a metric that the task does not measure.

    Args:
        task: With its labels.
        watched: Name of a callback → what it monitors.
        headline: Metrics for the table of a multirun.

    Raises:
        ConfigError: There is no such metric.
    """
    measured = [*task.measure([]), "loss"]
    if task.monitor not in measured:
        raise ConfigError(
            f"task.monitor={task.monitor}: {task.name} has no such metric", nearest(task.monitor, measured)
        )
    known = [f"val/{metric}" for metric in measured]
    for name, metric in watched.items():
        if metric.startswith("val/") and metric not in known:
            raise ConfigError(f"callbacks.{name}.monitor={metric}: no such metric is logged", nearest(metric, known))
    for metric in headline:
        if metric not in measured:
            raise ConfigError(f"headline={metric}: {task.name} has no such metric", nearest(metric, measured))


def check_objectives(task: Task, objectives: Sequence[str]) -> None:
    """Refuse to optimise what a run does not measure, and what it measures on the test split.

    Args:
        task: With its labels.
        objectives: Names of numbers.

    Raises:
        ConfigError: One of them is none of those that can be optimised.
    """
    known = [*(f"val/{metric}" for metric in (*task.measure([]), "loss")), *_COSTS]
    for name in objectives:
        if name not in known:
            why = "is not for choosing by" if name.startswith("test/") else "is no number of a run"
            raise ConfigError(f"objective={name}: that {why}", nearest(name, known))


def check_packing(task: Task, packing: bool) -> None:
    """Raise ConfigError where features are to share rows and the task cannot keep them apart."""
    if packing and not task.packable:
        raise ConfigError(
            f"data.packing=true: features of task={task.name} cannot share a row", "leave it out: data.packing=false"
        )


def check_schedule(optimizer: Callable[..., Any], scheduler: Callable[..., Any], steps: float) -> None:
    """Refuse values that optimiser or schedule do not take; they are tried on a parameter of no consequence.

    Args:
        optimizer: Parameters → optimiser.
        scheduler: Optimiser and ``total_steps`` → schedule.
        steps: Optimiser steps of the run.

    Raises:
        ConfigError: A value is out of range, or the warm-up is longer than the run.
    """
    try:
        group = {"params": [nn.Parameter(torch.zeros(1))], "param_names": ["parameter"], "name": "backbone"}
        scheduler(optimizer([group]), total_steps=steps)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ConfigError(
            f"optimizer or scheduler: {str(error).splitlines()[0]}", "mend optimizer.… or scheduler.…"
        ) from error


def data_ranks(trainer: Trainer) -> int:
    """Return how many processes, or groups of them that make one model, will see different data."""
    return getattr(trainer.strategy, "data_size", None) or trainer.world_size


def changed_steps(trainer: Trainer, data: DataModule, place: Mapping[str, Any], step: int) -> int | None:
    """Return the optimiser steps of a run that goes on with other ranks or batches; None where they are the same.

    Args:
        trainer: Lightning's.
        data: The training data.
        place: Where the run was broken off.
        step: Optimiser steps until then.
    """
    left = data.remaining(place, data_ranks(trainer))
    per_epoch, whole = planned_steps(trainer, data)
    if left is None or whole == inf:
        return None
    later = (trainer.max_epochs or 0) - place["epoch"] - 1
    total = step + -(-left // trainer.accumulate_grad_batches) + max(later, 0) * per_epoch
    return total if trainer.max_steps == -1 else min(total, trainer.max_steps)


def planned_steps(trainer: Trainer, data: DataModule) -> tuple[int, float]:
    """Return the optimiser steps of an epoch and of the whole run, as Lightning will count them."""
    per_epoch = -(-planned_batches(trainer, data) // trainer.accumulate_grad_batches)
    by_epochs = inf if trainer.max_epochs in (None, -1) else per_epoch * (trainer.max_epochs or 0)
    return per_epoch, by_epochs if trainer.max_steps == -1 else min(by_epochs, trainer.max_steps)


def planned_batches(trainer: Trainer, data: DataModule) -> int:
    """Return the micro-batches of an epoch that each rank trains on."""
    return limited(data.micro_batches(data_ranks(trainer)), trainer.limit_train_batches)


def limited(batches: int, limit: float | None) -> int:
    """Return how many batches Lightning takes: at most so many, or a share of them."""
    return min(batches, limit) if isinstance(limit, int) else int(batches * (1.0 if limit is None else limit))
