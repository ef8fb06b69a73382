"""The checkpoint from which a run is resumed, and the orderly end on Ctrl-C."""

import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from lightune import checkpoint_card, machine, overrides
from lightune.callbacks.best import BestCheckpoint
from lightune.callbacks.final_validation import validates
from lightune.errors import CheckpointError, ConfigError
from lightune.report import show
from lightune.report.history import HistoryLogger

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_WRITE, _STOP = 1, 2  # what a rank may wish after a step; the larger wins


class LastCheckpoint(Checkpoint):
    """Keeps ``last.ckpt`` up to date, always between two optimiser steps.

    Lightning's ModelCheckpoint writes either every so many steps or every epoch, and its copy of the last checkpoint
    only when another one is due; a run that is resumed wants all of these moments, and the end.

    On Ctrl-C or SIGTERM the step in progress is finished, and with it the validation that is due, the checkpoint is
    written, and the process ends with status 128 + the signal's number. A second Ctrl-C ends it at once.

    Where a validation has just written ``best.ckpt``, ``last.ckpt`` becomes another name of the same file. The one
    before is kept as ``step_<n>.ckpt``, for the day when ``last.ckpt`` cannot be read.

    Args:
        dirpath: Folder of ``last.ckpt``.
        every_n_steps: Optimiser steps between two writes; None leaves it to the clock and to validations.
        every_minutes: Minutes between two writes, at most; None leaves it to steps and to validations.
        keep: How many of the checkpoints written so are kept, ``last.ckpt`` among them.

    Raises:
        ConfigError: `keep` is less than 1.
    """

    def __init__(
        self, dirpath: str, every_n_steps: int | None = None, every_minutes: float | None = 5.0, keep: int = 2
    ) -> None:
        if keep < 1:
            raise ConfigError(f"keep={keep}: last.ckpt itself is one", "type a number of at least 1")
        self.path = Path(dirpath) / "last.ckpt"
        self.keep = keep
        self.every_n_steps = every_n_steps
        self.every_minutes = every_minutes
        self._saved_step = 0
        self._wrote = False  # last.ckpt, so that it need not be looked through before it is replaced
        self._saved_at = 0.0
        self._signal = 0
        self._handlers: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over the signals."""
        self._saved_step, self._saved_at = trainer.global_step, time.monotonic()
        self._handlers = {number: signal.signal(number, self._ask_to_stop) for number in _SIGNALS}

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        if self._signal:
            raise KeyboardInterrupt
        self._signal = number
        if machine.is_first_process():
            show.note("\nStopping after this step; again to stop at once.")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write where it is due, and stop where that was asked for."""
        if trainer.global_step == self._saved_step or trainer.fit_loop._should_accumulate():
            return  # nothing new, or in the middle of an optimiser step
        if validates(trainer):
            return  # a run resumed from here would leave out the validation that follows, which writes when it is done
        # One rank's signal or clock is enough, and all have to do the same.
        wish = torch.tensor(_STOP if self._signal else _WRITE if self._is_due(trainer.global_step) else 0)
        wanted = int(trainer.strategy.reduce(wish.to(trainer.strategy.root_device), reduce_op="max"))
        if wanted:
            _log_step(trainer, everywhere=wanted == _STOP)
            self._save(trainer)
        if wanted == _STOP:
            self._stop(trainer)

    def _is_due(self, step: int) -> bool:
        late = self.every_minutes is not None and time.monotonic() - self._saved_at >= 60 * self.every_minutes
        return late or (self.every_n_steps is not None and step % self.every_n_steps == 0)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write after a validation that belongs to training."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._save(trainer)
            if trainer.strategy.reduce_boolean_decision(bool(self._signal), all=False):
                self._stop(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write at the end, where no validation was the last thing, and give the signals back."""
        if trainer.global_step != self._saved_step:
            self._save(trainer)
        self._give_back()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the signals back."""
        self._give_back()

    def _give_back(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def _save(self, trainer: Trainer) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, HistoryLogger):
                logger.write()  # a run that is resumed goes on with what is in the file
        if trainer.is_global_zero:
            self._set_aside()
        best = _just_written(trainer)
        if best is None:
            trainer.save_checkpoint(self.path)
        else:
            if trainer.is_global_zero:
                _link(best, self.path)
            trainer.strategy.barrier("last.ckpt")
        self._saved_step, self._saved_at, self._wrote = trainer.global_step, time.monotonic(), True

    def _set_aside(self) -> None:
        """Give the file that is about to be replaced a name of its own, and drop the oldest of those."""
        if self.keep == 1 or not self.path.is_file():
            return
        try:
            step = checkpoint_card.read(self.path, whole=not self._wrote)["step"]
        except CheckpointError:
            return  # nobody would want to go on from it
        _link(self.path, self.path.with_name(checkpoint_card.earlier(step)))
        for old in checkpoint_card.newest_first(self.path.parent, checkpoint_card.earlier("*"))[self.keep - 1 :]:
            old.unlink()

    def _stop(self, trainer: Trainer) -> None:
        if trainer.is_global_zero:
            command = f"python train.py {overrides.word('resume', self.path.parent.parent)}"
            show.note(f"\nStopped at step {trainer.global_step}. Continue with:\n  {command}")
        # Only the first rank reports it: Lightning kills a job outright whose other ranks end with a status.
        sys.exit(128 + (self._signal or signal.SIGINT) if trainer.is_global_zero else 0)


def _just_written(trainer: Trainer) -> Path | None:
    """Return the best checkpoint, if it was written at this very step: all that a run goes on from is the same."""
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, BestCheckpoint) and callback._last_global_step_saved == trainer.global_step:
            best = Path(callback.best_model_path)
            return best if best.is_file() else None
    return None


def _link(source: Path, target: Path) -> None:
    """Give a file another name, or copy it where the file system has no links; the old target is there until then."""
    unfinished = target.with_name(f".{target.name}.part")
    unfinished.unlink(missing_ok=True)
    try:
        unfinished.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, unfinished)
    unfinished.replace(target)


def _log_step(trainer: Trainer, everywhere: bool) -> None:
    """Log the step that has just ended: Lightning does so after the hook, too late for a run that ends in it.

    Args:
        trainer: Knows what was logged in the step.
        everywhere: Whether the run ends here, so that no logger will hear of the step again. Otherwise only history.csv
            is written, in which a second entry changes nothing.
    """
    connector = trainer._logger_connector
    if not connector.should_update_logs:
        return
    logged = {name: float(value) for name, value in connector.metrics["log"].items()}
    for logger in trainer.loggers:
        if everywhere or isinstance(logger, HistoryLogger):
            step = trainer.fit_loop.epoch_loop._batches_that_stepped
            logger.log_metrics({**logged, "epoch": trainer.current_epoch}, step)
            logger.save()
