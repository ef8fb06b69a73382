"""What a run will go through: its steps, its validations, and how much of the data."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from lightning import Trainer

from lightune import ranks
from lightune.data.batching import Share
from lightune.data.module import DataModule
from lightune.forecast.volume import Volume
from lightune.preflight import data_ranks, planned_steps


@dataclass(frozen=True)
class Schedule:
    """Of a whole run.

    Args:
        steps: Of the optimiser.
        per_epoch: Of them.
        validations: In the run.
        evaluated: Split → batches of this rank in an evaluation.
        volume: Of this rank's training batches; None where they are not known before they are read.
    """

    steps: int
    per_epoch: int
    validations: int
    evaluated: Mapping[str, int]
    volume: Volume | None


def schedule(trainer: Trainer, data: DataModule) -> Schedule:
    """Return what a run will go through, unless it is stopped early."""
    per_epoch, all_steps = planned_steps(trainer, data)
    steps = int(all_steps)  # a run without an end has been refused
    limits = {"val": trainer.limit_val_batches, "test": trainer.limit_test_batches}
    there = {split: len(data.evaluation_dataloader(split)) for split in limits if split in data.splits}
    evaluated = {split: _limited(batches, limits[split]) for split, batches in there.items()}
    micro_batches = _micro_batches(trainer, data, steps)
    volume = None if data.stream is not None else _volume(trainer, data, micro_batches)
    return Schedule(steps, per_epoch, _validations(trainer, data, micro_batches), evaluated, volume)


def _per_epoch(trainer: Trainer, data: DataModule) -> int:
    """Return the micro-batches of an epoch that a rank trains on."""
    return _limited(data.micro_batches(data_ranks(trainer)), trainer.limit_train_batches)


def _limited(batches: int, limit: float | None) -> int:
    """Return how many batches Lightning takes: at most so many, or a share of them."""
    return min(batches, limit) if isinstance(limit, int) else int(batches * (1.0 if limit is None else limit))


def _micro_batches(trainer: Trainer, data: DataModule, steps: int) -> int:
    """Return those of a rank in the whole run: the last step of an epoch may have fewer than the others."""
    used, accumulate = _per_epoch(trainer, data), trainer.accumulate_grad_batches
    epochs, rest = divmod(steps, max(-(-used // accumulate), 1))
    return epochs * used + min(rest * accumulate, used)


def _volume(trainer: Trainer, data: DataModule, micro_batches: int) -> Volume:
    plan = data.plan(Share(ranks.data_rank().rank, data_ranks(trainer)))
    volume = Volume()
    for epoch in count():
        left = micro_batches - volume.batches
        if left <= 0:
            return volume
        batches = plan(epoch)[: min(_per_epoch(trainer, data), left)]
        volume += Volume.of(batches, data.row_tokens, data.row_lengths, data.collate.multiple)
    raise AssertionError


def _validations(trainer: Trainer, data: DataModule, micro_batches: int) -> int:
    used, interval, epochs = _per_epoch(trainer, data), trainer.val_check_interval, trainer.check_val_every_n_epoch
    if "val" not in data.splits or not trainer.limit_val_batches:
        return 0
    if epochs is None:  # an interval counts on from one epoch to the next
        return micro_batches // int(interval or used)
    each = int(interval) if isinstance(interval, int) else max(int(used * (interval or 1.0)), 1)
    whole, rest = divmod(micro_batches, used)
    within = used // each
    return whole // epochs * within + (rest // each if (whole + 1) % epochs == 0 else 0)
