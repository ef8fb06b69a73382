"""How training goes, besides its loss: gradients, speed, padding, memory, load, and the best value so far."""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

import psutil
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch.optim import Optimizer

from lightune import ranks
from lightune.optim.gradients import TOTAL, gradient_norms
from lightune.parallel.tensors import is_in_parts, total_norm

_MIB = 2**20


class Telemetry(Callback):
    """Logs what says whether a run goes well, every ``trainer.log_every_n_steps`` steps.

    Counts are those of all ranks, since the last time; validations and what is written after them are left out of the
    time. Memory and load are those of the first rank.

    Args:
        monitor: Validation metric whose best value so far is logged.
        mode: Which way is better.
        gradients: Whether norms of gradients are logged, as they are before they are clipped. Where each process has a
            part of every layer only the norm of all is; with DeepSpeed, which keeps gradients to itself, none.
    """

    def __init__(self, monitor: str, mode: Literal["min", "max"], gradients: bool = True) -> None:
        self.monitor = monitor
        self.better = {"min": min, "max": max}[mode]
        self.gradients = gradients
        self.best: float | None = None
        self._process = psutil.Process()
        self._norms: dict[str, float] = {}
        self._begin(0.0)
        self._since: float | None = None

    def _begin(self, tokens: float) -> None:
        """Count from here."""
        self._tokens, self._rows, self._places, self._seconds = tokens, 0, 0, 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        module: Any = pl_module
        self._begin(float(module.tokens))
        self._since = time.perf_counter()
        self._process.cpu_percent()  # since here
        if self.gradients and not hasattr(trainer.strategy, "multiply_gradients"):
            module.before_clipping = self._measure

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Count a micro-batch."""
        self._since = self._since or time.perf_counter()  # a validation is over
        self._rows += len(batch["attention_mask"])
        self._places += batch["attention_mask"].numel()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        if self._since is not None:
            self._seconds += time.perf_counter() - self._since
        self._since = None

    def _measure(self, module: LightningModule, optimizer: Optimizer) -> None:
        """Take the norms of the gradients that are about to be clipped, in a step that is logged."""
        if not module.trainer._logger_connector.should_update_logs:
            return
        if is_in_parts(module):
            self._norms = {TOTAL: float(total_norm([p for group in optimizer.param_groups for p in group["params"]]))}
        else:
            named = module.named_parameters()
            self._norms = gradient_norms({name: p.grad for name, p in named if p.grad is not None})

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log, where it is time to."""
        if trainer.fit_loop._should_accumulate() or not trainer._logger_connector.should_update_logs:
            return
        module: Any = pl_module
        tokens = float(module.tokens)  # waits for the GPU, so that the time is that of steps that were made
        norms = {f"train/grad_norm{f'/{part}' if part else ''}": norm for part, norm in self._norms.items()}
        _log(trainer, {**norms, **self._speed(tokens, pl_module.device), **held(self._process), **self._load()})
        self._norms = {}
        self._begin(tokens)
        self._since = time.perf_counter()

    def _speed(self, tokens: float, device: torch.device) -> dict[str, float]:
        since = time.perf_counter() if self._since is None else self._since
        seconds = self._seconds + time.perf_counter() - since
        rows, places = ranks.over_data(torch.tensor([self._rows, self._places], device=device)).tolist()
        new = tokens - self._tokens
        return {
            "speed/tokens_per_s": new / seconds,
            "speed/samples_per_s": rows / seconds,
            "data/padding": 1 - new / max(places, 1),
        }

    def _load(self) -> dict[str, float]:
        found = {"utilisation/cpu": self._process.cpu_percent()}
        if torch.cuda.is_initialized():
            with suppress(ModuleNotFoundError, RuntimeError):  # NVIDIA's library may not be there
                found["utilisation/gpu"] = float(torch.cuda.utilization())
        return found

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the best value so far."""
        metrics: Mapping[str, float] = pl_module.metrics  # type: ignore[assignment]
        value = metrics.get(self.monitor)
        if trainer.state.fn != "fit" or trainer.sanity_checking or value is None:
            return
        self.best = value if self.best is None else self.better(self.best, value)
        _log(trainer, {f"best/{self.monitor.removeprefix('val/')}": self.best})

    def state_dict(self) -> dict[str, Any]:
        """Return the best value."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.best = state_dict["best"]


def held(process: psutil.Process) -> dict[str, float]:
    """Return the memory that a process holds, and that tensors take of its GPU, in MiB."""
    found = {"memory/rss_mb": process.memory_info().rss / _MIB}
    if torch.cuda.is_initialized():
        found["memory/gpu_mb"] = torch.cuda.memory_allocated() / _MIB
    return found


def _log(trainer: Trainer, values: Mapping[str, float]) -> None:
    step = trainer.fit_loop.epoch_loop._batches_that_stepped
    for logger in trainer.loggers:
        logger.log_metrics(dict(values), step)
