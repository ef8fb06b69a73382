"""What a run will go through: its steps, its validations, and how much of the data."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from lightning import Trainer

from lightune import ranks
from lightune.data.batching import Share
from lightune.data.module import DataModule
from lightune.forecast.volume import Volume
from lightune.preflight import data_ranks, limited, planned_batches, planned_steps


@dataclass(frozen=True)
class Schedule:
    """Of a whole run.

    Args:
        steps: Of the optimiser.
        validations: In the run.
        evaluated: Split → batches of this rank in an evaluation.
        volume: Of this rank's training batches; None where they are not known before they are read.
    """

    steps: int
    validations: int
    evaluated: Mapping[str, int]
    volume: Volume | None


def schedule(trainer: Trainer, data: DataModule) -> Schedule:
    """Return what a run will go through, unless it is stopped early."""
    steps = int(planned_steps(trainer, data)[1])  # a run without an end has been refused
    used = planned_batches(trainer, data)
    limits = {"val": trainer.limit_val_batches, "test": trainer.limit_test_batches}
    there = {split: len(data.evaluation_dataloader(split)) for split in limits if split in data.splits}
    evaluated = {split: limited(batches, limits[split]) for split, batches in there.items()}
    micro_batches = _micro_batches(used, trainer.accumulate_grad_batches, steps)
    volume = None if data.stream is not None else _volume(trainer, data, used, micro_batches)
    validations = _validations(trainer, used, micro_batches, steps) if "val" in data.splits else 0
    return Schedule(steps, validations, evaluated, volume)


def _micro_batches(used: int, accumulate: int, steps: int) -> int:
    """Return those of a rank in the whole run: the last step of an epoch may have fewer than the others."""
    epochs, rest = divmod(steps, max(-(-used // accumulate), 1))
    return epochs * used + min(rest * accumulate, used)


def _volume(trainer: Trainer, data: DataModule, used: int, micro_batches: int) -> Volume:
    plan = data.plan(Share(ranks.data_rank().rank, data_ranks(trainer)))
    volume = Volume()
    for epoch in count():
        left = micro_batches - volume.batches
        if left <= 0:
            return volume
        batches = plan(epoch)[: min(used, left)]
        volume += Volume.of(batches, data.row_tokens, data.row_lengths, data.collate.multiple)
    raise AssertionError


def _validations(trainer: Trainer, used: int, micro_batches: int, steps: int) -> int:
    """Return those at the trainer's intervals, and `FinalValidation` where the last step is at none of them."""
    interval, epochs = trainer.val_check_interval, trainer.check_val_every_n_epoch
    if not trainer.limit_val_batches:
        return 0
    if epochs is None:  # an interval counts on from one epoch to the next
        validates = True
        regular, rest = divmod(micro_batches, int(interval or used))
    else:
        each = int(interval) if isinstance(interval, int) else max(int(used * (interval or 1.0)), 1)
        whole, last = divmod(micro_batches - 1, used)  # epochs before the last one, and the last batch of that
        validates = (whole + 1) % epochs == 0
        inside, rest = divmod(last + 1, each)
        regular = whole // epochs * (used // each) + (inside if validates else 0)
    return regular + int(validates and rest > 0 and 0 < trainer.max_steps <= steps)
