"""What can be told of a model: its architecture, layers and head, and what its class is to be made with."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

import transformers
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

# What stands before a layer's number: `encoder.layer.3`, `layers.3`, `h.3`, `block.3`.
_LAYER = re.compile(r"((?:.*?\.)?(?:layers?|h|blocks?))\.(\d+)\.")


def architecture_of(config: PretrainedConfig) -> str:
    """Return ``encoder``, ``decoder`` or ``encoder-decoder`` as a model's configuration tells."""
    if config.is_encoder_decoder:
        return "encoder-decoder"
    causal = transformers.models.auto.modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    masked = transformers.models.auto.modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return "decoder" if config.model_type in causal and config.model_type not in masked else "encoder"


def none_loaded(model: PreTrainedModel, info: Mapping[str, Any]) -> bool:
    """Return whether the files held nothing of a model's backbone.

    Args:
        model: As ``from_pretrained`` made it.
        info: What it says of the loading.
    """
    backbone = {name for name, _ in model.named_parameters()} - head_parameters(model)
    return backbone <= set(info["missing_keys"])


def takes_no_pooler(auto_class: str, config: PretrainedConfig) -> bool:
    """Return whether a model without a head has to be told to leave out its pooling layer.

    Some encoders come with a layer on their first token. No task reads it, and what no loss reads cannot be trained.

    Args:
        auto_class: A transformers auto class.
        config: Of the model.
    """
    if auto_class != "AutoModel":
        return False
    found: Any = transformers.AutoModel._model_mapping[type(config)]
    kinds = found if isinstance(found, tuple) else (found,)
    return all("add_pooling_layer" in inspect.signature(kind).parameters for kind in kinds)


def class_options(auto_class: str, config: PretrainedConfig) -> dict[str, Any]:
    """Return what a model of an auto class is to be made with, besides its configuration."""
    return {"add_pooling_layer": False} if takes_no_pooler(auto_class, config) else {}


def head_parameters(model: PreTrainedModel) -> set[str]:
    """Return the names of the parameters that a model has beside its backbone.

    A model that has no part of the backbone's name is a backbone itself, all but what turns its states into words. A
    head that shares the tensor of the embeddings is no parameter of its own.
    """
    names = {name for name, _ in model.named_parameters()}
    if hasattr(model, model.base_model_prefix):
        return {name for name in names if not name.startswith(f"{model.base_model_prefix}.")}
    output = model.get_output_embeddings()
    heads = [name for name, module in model.named_modules() if module is output and output is not None]
    return {name for name in names if name.startswith(tuple(f"{head}." for head in heads))}


def is_norm(module: nn.Module) -> bool:
    """Return whether a module normalises: torch's own and the many RMSNorms of transformers, told by their names."""
    return "norm" in type(module).__name__.lower()


def layer_of(name: str) -> tuple[str, int] | None:
    """Return the stack and the number of the layer that a parameter lies in, told by its name; None outside layers."""
    found = _LAYER.match(name)
    return (found[1], int(found[2])) if found else None


def is_layer(name: str) -> bool:
    """Return whether a module is a layer of a stack itself, and nothing in it, told by its name."""
    return _LAYER.fullmatch(f"{name}.") is not None


def layer_counts(model: nn.Module) -> dict[str, int]:
    """Return the number of layers of each stack of a model, by what stands before their numbers in names."""
    counts: dict[str, int] = {}
    for name, _ in model.named_parameters():
        if found := layer_of(name):
            stack, number = found
            counts[stack] = max(counts.get(stack, 0), number + 1)
    return counts
