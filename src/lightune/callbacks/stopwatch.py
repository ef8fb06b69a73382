"""Where the time of a run goes."""

import gc
import re
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path
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


def forget_peaks() -> None:
    """Let what an earlier run in this process held count no longer; of main memory, Linux alone can forget it."""
    gc.collect()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # proc(5): resets VmHWM
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()


def held_memory() -> float:
    """Return what this process holds now, in MiB: of its GPU once CUDA is in use, else of main memory."""
    if torch.cuda.is_initialized():
        return torch.cuda.memory_allocated() / 2**20
    return _status("VmRSS") or _peak_resident()


def _status(name: str) -> float | None:
    """Return a line of Linux's account of this process, in MiB; not every kernel has each."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace") if sys.platform == "linux" else ""
    found = re.search(rf"{name}:\s+(\d+) kB", lines)
    return int(found[1]) / 2**10 if found else None


def _peak_resident() -> float:
    """Return the most resident memory since `forget_peaks`, in MiB."""
    if (held := _status("VmHWM")) is not None:
        return held
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def peak_memory() -> dict[str, float]:
    """Return the most memory that this run has held so far, in MiB.

    Returns:
        ``memory/peak_rss_mb``, the resident memory; and, once CUDA is in use, ``memory/peak_gpu_mb``, what its tensors
        took of this process's GPU.
    """
    found = {"memory/peak_rss_mb": _peak_resident()}
    if torch.cuda.is_initialized():
        found["memory/peak_gpu_mb"] = torch.cuda.max_memory_allocated() / 2**20
    return found
