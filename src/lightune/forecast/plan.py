"""``python train.py plan=true``: what a run would go through and cost, told before anything is spent on it."""

from collections.abc import Mapping, Sequence
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping, LearningRateMonitor
from omegaconf import DictConfig
from rich.progress import track

from lightune import assemble, faults, machine, ranks
from lightune.assemble import Experiment
from lightune.callbacks.stopwatch import forget_peaks
from lightune.commanded import choices
from lightune.data.batching import Share
from lightune.data.table import Row
from lightune.errors import ConfigError
from lightune.forecast import gallery, printed
from lightune.forecast.calibration import STEPS, Calibration, Measured
from lightune.forecast.facts import facts, pairs
from lightune.forecast.overlap import Overlap, doubles, overlap
from lightune.forecast.schedule import Schedule, schedule
from lightune.forecast.volume import Volume
from lightune.instantiate import plain
from lightune.models.vocabulary import texts_of
from lightune.preflight import data_ranks
from lightune.report import overview, show
from lightune.report.quiet import quiet

_PROGRESS_FROM = 20_000  # training rows
_NEARLY = 0.8  # of the words of two examples together are those of both
# Callbacks that a calibration has no use for.
_LEFT_OUT = (Checkpoint, EarlyStopping, LearningRateMonitor)


def plan(cfg: DictConfig) -> None:
    """Print tokens, steps, balance of labels, memory, time, what is trained on twice, and what is evaluated besides.

    A few steps are made for it, with the strategy and on the devices of the run. Nothing is written but caches, and
    pictures of the data where ``plots`` says so.

    Args:
        cfg: The checked configuration.

    Raises:
        UserError: What was asked for cannot be done.
    """
    if cfg.resume:
        raise ConfigError("plan=true: a run that goes on was planned when it began", "leave out resume=… or plan=true")
    forget_peaks()
    quiet()
    cfg.logger = None
    lightning.seed_everything(cfg.seed, verbose=False)
    experiment = assemble.experiment(cfg, {"config": plain(cfg), "overrides": []})
    ahead = schedule(experiment.trainer, experiment.data)
    if machine.is_first_process():
        overview.before_training(cfg, experiment, choices())
        printed.balance(experiment.task, experiment.data.splits)
        printed.volume(ahead, data_ranks(experiment.trainer))
    with faults.told(cfg, experiment.trainer):
        measured = _calibrated(experiment, ahead)
    if machine.is_first_process():
        device = experiment.trainer.strategy.root_device.type
        printed.memory(measured, {"cpu": "main memory", "cuda": "GPU"}.get(device, device))
        printed.duration(_seconds(experiment, ahead, measured), STEPS)
        texts = {split: [_text(row) for row in each.examples] for split, each in experiment.data.splits.items()}
        found = _overlaps(texts)
        if cfg.plots:
            _draw(cfg, experiment, found, texts)
        show.note("\nNothing was trained. Leave out plan=true to train.")


def _calibrated(experiment: Experiment, ahead: Schedule) -> Measured:
    """Make a few steps, and return what they took on the rank with most."""
    trainer: Any = experiment.trainer
    calibration = Calibration(split for split in ("val", "test") if split in experiment.data.splits)
    experiment.module.steps = ahead.steps  # the schedule is that of the whole run
    trainer.callbacks = [*(c for c in trainer.callbacks if not isinstance(c, _LEFT_OUT)), calibration]
    trainer.fit_loop.epoch_loop.max_steps = min(STEPS, ahead.steps)
    trainer.limit_val_batches, trainer.loggers = 0, []
    trainer.fit(experiment.module, experiment.data)
    return max(ranks.objects_of_all(calibration.measured), key=lambda measured: measured.needed)


def _seconds(experiment: Experiment, ahead: Schedule, measured: Measured) -> dict[str, float | None]:
    """Return how long training, all validations and the test take."""
    each = {split: measured.evaluation.get(split, 0.0) * batches for split, batches in ahead.evaluated.items()}
    return {
        "training": _training_seconds(experiment, ahead, measured),
        f"validation, {ahead.validations:,} ×": each.get("val", 0.0) * ahead.validations,
        "test": each.get("test", 0.0),
    }


def _training_seconds(experiment: Experiment, ahead: Schedule, measured: Measured) -> float | None:
    """Return seconds of all training batches: as many for a token, padding included, as in those that were timed."""
    if not measured.micro_batches:
        return None
    accumulate, data = experiment.trainer.accumulate_grad_batches, experiment.data
    if ahead.volume is None:
        return measured.seconds / measured.micro_batches * ahead.steps * accumulate
    epochs = chain.from_iterable(map(data.plan(Share(0, data_ranks(experiment.trainer))), count()))
    timed = list(islice(epochs, accumulate, accumulate + measured.micro_batches))
    padded = Volume.of(timed, data.row_lengths, multiple=data.collate.multiple).padded
    return measured.seconds / padded * ahead.volume.padded


def _overlaps(texts: Mapping[str, Sequence[str]]) -> dict[str, Overlap]:
    """Look for all examples among those that are trained on, and print what was found."""
    if "train" not in texts:
        show.note("What is evaluated was not looked for among the training rows: these are read as they are needed.")
        return {}
    found = {}
    for split in texts:
        train = track(texts["train"], f"Looking for {split}", disable=len(texts["train"]) < _PROGRESS_FROM)
        found[split] = doubles(train, _NEARLY) if split == "train" else overlap(texts[split], train, _NEARLY)
    printed.overlaps(found, texts, _NEARLY)
    return found


def _draw(
    cfg: DictConfig, experiment: Experiment, found: Mapping[str, Overlap], texts: Mapping[str, Sequence[str]]
) -> None:
    """Write pictures of the data into the run's folder, and say where."""
    splits = experiment.data.splits
    seen = facts(experiment.task, experiment.tokenizer, splits, cfg.data.max_length)
    place = gallery.write(Path(cfg.run_dir) / "data", f"Data of {cfg.name}", seen, overlaps=[*pairs(found, texts)])
    show.lines("Pictures of the data", {file.name: str(file) for file in (place, *sorted(place.parent.glob("*.png")))})


def _text(row: Row) -> str:
    return "\n".join(texts_of([row]))
