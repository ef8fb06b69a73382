"""Adapters of one backbone in place of each other, and several of them combined to one."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from peft import (
    AdaLoraConfig,
    IA3Config,
    LoraConfig,
    PeftConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from peft.utils import ModulesToSaveWrapper
from torch import Tensor, nn
from transformers import PreTrainedModel

from lightune.adapt.earlier import belongs_to_adapter, go_on_from, read_adapter
from lightune.errors import ConfigError
from lightune.models.adapted import changed_weights, without_adapters

_EXACT = ("svd", "cat")
_PRUNED = ("ties", "dare_ties", "dare_linear", "magnitude_prune")
TYPES = (*_EXACT, "linear", *_PRUNED, *(f"{name}_svd" for name in _PRUNED))
_COMBINED = "combined"


@dataclass(frozen=True)
class Combination:
    """Other adapters besides a checkpoint's own, and how all of them become one.

    Args:
        adapters: Where the others lie: run folders, folders with an adapter, names on the Hub.
        weights: Of each in the sum, the checkpoint's own first; None: equal ones that add up to 1.
        type: How LoRA's are combined, by peft's names. ``cat`` is the weighted sum of the updates, with the ranks added
            up; ``svd`` the nearest sum of the largest of the ranks. ``linear`` sums the factors rather than their
            products. ``ties`` (Yadav et al. 2023) and ``dare_…`` (Yu et al. 2023) drop values before they sum, of the
            factors, or with ``_svd`` of the updates. IA3's vectors are always summed.
        density: Share of the values that are not dropped.

    Raises:
        ConfigError: There is no such type, or not one weight for each adapter.
    """

    adapters: Sequence[str] = ()
    weights: Sequence[float] | None = None
    type: str = "svd"
    density: float = 0.5

    def __post_init__(self) -> None:
        if self.type not in TYPES:
            raise ConfigError(f"combine.type={self.type}: there is no such type", f"type one of {', '.join(TYPES)}")
        if isinstance(self.adapters, str):
            raise ConfigError(
                f"combine.adapters={self.adapters}: expected a list", f"type 'combine.adapters=[{self.adapters}]'"
            )
        count = len(self.adapters) + 1
        if self.weights is not None and len(self.weights) != count:
            raise ConfigError(
                f"combine.weights: {len(self.weights)} of them for {count} adapters",
                "give one for each, the checkpoint's own first",
            )

    def of(self, model: nn.Module) -> nn.Module:
        """Return a model whose only adapter is the combined one; its head is the checkpoint's own.

        Args:
            model: With the checkpoint's adapter. It is used up.

        Raises:
            ConfigError: Adapters of this method cannot be combined, or an adapter is none of this model's.
        """
        if not self.adapters:
            return model
        tuned = _combinable(model)
        others = {f"other{number}": place for number, place in enumerate(self.adapters)}
        for name, place in others.items():
            _put_beside(tuned, name, place)
        self._sum_up(tuned, [str(tuned.active_adapter), *others])
        tensors = {**get_peft_model_state_dict(tuned, adapter_name=_COMBINED), **_head(tuned)}
        # What peft writes into the factors is scaled already.
        scaled = {"use_rslora": False} if isinstance(tuned.active_peft_config, LoraConfig) else {}
        config = replace(tuned.peft_config[_COMBINED], **scaled)
        return _with_adapter(with_head_alone(tuned), config, tensors, "combine.adapters")

    def _sum_up(self, model: Any, names: Sequence[str]) -> None:
        weights = list(self.weights or [1 / len(names)] * len(names))
        lora = isinstance(model.active_peft_config, LoraConfig)
        how = {"combination_type": self.type, "density": self.density} if lora else {}
        try:
            model.base_model.add_weighted_adapter(names, weights, _COMBINED, **how)
        except ValueError as error:  # ranks that differ
            raise ConfigError(f"combine.type={self.type}: {str(error).splitlines()[0]}", "type svd or cat") from error


def exchanged(model: nn.Module, place: str) -> nn.Module:
    """Return a model with another adapter in place of its own, which may be of another rank or method.

    Args:
        model: With a checkpoint's adapter. It is used up.
        place: As in `read_adapter`. A head that lies there is taken too, where it is for the same number of labels.

    Raises:
        ConfigError: There is no adapter, or it is none of this model's.
    """
    if not isinstance(model, PeftModel) or model.active_peft_config.is_prompt_learning:
        go_on_from(model, place)
        return model
    settings, tensors = read_adapter(place)
    _refuse_changed(model, place)
    own = _head(model)
    fitting = {name: t for name, t in tensors.items() if name not in own or own[name].shape == t.shape}
    return _with_adapter(with_head_alone(model), settings, {**own, **fitting}, place)


def with_head_alone(model: PeftModel) -> PreTrainedModel:
    """Return the model that adapters were put beside, with the head that was trained; it is the same one, changed."""
    # peft itself fails where a module that was trained in full has several layers.
    for name, module in list(model.named_modules()):
        if isinstance(module, ModulesToSaveWrapper):
            place, _, own_name = name.rpartition(".")
            setattr(model.get_submodule(place), own_name, module.modules_to_save[str(module.active_adapter)])
    plain: PreTrainedModel = without_adapters(model)
    return plain


def _combinable(model: Any) -> Any:
    """Return the same model."""
    settings = model.active_peft_config if isinstance(model, PeftModel) else None
    if not isinstance(settings, LoraConfig | IA3Config) or isinstance(settings, AdaLoraConfig):
        raise ConfigError("combine.adapters: only LoRA's and IA3's adapters can be combined", "leave it out")
    if getattr(settings, "use_dora", False) or getattr(settings, "lora_bias", False):
        raise ConfigError(
            "combine.adapters: peft combines LoRA's factors, but not DoRA's magnitudes, nor biases", "leave it out"
        )
    _refuse_changed(model, "combine.adapters")
    return model


def _refuse_changed(model: nn.Module, place: str) -> None:
    if changed_weights(model):
        raise ConfigError(
            f"{place}: the checkpoint's method began by changing the backbone, which other adapters do not know",
            "use a checkpoint of peft=lora, say",
        )


def _head(model: PeftModel) -> dict[str, Tensor]:
    """Return what was trained in full beside the adapter, by the names that peft saves it under."""
    saved = get_peft_model_state_dict(model)
    return {name: tensor for name, tensor in saved.items() if not belongs_to_adapter(model, name)}


def _put_beside(model: Any, name: str, place: str) -> None:
    """Put another adapter of the same method beside a model's own, without its head."""
    settings, tensors = read_adapter(place)
    if type(settings) is not type(model.active_peft_config) or getattr(settings, "use_dora", False):
        raise ConfigError(f"{place}: this adapter is of another method than the checkpoint's", "leave it out")
    inside = {key: tensor for key, tensor in tensors.items() if belongs_to_adapter(model, key)}
    in_full = [key for key in ("modules_to_save", "trainable_token_indices") if hasattr(settings, key)]
    nothing: dict[str, Any] = dict.fromkeys(in_full)
    model.base_model.peft_config[name] = replace(settings, **nothing)
    with _refusing_what_does_not_fit(place):
        model.base_model.inject_adapter(model.base_model.model, name)
        _take(model, inside, name)


def _with_adapter(plain: PreTrainedModel, settings: PeftConfig, tensors: Mapping[str, Tensor], place: str) -> PeftModel:
    with _refusing_what_does_not_fit(place):
        adapted: Any = get_peft_model(plain, settings)
        _take(adapted, tensors, "default")
    return adapted


def _take(model: Any, tensors: Mapping[str, Tensor], name: str) -> None:
    taken: Any = set_peft_model_state_dict(model, dict(tensors), adapter_name=name)
    if left_over := taken.unexpected_keys:
        raise ValueError(f"{left_over[0]} has no place in it")


@contextmanager
def _refusing_what_does_not_fit(place: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, RuntimeError, KeyError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise ConfigError(
            f"{place}: this adapter does not fit the checkpoint's backbone: {reason}", "leave it out"
        ) from error
