"""Layers that begin to learn one after the other, from the head down."""

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import nn
from torch.optim import Optimizer

from lightune.errors import ConfigError
from lightune.models.architecture import layer_counts, layer_of


class GradualUnfreezing(Callback):
    """Lets the head learn first, then the top layer too, and so on; embeddings come last (Howard and Ruder 2018).

    Layers that wait have no gradient when the optimiser steps, so that they stay as they are, to the bit, and gather no
    momentum. Their gradients are computed all the same: it costs no less time, and goes with every strategy.

    Args:
        until: Share of the run's optimiser steps after which everything learns.

    Raises:
        ConfigError: `until` is no share.
    """

    def __init__(self, until: float = 0.5) -> None:
        if not 0 < until <= 1:
            raise ConfigError(f"until={until} is no share of the run", "type for instance until=0.5")
        self.until = until
        self._turns: dict[str, int] = {}
        self._last = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the layers in their order."""
        self._turns = turns(pl_module)
        self._last = max(self._turns.values(), default=0)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Drop the gradients of what waits."""
        share = trainer.global_step / (self.until * trainer.estimated_stepping_batches)
        turn = int(share * (self._last + 1))
        for name, parameter in pl_module.named_parameters():
            if self._turns.get(name, 0) > turn:
                parameter.grad = None


def turns(model: nn.Module) -> dict[str, int]:
    """Return when each parameter begins to learn: name → 0 for the head, 1 for the top layers, and so on.

    Stacks of an encoder-decoder count apart, each from its top. What lies in no layer is the head's, but embeddings and
    their normalisation come last.
    """
    counts = layer_counts(model)
    found = {}
    for name, _ in model.named_parameters():
        if place := layer_of(name):
            stack, number = place
            found[name] = counts[stack] - number
        else:
            found[name] = max(counts.values(), default=0) + 1 if "embed" in name else 0
    return found
