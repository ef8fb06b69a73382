"""The ways of adapting a backbone. A new method of the peft library is a YAML file for `Adapter`, nothing more."""

import inspect
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

from lightning.pytorch.callbacks import Callback
from peft import PeftConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import PreTrainedModel

from lightune.adapt.earlier import go_on_from
from lightune.adapt.merging import MergedEvaluation
from lightune.adapt.prompts import hide_virtual_tokens
from lightune.adapt.starts import Start
from lightune.adapt.targets import common_divisor, fresh_modules, poolers, shapes, target_modules
from lightune.adapt.training import Training
from lightune.check.methods import method_error
from lightune.errors import ConfigError
from lightune.models.adapted import note_changes, parameters_as_they_are
from lightune.models.architecture import architecture_of, head_parameters

_LANGUAGE_MODELS = ("CAUSAL_LM", "SEQ_2_SEQ_LM")
# Tasks whose outputs have a place for each token of the input.
_BY_TOKEN = ("TOKEN_CLS", "QUESTION_ANS", "CAUSAL_LM", "FEATURE_EXTRACTION")
_LIBRARY = "library"
_FITTING = "auto"  # of a size: what divides every layer
# What peft raises where it does not like a value.
_REFUSALS = (ValueError, TypeError, NotImplementedError)


def always_trained(model: PreTrainedModel, fresh: Collection[str], peft_type: str) -> set[str]:
    """Return the names of the parameters that every method trains: what is new, and the head.

    A head that came with the weights is trained in full like a new one: peft knows heads by no other way. That of a
    language model is as large as the vocabulary, and stays.
    """
    return set(fresh) | (set() if peft_type in _LANGUAGE_MODELS else head_parameters(model))


def train_only(model: nn.Module, names: Collection[str], new_tokens: Sequence[int]) -> None:
    """Freeze all parameters of a model but some.

    Raises:
        ConfigError: There are new tokens, whose embeddings would be frozen as they were drawn.
    """
    if new_tokens:
        raise ConfigError(
            "model.new_tokens: the embeddings of new tokens are not trained by this method",
            "type peft=lora or peft=full",
        )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)


class Adaptation(Protocol):
    """Decides what of a model is trained. Whoever inherits from it needs to say only what is not usual.

    Attributes:
        multiples: Part of a parameter's name → what its learning rate is multiplied by.
        penalty: Model → what is added to the loss; None: nothing.
    """

    multiples: Mapping[str, float] = MappingProxyType({})
    penalty: Callable[[nn.Module], Tensor] | None = None

    @property
    def virtual_tokens(self) -> int:
        """Tokens that are put before an input."""
        return 0

    def check(self, skeleton: PreTrainedModel, head: Sequence[str]) -> None:
        """Raise ConfigError where the method does not fit the model, which has no weights yet."""
        return

    def apply(
        self,
        model: PreTrainedModel,
        fresh: Collection[str],
        peft_type: str,
        new_tokens: Sequence[int] = (),
        training: Training | None = None,
    ) -> nn.Module:
        """Return the model with what is trained marked so, adapters added.

        Args:
            model: The loaded model.
            fresh: Parameters its files did not hold; they are always trained.
            peft_type: peft's name of the task, for an adapter that others can load.
            new_tokens: Ids whose embeddings are new; they are always trained.
            training: The run; None where nothing is trained.
        """

    def callbacks(self) -> list[Callback]:
        """Return what the method does in the course of a run."""
        return []


class Schedule(Protocol):
    """Changes an adapter in the course of a run."""

    def options(self, given: Mapping[str, Any], steps: int | None) -> dict[str, Any]:
        """Return options of the method's configuration.

        Args:
            given: Those that the files fix.
            steps: Of the run; None where nothing is trained.
        """

    def penalty(self, model: nn.Module) -> Tensor:
        """Return what is added to the loss."""

    def callbacks(self) -> list[Callback]:
        """Return what is done from step to step."""


class Full(Adaptation):
    """Every parameter is trained.

    Args:
        lr: Learning rate that suits this method; read by the optimiser's configuration.
        head_lr: That of the head, a multiple of `lr` or None; read there too.
    """

    def __init__(self, lr: float = 1e-4, head_lr: float | str | None = None) -> None:
        self.lr = lr
        self.head_lr = head_lr

    def apply(
        self,
        model: PreTrainedModel,
        fresh: Collection[str],
        peft_type: str,
        new_tokens: Sequence[int] = (),
        training: Training | None = None,
    ) -> nn.Module:
        """Return the model as it is, all of it trainable."""
        return model.requires_grad_(True)


class Adapter:
    """A method of the peft library; the head and whatever else is new is trained in full beside it.

    Args:
        config: Builds the method's configuration, such as ``peft.LoraConfig``.
        lr: Learning rate that suits this method; read by the optimiser's configuration.
        head_lr: That of the head, a multiple of `lr` or None; read there too.
        target_modules: ``auto`` for every linear layer of the backbone, ``norms`` for every normalisation layer,
            ``library`` for what peft chooses for the architecture, or names of modules; None for a learnt prompt.
        evaluate_merged: Whether evaluations fold the adapters into the layers; for methods that peft can merge.
        multiples: Part of a parameter's name → what its learning rate is multiplied by.
        start: Computes the first values of LoRA's factors from training data.
        schedule: Changes the adapter in the course of the run.
        architectures: Kinds of backbone that the method is made for; None: all.
        init_from: An adapter of the same method to go on from: a run folder, an adapter's folder, a name on the Hub.
    """

    def __init__(
        self,
        config: Callable[..., PeftConfig],
        lr: float = 1e-3,
        head_lr: float | str | None = None,
        target_modules: str | Sequence[str] | None = "auto",
        evaluate_merged: bool = False,
        multiples: Mapping[str, float] | None = None,
        start: Start | None = None,
        schedule: Schedule | None = None,
        architectures: Sequence[str] | None = None,
        init_from: str | None = None,
    ) -> None:
        self.config = config
        self.lr = lr
        self.head_lr = head_lr
        self.target_modules = target_modules
        self.evaluate_merged = evaluate_merged
        self.multiples: Mapping[str, float] = multiples or {}
        self.start = start
        self.schedule = schedule
        self.penalty: Callable[[nn.Module], Tensor] | None = schedule.penalty if schedule else None
        self.architectures = architectures
        self.init_from = init_from

    def check(self, skeleton: PreTrainedModel, head: Sequence[str]) -> None:
        """Raise ConfigError where a target module does not exist, or the method is for other kinds of backbone."""
        if error := method_error(self.architectures, architecture_of(skeleton.config)):
            raise error
        if "target_modules" in self._given():
            raise ConfigError(
                "peft.config.target_modules would be overruled by peft.target_modules",
                "type peft.target_modules=[…] instead",
            )
        if self.target_modules not in (None, _LIBRARY):
            targets = target_modules(skeleton, self.target_modules, [*head, *self._left_out(skeleton)])
            if self.start:
                self.start.check(shapes(skeleton, targets), self._given()["r"])

    @property
    def virtual_tokens(self) -> int:
        """Tokens that a learnt prompt puts before an input."""
        return int(self._given().get("num_virtual_tokens", 0))

    def apply(
        self,
        model: PreTrainedModel,
        fresh: Collection[str],
        peft_type: str,
        new_tokens: Sequence[int] = (),
        training: Training | None = None,
    ) -> nn.Module:
        """Return the model with adapters; only they, the head and the embeddings of new tokens are trainable."""
        in_full = always_trained(model, fresh, peft_type)
        head = fresh_modules(model, in_full)
        before = parameters_as_they_are(model)
        options = {"task_type": peft_type, **self._options(model, head, new_tokens, training)}
        adapted = self._inserted(model, options, training)
        note_changes(adapted, before, all_adapted=self.start is not None and self.start.changes_weights)
        if adapted.active_peft_config.is_prompt_learning and peft_type in _BY_TOKEN:
            hide_virtual_tokens(adapted)
        # Some methods have no place for modules that are trained in full.
        _train_loose_parameters(adapted, in_full, head if "modules_to_save" in self._known() else ())
        if self.init_from and training and (anew := go_on_from(adapted, self.init_from)):
            warnings.warn(f"the adapter in {self.init_from} has no {', '.join(anew)}, which start anew", stacklevel=2)
        return adapted

    def _options(
        self, model: PreTrainedModel, head: Sequence[str], new_tokens: Sequence[int], training: Training | None
    ) -> dict[str, Any]:
        """Return what the method's configuration is given besides what the files say."""
        options: dict[str, Any] = {
            "modules_to_save": [*head, *(self._given().get("modules_to_save") or [])],
            **(self.schedule.options(self._given(), training.steps if training else None) if self.schedule else {}),
            **(self.start.options() if self.start and training else {}),
        }
        if self.target_modules not in (None, _LIBRARY):
            targets = target_modules(model, self.target_modules, [*head, *self._left_out(model)])
            sizes = [name for name, value in self._given().items() if value == _FITTING]
            divisor = common_divisor(model, targets) if sizes else 0
            options |= {"target_modules": targets, **dict.fromkeys(sizes, divisor)}
        if new_tokens:
            options["trainable_token_indices"] = list(new_tokens)
            if "trainable_token_indices" not in self._known():
                raise ConfigError(
                    "model.new_tokens: this method of peft cannot train the embeddings of new tokens",
                    "type peft=lora or peft=full",
                )
        return options

    def _inserted(self, model: PreTrainedModel, options: Mapping[str, Any], training: Training | None) -> PeftModel:
        """Return the model with what the method adds.

        Raises:
            ConfigError: peft does not like a value.
        """
        known = self._known()
        try:
            config = self.config(**{key: value for key, value in options.items() if key in known})
            if not config.is_prompt_learning and "modules_to_save" not in known:
                config.task_type = None  # peft's classes of most tasks look for the head there
            if self.start and training:
                self.start.before(model, config, training)
            adapted: Any = get_peft_model(model, config)
            if self.start and training:
                self.start.after(adapted, training)
        except _REFUSALS as error:
            if "meta" in str(error).lower():  # no weights to compute from, and nobody's mistake
                raise
            raise ConfigError(
                f"peft: {str(error).splitlines()[0]}", "change peft.target_modules or peft.config"
            ) from error
        return adapted

    def _known(self) -> Collection[str]:
        """Return the names of the options that the method's configuration takes."""
        return inspect.signature(getattr(self.config, "func", self.config)).parameters

    def callbacks(self) -> list[Callback]:
        """Return the one that merges for evaluations, where that is wanted, and the schedule's."""
        merging = [MergedEvaluation()] if self.evaluate_merged else []
        return [*merging, *(self.schedule.callbacks() if self.schedule else [])]

    def _left_out(self, model: nn.Module) -> list[str]:
        """Return the modules that the method's start cannot do with."""
        return poolers(model) if self.start and self.start.wants_tokens else []

    def _given(self) -> Mapping[str, Any]:
        """Return the options that the configuration fixes already."""
        return getattr(self.config, "keywords", {})


def _train_loose_parameters(model: nn.Module, fresh: Collection[str], head: Sequence[str]) -> None:
    """Mark what is new outside the modules that peft copied as trainable; random and frozen would be lost."""
    loose = {name for name in fresh if not any(name.startswith(f"{module}.") for module in head)}
    for name, parameter in model.named_parameters():
        plain = name.replace(".base_layer.", ".")  # peft's name for the layer that an adapter was put beside
        if any(plain.endswith(f".{short}") for short in loose):
            parameter.requires_grad_(True)
