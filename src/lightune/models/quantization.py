"""Backbones that keep the weights of their linear layers in few bits. Such weights are frozen."""

import importlib
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, TorchAoConfig

from lightune.errors import ConfigError, nearest
from lightune.models.architecture import head_parameters

_POOLER = "pooler"  # part of the backbone by name, and often not in its files
_SKIPPED = (
    "llm_int8_skip_modules",
    "modules_to_not_convert",
)  # what bitsandbytes and torchao call what they leave alone


def torchao(quant_type: str, **options: Any) -> TorchAoConfig:
    """Return how transformers is to quantise with torchao.

    Args:
        quant_type: Name of a configuration in ``torchao.quantization``.
        **options: That it takes.

    Raises:
        ConfigError: There is no such configuration.
    """
    kinds = importlib.import_module("torchao.quantization")
    if not hasattr(kinds, quant_type):
        known = [name for name in dir(kinds) if name.endswith("Config")]
        raise ConfigError(f"quantization.quant_type={quant_type}: torchao has none", nearest(quant_type, known))
    return TorchAoConfig(getattr(kinds, quant_type)(**options))


def loading_options(quantization: Any, skeleton: PreTrainedModel, device: torch.device | str) -> dict[str, Any]:
    """Return what ``from_pretrained`` is to be told.

    Args:
        quantization: A quantisation configuration of transformers.
        skeleton: The model without weights.
        device: Where the model will be; weights are quantised there.
    """
    quantization = deepcopy(quantization)
    name = next(name for name in _SKIPPED if hasattr(quantization, name))
    setattr(quantization, name, sorted({*(getattr(quantization, name) or ()), *left_alone(skeleton)}))
    return {"quantization_config": quantization, "device_map": {"": device}}


def constructor(quantization: Any) -> tuple[str, str]:
    """Return Python code for a quantisation configuration: what to import, and the expression."""
    if not isinstance(quantization, TorchAoConfig):
        options = {
            key: value for key, value in quantization.to_diff_dict().items() if key != "quant_method" and key[0] != "_"
        }
        return "from transformers import BitsAndBytesConfig", f"BitsAndBytesConfig({_arguments(options)})"
    kind = quantization.quant_type
    changed = {f.name: value for f in fields(kind) if (value := getattr(kind, f.name)) != f.default}
    left = {"modules_to_not_convert": quantization.modules_to_not_convert}
    imports = f"from torchao.quantization import {type(kind).__name__}\nfrom transformers import TorchAoConfig"
    return imports, f"TorchAoConfig({type(kind).__name__}({_arguments(changed)}), {_arguments(left)})"


def _arguments(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in options.items())


def left_alone(skeleton: PreTrainedModel) -> set[str]:
    """Return the names of the modules that are trained, or may share their weight with the embeddings."""
    output = skeleton.get_output_embeddings()
    heads = {name.rpartition(".")[0] for name in head_parameters(skeleton)} - {""}
    return heads | {
        name
        for name, module in skeleton.named_modules()
        if (module is output and output is not None) or name.rpartition(".")[2] == _POOLER
    }


def quantized_parameters(model: nn.Module) -> set[str]:
    """Return the names of the parameters that are kept in few bits."""
    return {name for name, parameter in model.named_parameters() if _is_quantized(parameter)}


def _is_quantized(parameter: nn.Parameter) -> bool:
    return not parameter.is_floating_point() or type(parameter.data) is not Tensor


def weight_count(parameter: nn.Parameter) -> int:
    """Return the number of weights in a parameter, of which several may share a byte."""
    state = getattr(parameter, "quant_state", None)
    return parameter.numel() if state is None else int(torch.Size(state.shape).numel())


def settle(model: PreTrainedModel, fresh: Iterable[str]) -> None:
    """Make a quantised model ready to be trained.

    Raises:
        ConfigError: Files did not hold a layer that was quantised, so that it would have to be trained.
    """
    quantized = {name.rpartition(".")[0] for name in quantized_parameters(model)}
    quantized |= {name for name, module in model.named_modules() if type(module).__module__.startswith("bitsandbytes.")}
    if random := sorted(name for name in fresh if name.rpartition(".")[0] in quantized):
        raise ConfigError(
            f"quantization: the files hold no weights for {random[0]}, and quantised ones cannot be trained",
            "type quantization=none, or choose a backbone whose files hold all of its layers",
        )
    for module in model.modules():
        # Evaluations on CPUs with bfloat16 would pack 4-bit weights for good in a way that training cannot read.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            setattr(module, "support_avx512bf16_for_cpu", False)  # noqa: B010  # mypy knows no such attribute
