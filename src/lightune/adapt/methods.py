"""The ways of adapting a backbone. A new method of the peft library is a YAML file for `Adapter`, nothing more."""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from lightning.pytorch.callbacks import Callback
from peft import PeftConfig, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from lightune.adapt.merging import MergedEvaluation
from lightune.adapt.targets import fresh_modules, target_modules
from lightune.errors import ConfigError
from lightune.models.architecture import head_parameters

# Their head is as large as the vocabulary, and came with the weights.
_LANGUAGE_MODELS = ("CAUSAL_LM", "SEQ_2_SEQ_LM")
# What peft raises where it does not like a value.
_REFUSALS = (ValueError, TypeError, NotImplementedError)


class Adaptation(Protocol):
    """Decides what of a model is trained."""

    def check(self, skeleton: PreTrainedModel, head: Sequence[str]) -> None:
        """Raise ConfigError where the method does not fit the model, which has no weights yet."""

    def apply(
        self, model: PreTrainedModel, fresh: Collection[str], peft_type: str, new_tokens: Sequence[int] = ()
    ) -> nn.Module:
        """Return the model with what is trained marked so, adapters added.

        Args:
            model: The loaded model.
            fresh: Parameters its files did not hold; they are always trained.
            peft_type: peft's name of the task, for an adapter that others can load.
            new_tokens: Ids whose embeddings are new; they are always trained.
        """

    def callbacks(self) -> list[Callback]:
        """Return what the method does in the course of a run."""


class Full:
    """Every parameter is trained.

    Args:
        lr: Learning rate that suits this method; read by the optimiser's configuration.
        head_lr: That of the head, a multiple of `lr` or None; read there too.
    """

    def __init__(self, lr: float = 1e-4, head_lr: float | str | None = None) -> None:
        self.lr = lr
        self.head_lr = head_lr

    def check(self, skeleton: PreTrainedModel, head: Sequence[str]) -> None:
        """Nothing to refuse."""

    def apply(
        self, model: PreTrainedModel, fresh: Collection[str], peft_type: str, new_tokens: Sequence[int] = ()
    ) -> nn.Module:
        """Return the model as it is, all of it trainable."""
        return model.requires_grad_(True)

    def callbacks(self) -> list[Callback]:
        """Return nothing."""
        return []


class Adapter:
    """A method of the peft library; the head and whatever else is new is trained in full beside it.

    Args:
        config: Builds the method's configuration, such as ``peft.LoraConfig``.
        lr: Learning rate that suits this method; read by the optimiser's configuration.
        head_lr: That of the head, a multiple of `lr` or None; read there too.
        target_modules: ``auto`` for every linear layer of the backbone, or names of modules.
        evaluate_merged: Whether evaluations fold the adapters into the layers; for methods that peft can merge.
    """

    def __init__(
        self,
        config: Callable[..., PeftConfig],
        lr: float = 1e-3,
        head_lr: float | str | None = None,
        target_modules: str | Sequence[str] = "auto",
        evaluate_merged: bool = False,
    ) -> None:
        self.config = config
        self.lr = lr
        self.head_lr = head_lr
        self.target_modules = target_modules
        self.evaluate_merged = evaluate_merged

    def check(self, skeleton: PreTrainedModel, head: Sequence[str]) -> None:
        """Raise ConfigError where a target module does not exist."""
        if "target_modules" in self._given():
            raise ConfigError(
                "peft.config.target_modules would be overruled by peft.target_modules",
                "type peft.target_modules=[…] instead",
            )
        target_modules(skeleton, self.target_modules, head)

    def apply(
        self, model: PreTrainedModel, fresh: Collection[str], peft_type: str, new_tokens: Sequence[int] = ()
    ) -> nn.Module:
        """Return the model with adapters; only they, the head and the embeddings of new tokens are trainable."""
        # A head that came with the weights is trained in full like a new one: peft knows heads by no other way.
        own = set() if peft_type in _LANGUAGE_MODELS else head_parameters(model)
        head = fresh_modules(model, own | set(fresh))
        options: dict[str, Any] = {
            "task_type": peft_type,
            "target_modules": target_modules(model, self.target_modules, head),
            "modules_to_save": [*head, *(self._given().get("modules_to_save") or [])],
        }
        known = inspect.signature(getattr(self.config, "func", self.config)).parameters
        if new_tokens:
            options["trainable_token_indices"] = list(new_tokens)
            if "trainable_token_indices" not in known:
                raise ConfigError(
                    "model.new_tokens: this method of peft cannot train the embeddings of new tokens",
                    "type peft=lora or peft=full",
                )
        try:
            adapted = get_peft_model(model, self.config(**{key: v for key, v in options.items() if key in known}))
        except _REFUSALS as error:
            if "meta tensor" in str(error):  # no weights to compute from, and nobody's mistake
                raise
            raise ConfigError(
                f"peft: {str(error).splitlines()[0]}", "change peft.target_modules or peft.config"
            ) from error
        _train_loose_parameters(adapted, fresh, head)
        return adapted

    def callbacks(self) -> list[Callback]:
        """Return the one that merges for evaluations, where that is wanted."""
        return [MergedEvaluation()] if self.evaluate_merged else []

    def _given(self) -> Mapping[str, Any]:
        """Return the options that the configuration fixes already."""
        return getattr(self.config, "keywords", {})


def _train_loose_parameters(model: nn.Module, fresh: Collection[str], head: Sequence[str]) -> None:
    """Mark fresh parameters outside any wholly fresh module as trainable; random and frozen would be lost."""
    loose = {name for name in fresh if not any(name.startswith(f"{module}.") for module in head)}
    for name, parameter in model.named_parameters():
        plain = name.replace(".base_layer.", ".")  # peft's name for the layer that an adapter was put beside
        if any(plain.endswith(f".{short}") for short in loose):
            parameter.requires_grad_(True)
