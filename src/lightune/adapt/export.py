"""Adapters that become part of the weights they stand beside."""

import torch
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from lightune.adapt.bottleneck import has_bottlenecks
from lightune.adapt.combining import with_head_alone
from lightune.adapt.merging import adapted_layers, fold
from lightune.errors import ConfigError
from lightune.models.quantization import quantized_parameters

_INSTEAD = "type merge=false, which writes them beside the backbone"


@torch.no_grad()
def merged(model: nn.Module) -> PreTrainedModel:
    """Return a model with adapters as one without, which gives the same outputs; it is the same one, changed.

    Args:
        model: As a method returned it; one without adapters is returned as it is.

    Raises:
        ConfigError: Its adapters are no change of weights, or the weights are quantised.
    """
    if has_bottlenecks(model):
        raise ConfigError("merge=true: bottleneck adapters cannot become part of the weights", _INSTEAD)
    if not isinstance(model, PeftModel):
        assert isinstance(model, PreTrainedModel)
        return model
    if quantized_parameters(model):
        raise ConfigError(
            "merge=true: the weights are quantised, and adapters would be rounded",
            f"{_INSTEAD}, or export with quantization=none",
        )
    if model.active_peft_config.is_prompt_learning or (adapted_layers(model) and not fold(model)):
        name = type(model.active_peft_config).__name__.removesuffix("Config")
        raise ConfigError(f"merge=true: what {name} learns cannot become part of the weights", _INSTEAD)
    return with_head_alone(model)
