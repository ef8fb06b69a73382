"""What a method may know of the run that it is applied for."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Training:
    """A run that trains.

    Args:
        steps: Its optimiser steps.
        batches: Number → so many batches of training features, the same in every process.
        loss: Model and batch → mean loss.
        device: Where the model will be trained.
    """

    steps: int
    batches: Callable[[int], list[Batch]]
    loss: Callable[[nn.Module, Batch], Tensor]
    device: torch.device

    def looked_at(self, model: nn.Module, count: int) -> list[Batch]:
        """Return batches, model and they on the device of the run."""
        model.to(self.device)
        return [{key: tensor.to(self.device) for key, tensor in batch.items()} for batch in self.batches(count)]
