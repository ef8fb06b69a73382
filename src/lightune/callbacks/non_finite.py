"""Steps whose loss or gradients are not finite: stopped or left out before they reach a weight."""

import json
import sys
from pathlib import Path
from typing import Any, Literal, NoReturn

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.optim import Optimizer

from lightune import overrides, ranks
from lightune.errors import ConfigError, TrainingError
from lightune.parallel.tensors import own_part
from lightune.report import show

Batch = dict[str, Tensor]


class NonFinite(Callback):
    """Looks at every step's gradients before the optimiser does.

    Where one is infinite or no number, the step's batches and the examples in them are written to a folder, and the run
    ends, or goes on without that step. No weight has been changed by it. With loss scaling (``precision=16-mixed``)
    infinite gradients are everyday, and the scaler leaves such steps out by itself: there only the loss is looked at.

    Args:
        dirpath: Folder for the batches.
        action: ``stop``, or ``skip`` to leave the step out.
        at_most: Steps that are left out before the run ends after all.

    Raises:
        ConfigError: There is no such action.
    """

    def __init__(self, dirpath: str, action: Literal["stop", "skip"] = "stop", at_most: int = 10) -> None:
        if action not in ("stop", "skip"):
            raise ConfigError(f"action={action}: there is no such action", "type stop or skip")
        self.folder = Path(dirpath)
        self.action = action
        self.at_most = at_most
        self.skipped = 0
        self._batches: list[Batch] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        """Keep the micro-batches of a step."""
        self._batches.append(batch)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Look at them."""
        batches, self._batches = self._batches, []
        fault = _fault(trainer, pl_module)
        if trainer.strategy.reduce_boolean_decision(fault is None, all=True):
            return
        self._write(trainer, batches)
        self.skipped += 1
        pl_module.log("train/skipped_steps", float(self.skipped))
        fault = next(filter(None, ranks.objects_of_all(fault)))
        if self.action == "stop" or self.skipped > self.at_most:
            self._stop(trainer, fault)
        if trainer.is_global_zero:
            show.note(f"Step {trainer.global_step + 1} is left out: {fault}. See {self.folder}/")
        if trainer.scaler is None:  # a scaler leaves the step out itself, and wants to see gradients
            optimizer.zero_grad()

    def _stop(self, trainer: Trainer, fault: str) -> NoReturn:
        if not trainer.is_global_zero:
            sys.exit(0)  # the first rank says it
        after = f" after {self.at_most} steps that were left out" if self.action == "skip" else ""
        resume = overrides.word("resume", self.folder.parent)
        raise TrainingError(
            f"step {trainer.global_step + 1}: {fault}{after}. Its batch and examples lie in {self.folder}/",
            f"lower optimizer.lr, or type {resume} callbacks.non_finite.action=skip to go on without such steps",
        )

    def _write(self, trainer: Trainer, batches: list[Batch]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"step_{trainer.global_step + 1}_rank_{trainer.global_rank}"
        on_cpu = [{key: tensor.cpu() for key, tensor in batch.items()} for batch in batches]
        torch.save({"batches": on_cpu}, self.folder / f"{name}.pt")
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        rows = [json.dumps(row, ensure_ascii=False, default=str) for row in data.last_examples(len(batches))]
        (self.folder / f"{name}.jsonl").write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")

    def state_dict(self) -> dict[str, Any]:
        """Return the number of steps that were left out."""
        return {"skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.skipped = state_dict["skipped"]


def _fault(trainer: Trainer, module: Any) -> str | None:
    """Return what is not finite; None where all is well."""
    if not bool(torch.isfinite(module.loss_so_far)):
        return f"the loss is {float(module.loss_so_far)}"
    if trainer.scaler is not None:
        return None
    own = getattr(trainer.strategy, "own_gradients", None)
    if own is not None:  # parts that hold several parameters
        return None if all(bool(torch.isfinite(part).all()) for part in own()) else "the gradients are not finite"
    named = [(name, p.grad) for name, p in module.named_parameters() if p.grad is not None]
    norms = torch._foreach_norm([own_part(gradient) for _, gradient in named])
    if not named or bool(torch.isfinite(torch.stack(norms)).all()):
        return None
    odd = [name for (name, _), norm in zip(named, norms, strict=True) if not bool(torch.isfinite(norm))]
    return f"the gradients of {len(odd)} of {len(named)} parameters are not finite, first of {odd[0]}"
