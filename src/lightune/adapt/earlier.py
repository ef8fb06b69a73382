"""Adapters that were trained before, to go on from."""

from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel, get_peft_model_state_dict, load_peft_weights, set_peft_model_state_dict
from torch import Tensor, nn

from lightune.errors import ConfigError
from lightune.models.adapted import changed_weights


def adapter_folder(place: str) -> str:
    """Return where an adapter lies: a folder that holds one, a run folder's ``model``, or a name on the Hub."""
    inside = Path(place).expanduser() / "model"
    return str(inside) if (inside / "adapter_config.json").exists() else str(Path(place).expanduser())


@torch.no_grad()
def go_on_from(model: nn.Module, place: str) -> list[str]:
    """Put the tensors of an earlier adapter into a model that has one of the same kind.

    Args:
        model: As a method returned it.
        place: What `adapter_folder` takes.

    Returns:
        Names of tensors beside the adapter that stay as they were drawn: a head for other labels, say.

    Raises:
        ConfigError: There is none; it is of another method, rank or place; or the method changes the backbone.
    """
    if not isinstance(model, PeftModel):
        raise ConfigError(
            f"the adapter in {place} has no place in a model without adapters", "mend peft=…, or leave it out"
        )
    settings, tensors = read_adapter(place)
    ours = type(model.active_peft_config)
    if type(settings) is not ours:
        theirs, own = (kind.__name__.removesuffix("Config") for kind in (type(settings), ours))
        raise ConfigError(f"the adapter in {place}: it is {theirs}, and this run's {own}", "mend peft=…")
    if changed_weights(model):
        raise ConfigError(
            f"the adapter in {place}: this method begins by changing the backbone, which it does not know",
            "type peft=lora, or leave it out",
        )
    wanted: dict[str, Tensor] = get_peft_model_state_dict(model)
    fitting = {name: tensor for name, tensor in tensors.items() if _shape(wanted, name) == tensor.shape}
    inside = {name for name in {*wanted, *tensors} if belongs_to_adapter(model, name)}
    if odd := sorted(inside - set(fitting)):
        raise ConfigError(
            f"the adapter in {place}: it has other layers or sizes, first at {odd[0]}",
            "type the peft.config.… and peft.target_modules of its adapter_config.json",
        )
    set_peft_model_state_dict(model, {**wanted, **fitting})
    return sorted(set(wanted) - set(fitting))


def read_adapter(place: str) -> tuple[PeftConfig, dict[str, Tensor]]:
    """Return an adapter's settings and tensors.

    Args:
        place: What `adapter_folder` takes.

    Raises:
        ConfigError: There is none.
    """
    folder = adapter_folder(place)
    try:
        return PeftConfig.from_pretrained(folder), load_peft_weights(folder, device="cpu")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the adapter in {place}: it could not be read: {str(error).splitlines()[0]}",
            "give a run folder, a folder with adapter_config.json, or a name on the Hub",
        ) from error


def _shape(tensors: dict[str, Tensor], name: str) -> torch.Size | None:
    return tensors[name].shape if name in tensors else None


def belongs_to_adapter(model: Any, name: str) -> bool:
    """Return whether a tensor that peft saves is part of the adapter, rather than a head beside it."""
    prefix = "prompt" if model.active_peft_config.is_prompt_learning else model.base_model.prefix
    return prefix in name
