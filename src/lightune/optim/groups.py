"""Which parameter is trained with which learning rate and weight decay.

Weight decay leaves out biases, normalisation layers and other vectors; embeddings and matrices decay, as they do with
the Hugging Face Trainer. The head can have a learning rate of its own, or what is new a multiple of the others'.
"""

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from torch import nn

from lightune.errors import ConfigError
from lightune.models.architecture import is_norm, layer_counts, layer_of

# What peft puts into the names of a model that it wraps, of layers that it adapts and of modules that it copies.
_PEFTS_OWN = re.compile(r"^base_model\.model\.|(?<=\.)(base_layer|modules_to_save\.default)\.")
_ADAPTED_TABLES = ("trainable_tokens", "lora_embedding")  # in names of what peft puts beside embeddings


def parameter_groups(
    model: nn.Module,
    lr: float,
    weight_decay: float,
    head_lr: float | str | None = None,
    fresh: Collection[str] | None = None,
    layer_decay: float | None = None,
    multiples: Mapping[str, float] | None = None,
) -> list[dict[str, Any]]:
    """Return the groups a torch optimiser takes; every trainable parameter sits in exactly one.

    Args:
        model: The model, adapters and head included. Frozen parameters are left out, shared ones appear once.
        lr: Learning rate of everything but the head.
        weight_decay: Weight decay of the parameters that `decays` accepts.
        head_lr: Learning rate of the head, as `head_rate` takes it.
        fresh: Names, in the model without adapters, of the parameters that no file held. A multiple is for them: a head
            that came with the weights needs no other rate than the rest. None takes the head for new.
        layer_decay: Rate of each layer as a share of that of the layer above it; the top layer has `lr`, see
            `layer_factor`. None: all have the same.
        multiples: Part of a parameter's name → what its rate is multiplied by, such as ``{"lora_B": 16}``.

    Returns:
        Groups named ``embeddings``, ``backbone``, ``head``, those without weight decay ``backbone/no_decay``, with
        `layer_decay` ``backbone/layer.3``, and with `multiples` ``backbone/lora_B``; empty ones are left out. Each
        holds ``params``, ``param_names`` (in the same order), ``name``, ``lr`` and ``weight_decay``.

    Raises:
        ConfigError: Nothing is trainable, a number is out of range, or `head_lr` is a number and no head is trained.
    """
    rates = {"embeddings": lr, "backbone": lr, "head": head_rate(lr, head_lr)}
    _check({"lr": lr, "weight_decay": weight_decay, "head_lr": rates["head"]}, layer_decay)
    head = _fresh_names(model, fresh) if fresh is not None and isinstance(head_lr, str) else head_names(model)
    decayed, embedded, layers = decay_names(model), embedding_names(model), layer_counts(model)
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        part = "head" if name in head else "embeddings" if name in embedded else "backbone"
        layer, factor = "", 1.0
        if layer_decay is not None and part != "head":
            layer, factor = layer_factor(name, layers, layer_decay, name in embedded)
        for fragment in (fragment for fragment in multiples or {} if fragment in name):
            layer, factor = f"{layer}/{fragment}", factor * (multiples or {})[fragment]
        tag, rate = f"{part}{layer}", rates[part] * factor
        for suffix, decay in (("", weight_decay), ("/no_decay", 0.0)):  # side by side, whichever comes first
            empty: dict[str, Any] = {"params": [], "param_names": [], "lr": rate, "weight_decay": decay}
            groups.setdefault(f"{tag}{suffix}", empty)
        group = groups[tag if name in decayed else f"{tag}/no_decay"]
        group["params"].append(parameter)
        group["param_names"].append(name)
    # The layers of a part stand in the model's order.
    ordered = sorted(groups, key=lambda name: list(rates).index(name.partition("/")[0]))
    filled = [{**groups[name], "name": name} for name in ordered if groups[name]["params"]]
    _refuse_useless(filled, head_lr)
    _assert_each_once(model, filled)
    return filled


def embedding_names(model: nn.Module) -> frozenset[str]:
    """Return the names of the parameters that are tables of vectors: of tokens, places, or prompts.

    A matrix of them is no map from states to states, and some optimisers treat it otherwise.
    """
    tables = [name for name, module in model.named_modules() if isinstance(module, nn.Embedding)]
    owned = tuple(f"{table}." for table in tables)
    return frozenset(
        name
        for name, _ in model.named_parameters()
        if name.startswith(owned) or any(adapter in name for adapter in _ADAPTED_TABLES)
    )


def layer_factor(name: str, layers: Mapping[str, int], decay: float, embedded: bool = False) -> tuple[str, float]:
    """Return the part of its group's name that tells a parameter's layer, and its rate as a share of the top layer's.

    As in Zhang et al. 2021 (Revisiting few-sample BERT fine-tuning), section 5: 1 at the top, times `decay` for each
    layer below, and for the embeddings once more than for the lowest. What lies in no layer has the rate of the top.

    Args:
        name: Of the parameter.
        layers: What `layer_counts` returns.
        decay: From 0 to 1.
        embedded: Whether it belongs to the embeddings; their normalisation does by its name.
    """
    if found := layer_of(name):
        stack, number = found
        # Stacks of an encoder-decoder may have different numbers of layers.
        return f"{f'/{stack}' if len(layers) > 1 else ''}/layer.{number}", decay ** (layers[stack] - 1 - number)
    if embedded or "embed" in name:
        return ("" if embedded else "/embeddings"), decay ** max(layers.values(), default=0)
    return "", 1.0


def head_rate(lr: float, head_lr: float | str | None) -> float:
    """Return the head's learning rate.

    Args:
        lr: Of everything else.
        head_lr: A rate, a multiple of `lr` such as ``"10x"``, or None for the same as the rest.
    """
    if head_lr is None:
        return lr
    return lr * float(head_lr.removesuffix("x")) if isinstance(head_lr, str) else head_lr


def decay_names(model: nn.Module) -> frozenset[str]:
    """Return the names of the parameters that weight decay applies to, frozen ones included.

    Left out are parameters named as a bias, all parameters of normalisation layers (recognised by their class's
    name, which covers torch's own and the many RMSNorms of transformers), and other vectors and scalars, such as
    the magnitudes of DoRA. Sharding that flattens every parameter (ZeRO-3, FSDP 1) hides the shapes; then names and
    classes alone decide.
    """
    shapes_are_whole = any(parameter.dim() > 1 for parameter in model.parameters())
    return frozenset(
        name
        for name, parameter in model.named_parameters()
        if "bias" not in name.lower()
        and not is_norm(_owner(model, name))
        and (parameter.dim() > 1 or not shapes_are_whole)
    )


def head_names(model: nn.Module) -> frozenset[str]:
    """Return the names of the parameters that a transformers model has beside its backbone.

    A head that shares a backbone's tensor (a tied language-model head) does not count for it, nor do the parameters
    of an adapter. A module that does not come from transformers has no head.

    Args:
        model: A ``PreTrainedModel``, such a model wrapped by peft, or any other module.
    """
    inner = getattr(model, "get_base_model", lambda: model)()
    backbone = getattr(inner, "base_model", inner)
    head = {id(parameter) for parameter in inner.parameters()} - {id(parameter) for parameter in backbone.parameters()}
    return frozenset(name for name, parameter in model.named_parameters() if id(parameter) in head)


def _fresh_names(model: nn.Module, fresh: Collection[str]) -> frozenset[str]:
    """Return the names of these parameters in the adapted model."""
    return frozenset(name for name, _ in model.named_parameters() if _PEFTS_OWN.sub("", name) in fresh)


def _owner(model: nn.Module, name: str) -> nn.Module:
    return model.get_submodule(name.rpartition(".")[0])


def _check(numbers: dict[str, float], layer_decay: float | None) -> None:
    for key, value in numbers.items():
        if not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"optimizer.{key} is {value}", f"give a number from 0 up, such as optimizer.{key}=1e-4")
    if layer_decay is not None and not 0 < layer_decay <= 1:
        raise ConfigError(
            f"optimizer.layer_decay is {layer_decay}",
            "give a share above 0 and up to 1, such as optimizer.layer_decay=0.9",
        )


def _refuse_useless(groups: list[dict[str, Any]], head_lr: float | str | None) -> None:
    if not groups:
        raise ConfigError(
            "the model has no trainable parameter",
            "choose a method that trains something, such as peft=full or peft=lora",
        )
    # A multiple is a default of some methods, and means nothing where there is no head.
    if isinstance(head_lr, (int, float)) and not any(group["name"].startswith("head") for group in groups):
        raise ConfigError(
            "optimizer.head_lr is set, but this model has no head that is trained apart from its backbone",
            "leave it out: optimizer.head_lr=null",
        )


def _assert_each_once(model: nn.Module, groups: list[dict[str, Any]]) -> None:
    placed = Counter(id(parameter) for group in groups for parameter in group["params"])
    trainable = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    assert placed == Counter(trainable), "a trainable parameter sits in no group, or in two"
