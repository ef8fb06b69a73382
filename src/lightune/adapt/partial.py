"""Some of a backbone's own parameters are trained, and nothing is added."""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from lightning.pytorch.callbacks import Callback
from torch import nn
from transformers import PreTrainedModel

from lightune.adapt.features import FeatureMemory, freeze
from lightune.adapt.methods import Adaptation, always_trained, train_only
from lightune.adapt.training import Training
from lightune.check.methods import no_biases
from lightune.errors import ConfigError
from lightune.models.architecture import layer_counts, layer_of


def _is_bias(name: str) -> bool:
    return name.endswith(".bias")  # T5 has tables that it calls biases of places


class Partial(Adaptation):
    """The head is trained, whatever else is new, and a part of the backbone.

    Args:
        part: ``biases`` (BitFit, Ben Zaken et al. 2022), ``top`` (the last layers, and what lies above them), or
            ``nothing`` (the backbone gives features).
        layers: How many layers are the last.
        features_gib: With ``nothing``: memory for what the backbone makes of each row, which is then computed once.
        lr: Learning rate that suits this method; read by the optimiser's configuration.
        head_lr: That of the head, a multiple of `lr` or None; read there too.
    """

    def __init__(
        self,
        part: Literal["biases", "top", "nothing"],
        layers: int = 2,
        features_gib: float = 0.0,
        lr: float = 1e-4,
        head_lr: float | str | None = None,
    ) -> None:
        self.part = part
        self.layers = layers
        self.features_gib = features_gib
        self.lr = lr
        self.head_lr = head_lr

    def check(self, skeleton: PreTrainedModel, head: Sequence[str]) -> None:
        """Raise ConfigError where the backbone has no such part."""
        if self.part not in ("biases", "top", "nothing"):
            raise ConfigError(f"peft.part={self.part}: there is no such part", "type biases, top or nothing")
        counts = layer_counts(skeleton)
        if self.part == "top" and not 0 < self.layers <= max(counts.values(), default=0):
            raise ConfigError(
                f"peft.layers={self.layers}: the backbone has {max(counts.values(), default=0)} layers",
                "type for instance peft.layers=2",
            )
        if self.part == "biases" and not any(_is_bias(name) for name, _ in skeleton.named_parameters()):
            raise no_biases()

    def apply(
        self,
        model: PreTrainedModel,
        fresh: Collection[str],
        peft_type: str,
        new_tokens: Sequence[int] = (),
        training: Training | None = None,
    ) -> nn.Module:
        """Return the model as it is, the rest of it frozen."""
        train_only(model, always_trained(model, fresh, peft_type) | self._names(model), new_tokens)
        if self.part == "nothing" and training:
            freeze(model)
        return model

    def callbacks(self) -> list[Callback]:
        """Return the one that computes features, where the backbone gives nothing else."""
        return [FeatureMemory(self.features_gib)] if self.part == "nothing" and self.features_gib else []

    def _names(self, model: nn.Module) -> set[str]:
        names = {name for name, _ in model.named_parameters()}
        if self.part == "biases":
            return {name for name in names if _is_bias(name)}
        return {name for name in names if self._is_top(name, layer_counts(model))} if self.part == "top" else set()

    def _is_top(self, name: str, counts: Mapping[str, int]) -> bool:
        found = layer_of(name)
        if found is None:
            return "embed" not in name and not name.startswith("lm_head")
        stack, number = found
        return number >= counts[stack] - self.layers
