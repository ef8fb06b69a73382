"""Which modules of a model are shared out, and how: its layers over data ranks, its matrices over tensor ranks."""

import re
from collections import Counter
from typing import Any

from peft.tuners.lora import LoraLayer
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import CPUOffloadPolicy, OffloadPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor.parallel import ColwiseParallel, ParallelStyle, RowwiseParallel, parallelize_module
from transformers import PretrainedConfig

from lightune.errors import ConfigError
from lightune.models.architecture import is_layer

_STYLES = ("colwise", "rowwise")
# transformers has plans for most decoders, and none for these.
_BERT_LIKE = ("bert", "roberta", "xlm-roberta", "camembert", "electra")
_BERT_PLAN = {
    "layer.*.attention.self.query": "colwise",
    "layer.*.attention.self.key": "colwise",
    "layer.*.attention.self.value": "colwise",
    "layer.*.attention.output.dense": "rowwise",
    "layer.*.intermediate.dense": "colwise",
    "layer.*.output.dense": "rowwise",
}


def shard(model: nn.Module, mesh: DeviceMesh, offload: bool = False) -> None:
    """Share every layer, and what lies outside of layers, out over data ranks (FSDP2, ZeRO stage 3), in place.

    Args:
        model: Whole, in each process; of any adaptation.
        mesh: One dimension, the data ranks.
        offload: Whether the shares lie in main memory while they are not needed.
    """
    pinned = mesh.device_type == "cuda"
    policy = CPUOffloadPolicy(pin_memory=pinned) if offload else OffloadPolicy()
    for layer in _separate_layers(model):
        fully_shard(layer, mesh=mesh, offload_policy=policy)
    fully_shard(model, mesh=mesh, offload_policy=policy)
    for module in model.modules():
        if hasattr(module, "generate"):
            setattr(module, "_is_fsdp_managed_module", True)  # noqa: B010  # so ranks generate equally many tokens
    if hasattr(model, "generate"):
        register_fsdp_forward_method(model, "generate")


def _separate_layers(model: nn.Module) -> list[nn.Module]:
    """Return the layers; none where they have parameters in common, as with VB-LoRA: all is gathered at once then."""
    layers = [module for name, module in model.named_modules() if is_layer(name)]
    owned = Counter(id(parameter) for layer in layers for parameter in layer.parameters())
    return layers if all(owners == 1 for owners in owned.values()) else []


def tensor_plan(config: PretrainedConfig) -> dict[str, str]:
    """Return how the matrices of a model's layers are split: place, ``*`` for numbers → ``colwise`` or ``rowwise``.

    Raises:
        ConfigError: There is no plan for such a model.
    """
    plan = getattr(config, "base_model_tp_plan", None)
    if config.model_type in _BERT_LIKE:
        plan = _BERT_PLAN
    if not plan or set(plan.values()) - set(_STYLES):
        raise ConfigError(
            f"strategy: nothing says how the layers of a {config.model_type} model are split over processes",
            f"type strategy=fsdp, or use a model like {', '.join(_BERT_LIKE)}, llama, mistral, qwen2 or gemma2",
        )
    return plan


def check_heads(config: PretrainedConfig, parts: int) -> None:
    """Refuse a number of parts into which the heads of the attention cannot be shared.

    Raises:
        ConfigError: A number of heads is no multiple of it.
    """
    for key in ("num_attention_heads", "num_key_value_heads"):
        heads = getattr(config, key, None)
        if heads is not None and heads % parts:
            raise ConfigError(
                f"strategy: {heads} heads ({key}) cannot be split over {parts} processes",
                f"use a number of processes that divides {heads}, or type strategy=fsdp",
            )


def split(model: Any, mesh: DeviceMesh) -> None:
    """Split the matrices of every layer over tensor ranks, in place (Shoeybi et al. 2019, Megatron-LM, section 3).

    Args:
        model: Whole, in each process; trained in full, in part, or by LoRA.
        mesh: One dimension, the ranks that together make one model.

    Raises:
        ConfigError: There is no plan for such a model, or an adapter cannot be split.
    """
    places = {re.compile(rf"(.*\.)?{_as_pattern(place)}"): style for place, style in tensor_plan(model.config).items()}
    for name, module in list(model.named_modules()):
        for pattern, style in places.items():
            if pattern.fullmatch(name):
                parallelize_module(model, mesh, {f"{name}{part}": way for part, way in _ways(module, style).items()})


def _as_pattern(place: str) -> str:
    return re.escape(place).replace(r"\*", r"\d+")


def _ways(module: nn.Module, style: str) -> dict[str, ParallelStyle]:
    """Return how a matrix, or one with a low-rank product beside it, is split."""
    way: type[ParallelStyle] = ColwiseParallel if style == "colwise" else RowwiseParallel
    if isinstance(module, nn.Linear):
        return {"": way()}
    if not isinstance(module, LoraLayer):
        raise ConfigError(
            "strategy: this method's adapters cannot be split over processes", "type strategy=fsdp or peft=lora"
        )
    # y = W x + B A x. Where W's rows are shared out, B's are; where its columns are, A's are.
    matrices = module.lora_B if style == "colwise" else module.lora_A
    name = "lora_B" if style == "colwise" else "lora_A"
    return {".base_layer": way(), **{f".{name}.{adapter}": way() for adapter in matrices}}
