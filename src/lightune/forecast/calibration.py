"""A few steps of the run as it would be: how long they take, and what is held in memory meanwhile."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim import Optimizer

from lightune.callbacks.stopwatch import forget_peaks, held_memory, peak_memory
from lightune.data.module import DataModule
from lightune.parallel.tensors import own_part

STEPS = 10  # the first is of the longest rows, and not timed: what is made once is made in it
_EVALUATED = 5  # batches of a split, from the longest to the shortest
_MIB = 2**20


@dataclass
class Measured:
    """What a calibration found on this rank.

    Args:
        micro_batches: That were timed.
        seconds: That they took together.
        evaluation: Split → mean seconds of a batch.
        parts: What memory is for → MiB: ``weights``, ``gradients``, ``optimizer``, ``activations`` of the longest rows
            with what is held only for a moment, and ``process``: Python, its libraries, the data.
        peaks: As `peak_memory` names them → MiB.
    """

    micro_batches: int = 0
    seconds: float = 0.0
    evaluation: dict[str, float] = field(default_factory=dict)
    parts: dict[str, float] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)

    @property
    def needed(self) -> float:
        """MiB of the device that a run needs: with the optimiser's states, which the first step does not have yet."""
        return max(sum(self.parts.values()), self.peaks.get("memory/peak_gpu_mb", self.peaks["memory/peak_rss_mb"]))


class Calibration(Callback):
    """Measures the steps of a short training, and some batches of each evaluation when it ends.

    Args:
        splits: That the run evaluates.
    """

    def __init__(self, splits: Iterable[str]) -> None:
        self.splits = list(splits)
        self.measured = Measured()
        self._held = 0.0
        self._began: float | None = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Begin to look at what the longest rows need."""
        if batch_idx == 0:
            self._note_peaks()
            forget_peaks()
            self._held = held_memory()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Take what they needed."""
        if not self.measured.parts:
            self._note_peaks()
            weights, gradients = _weights_and_gradients(pl_module)
            peaks = self.measured.peaks
            peak = peaks.get("memory/peak_gpu_mb", peaks["memory/peak_rss_mb"])
            self.measured.parts = {
                "process": max(self._held - weights, 0.0),
                "weights": weights,
                "gradients": gradients,
                "optimizer": 0.0,
                "activations": max(peak - self._held - gradients, 0.0),
            }

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take the time since the first step."""
        if self._began is not None:
            self.measured.micro_batches += 1
            self.measured.seconds = _now() - self._began
        elif trainer.global_step:
            self._began = _now()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate a little, while everything is where it is in training."""
        states = (state for optimizer in trainer.optimizers for state in optimizer.state.values())
        self.measured.parts["optimizer"] = _mib(v for state in states for v in state.values() if isinstance(v, Tensor))
        pl_module.eval()
        for split in self.splits:
            self._evaluate(split, trainer, pl_module)
        self._note_peaks()

    def _evaluate(self, split: str, trainer: Trainer, module: Any) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        module.tested = data.tested = split
        seconds = []
        for number, batch in _spread(data, split):
            there = trainer.strategy.batch_to_device(batch)
            began = _now()
            with torch.no_grad():
                trainer.strategy.test_step(there, number)
            seconds.append(_now() - began)
        self.measured.evaluation[split] = sum(seconds) / max(len(seconds), 1)

    def _note_peaks(self) -> None:
        for name, value in peak_memory().items():
            self.measured.peaks[name] = max(value, self.measured.peaks.get(name, 0.0))


def _spread(data: DataModule, split: str) -> Iterator[tuple[int, Any]]:
    """Yield some batches of a split with their numbers: the longest first, the others evenly spread over all."""
    loader = data.evaluation_dataloader(split)
    plan: Any = loader.batch_sampler
    count = min(_EVALUATED, len(plan))
    for number in sorted({round(i * (len(plan) - 1) / max(count - 1, 1)) for i in range(count)}):
        yield number, data.collate([data.splits[split].features[row] for row in plan[number]])


def _weights_and_gradients(module: nn.Module) -> tuple[float, float]:
    """Return MiB that this process holds of each."""
    tensors = {own_part(t).untyped_storage().data_ptr(): own_part(t) for t in (*module.parameters(), *module.buffers())}
    gradients = (own_part(p.grad) for p in module.parameters() if p.grad is not None)
    return _mib(tensors.values()), _mib(gradients)


def _mib(tensors: Iterable[Tensor]) -> float:
    return sum(own_part(tensor).nbytes for tensor in tensors) / _MIB


def _now() -> float:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()
