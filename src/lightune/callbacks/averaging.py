"""Weights averaged over the steps of training, which evaluations and ``best.ckpt`` take."""

from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from lightune.errors import ConfigError
from lightune.parallel.tensors import in_parts_like, whole


class WeightAveraging(Callback):
    """Averages what is trained, and puts the average in place for each validation.

    Lightning's own callback copies the whole module, frozen weights too, and writes both copies into every checkpoint.

    ``best.ckpt`` holds the average, as it is written right after a validation; training goes on from the weights that
    were there before, at its next step, also after a resume from such a file.

    Args:
        decay: Share of the average that stays in each step (Polyak averaging, EMA), less in the first steps: at most
            (1 + n) / (10 + n) in the n-th. None for the plain mean of the steps (SWA, Izmailov et al. 2018).
        start: Share of the run's steps after which averaging begins.

    Raises:
        ConfigError: A number is out of range.
    """

    precedes_merging = True  # adapters are folded with the average in place

    def __init__(self, decay: float | None = 0.999, start: float = 0.0) -> None:
        if decay is not None and not 0 < decay < 1:
            raise ConfigError(f"decay={decay} is no share between 0 and 1", "type for instance decay=0.999")
        if not 0 <= start < 1:
            raise ConfigError(
                f"start={start} is no share of the run", "type a number from 0 up to 1, such as start=0.75"
            )
        self.decay = decay
        self.start = start
        self.average: dict[str, Tensor] = {}
        self._trained: dict[str, Tensor] = {}  # the weights that are trained, while the average has their place
        self._count = 0  # steps in the average
        self._step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with the step that a checkpoint was written at, and with its trained weights."""
        self._step = trainer.global_step
        self._put_back(pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Put the weights back that are trained."""
        self._put_back(pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take what an optimiser step gave into the average."""
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        if self._step > self.start * trainer.estimated_stepping_batches:
            self._update(pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the average in place."""
        if self.average and not self._trained and not trainer.sanity_checking:
            self._trained = _swap(pl_module, self.average)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Put the weights back that are trained."""
        self._put_back(pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Return the average, how many steps it is of, and the trained weights where it has their place."""
        return {"average": whole(self.average), "trained": whole(self._trained), "count": self._count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.average, self._trained = dict(state_dict["average"]), dict(state_dict["trained"])
        self._count = state_dict["count"]

    def _update(self, model: nn.Module) -> None:
        self._count += 1
        now = _trainable(model)
        if self._count == 1:
            self.average = {name: tensor.clone() for name, tensor in now.items()}
            return
        for name, tensor in now.items():
            kept = self.average[name] = in_parts_like(self.average[name].to(tensor.device), tensor)
            kept.lerp_(tensor, 1 - share_kept(self._count, self.decay))

    def _put_back(self, model: nn.Module) -> None:
        if self._trained:
            _swap(model, self._trained)
            self._trained = {}


def share_kept(count: int, decay: float | None) -> float:
    """Return the share of an average that stays when the `count`-th step joins it."""
    return (count - 1) / count if decay is None else min(decay, (1 + count) / (10 + count))


def _trainable(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}


def _swap(model: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Put tensors into a model and return what was there."""
    there = _trainable(model)
    kept = {name: tensor.clone() for name, tensor in there.items()}
    with torch.no_grad(), torch.inference_mode(False):
        for name, tensor in tensors.items():
            there[name].copy_(in_parts_like(tensor, there[name]))
    return kept
