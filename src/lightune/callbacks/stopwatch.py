"""Where the time of a run goes."""

import resource
import sys
import time
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback


class Stopwatch(Callback):
    """Measures seconds of optimisation, validation and test; goes on counting after a resume.

    ``time/train_s`` is the training loop without the validations inside it and without checkpoints written after them.
    """

    def __init__(self) -> None:
        self.seconds = {"train": 0.0, "val": 0.0, "test": 0.0}
        self._since: dict[str, float] = {}

    def _start(self, phase: str) -> None:
        self._since[phase] = time.perf_counter()

    def _stop(self, phase: str) -> None:
        if phase in self._since:
            self.seconds[phase] += time.perf_counter() - self._since.pop(phase)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start."""
        self._start("train")

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *batch: Any) -> None:
        """Go on after a validation, and after what is written then."""
        if "train" not in self._since:
            self._start("train")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop, where no validation was the last thing."""
        self._stop("train")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Pause training, start validation."""
        self._stop("train")
        self._start("val")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop validation."""
        self._stop("val")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start."""
        self._start("test")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop."""
        self._stop("test")

    def state_dict(self) -> dict[str, Any]:
        """Return the seconds so far, those of a running phase included."""
        now = time.perf_counter()
        return {phase: total + (now - self._since.get(phase, now)) for phase, total in self.seconds.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.seconds = {**self.seconds, **state_dict}


def peak_memory() -> dict[str, float]:
    """Return the most memory that this process has held so far, in MiB.

    Returns:
        ``memory/peak_rss_mb``, the resident memory; and, once CUDA is in use, ``memory/peak_gpu_mb``, what its tensors
        took of this process's GPU.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"memory/peak_rss_mb": peak / (2**20 if sys.platform == "darwin" else 2**10)}
    if torch.cuda.is_initialized():
        found["memory/peak_gpu_mb"] = torch.cuda.max_memory_allocated() / 2**20
    return found
