"""Adapters folded into the weights they sit beside while a split is evaluated: the same outputs for less work."""

from collections import Counter

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from lightune.parallel.tensors import is_in_parts


class MergedEvaluation(Callback):
    """Folds adapters into their layers for each evaluation, and puts the very same weights back afterwards.

    An adapter beside a layer costs two more matrix products and as many passes over the activations. Folded in, a
    model with adapters evaluates at the speed of one without. The weights that were there are kept and put back, not
    computed back, so that training goes on from the same bits; an evaluation thus holds the adapted weights twice.

    A model in which folding would round or reach further than the layer itself is evaluated as it is: see `foldable`.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[nn.Parameter, Tensor]] = []

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fold."""
        self._fold(pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fold."""
        self._fold(pl_module)

    # Checkpoints are written when a validation has ended, so before that.
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put back."""
        self._put_back(pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put back."""
        self._put_back(pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Put back what an evaluation left that was broken off."""
        self._put_back(pl_module)

    def _fold(self, model: nn.Module) -> None:
        if foldable(model):
            with torch.inference_mode(False), torch.no_grad():
                self._kept = fold(model)

    def _put_back(self, model: nn.Module) -> None:
        kept, self._kept = self._kept, []
        if kept:
            with torch.inference_mode(False):
                put_back(model, kept)


def adapted_layers(model: nn.Module) -> list[BaseTunerLayer]:
    """Return the layers that have an adapter beside them."""
    return [module for module in model.modules() if isinstance(module, BaseTunerLayer)]


def _own_weights(layer: BaseTunerLayer) -> list[nn.Parameter]:
    return list(layer.get_base_layer().parameters(recurse=False))


def foldable(model: nn.Module) -> bool:
    """Return whether folding changes nothing but the order of float32 sums.

    Quantised and half-precision weights would be rounded, sharded ones are not all there, and a weight that several
    modules share (a tied embedding, a replicated layer) would change in all of them.
    """
    weights = [weight for layer in adapted_layers(model) for weight in _own_weights(layer)]
    uses = Counter(id(parameter) for _, parameter in model.named_parameters(remove_duplicate=False))
    return not is_in_parts(model) and all(
        type(weight) is nn.Parameter
        and type(weight.data) is Tensor
        and weight.dtype == torch.float32
        and uses[id(weight)] == 1
        for weight in weights
    )


def fold(model: nn.Module) -> list[tuple[nn.Parameter, Tensor]]:
    """Add every adapter's update to the weights of its layer.

    Args:
        model: Foldable.

    Returns:
        Each weight of the layers, and the tensor it had: what `put_back` takes. Empty where peft cannot merge some
        layer (a LoRA bias beside a layer that has none, say); then nothing is folded.
    """
    layers = adapted_layers(model)
    kept = [(weight, weight.data) for layer in layers for weight in _own_weights(layer)]
    for weight, tensor in kept:
        weight.data = tensor.clone()
    try:
        for layer in layers:
            layer.merge()
    except (RuntimeError, ValueError, NotImplementedError):
        put_back(model, kept)
        return []
    return kept


def put_back(model: nn.Module, kept: list[tuple[nn.Parameter, Tensor]]) -> None:
    """Undo `fold`, to the bit.

    Args:
        model: The folded model.
        kept: What `fold` returned.
    """
    for weight, tensor in kept:
        weight.data = tensor
    for layer in adapted_layers(model):
        layer.merged_adapters.clear()
