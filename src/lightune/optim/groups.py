"""Which parameter is trained with which learning rate and weight decay.

Weight decay leaves out biases, normalisation layers and other vectors; embeddings and matrices decay, as they do with
the Hugging Face Trainer. The head can have a learning rate of its own, or what is new a multiple of the others'.
"""

import math
import re
from collections import Counter
from collections.abc import Collection
from typing import Any

from torch import nn

from lightune.errors import ConfigError

# What peft puts into the names of a model that it wraps, of layers that it adapts and of modules that it copies.
_PEFTS_OWN = re.compile(r"^base_model\.model\.|(?<=\.)(base_layer|modules_to_save\.default)\.")


def parameter_groups(
    model: nn.Module,
    lr: float,
    weight_decay: float,
    head_lr: float | str | None = None,
    fresh: Collection[str] | None = None,
) -> list[dict[str, Any]]:
    """Return the groups a torch optimiser takes; every trainable parameter sits in exactly one.

    Args:
        model: The model, adapters and head included. Frozen parameters are left out, shared ones appear once.
        lr: Learning rate of everything but the head.
        weight_decay: Weight decay of the parameters that `decays` accepts.
        head_lr: Learning rate of the head, as `head_rate` takes it.
        fresh: Names, in the model without adapters, of the parameters that no file held. A multiple is for them: a head
            that came with the weights needs no other rate than the rest. None takes the head for new.

    Returns:
        Up to four groups named ``backbone``, ``backbone/no_decay``, ``head`` and ``head/no_decay``, empty ones left
        out. Each holds ``params``, ``param_names`` (in the same order), ``name``, ``lr`` and ``weight_decay``.

    Raises:
        ConfigError: Nothing is trainable, a number is negative, or `head_lr` is a number and no head is trained.
    """
    rates = {"backbone": lr, "head": head_rate(lr, head_lr)}
    _check({"lr": lr, "weight_decay": weight_decay, "head_lr": rates["head"]})
    head = _fresh_names(model, fresh) if fresh is not None and isinstance(head_lr, str) else head_names(model)
    names = decay_names(model)
    groups: list[dict[str, Any]] = [
        {"params": [], "param_names": [], "name": part + suffix, "lr": rate, "weight_decay": decay}
        for part, rate in rates.items()
        for suffix, decay in (("", weight_decay), ("/no_decay", 0.0))
    ]
    by_name = {group["name"]: group for group in groups}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            group = by_name[("head" if name in head else "backbone") + ("" if name in names else "/no_decay")]
            group["params"].append(parameter)
            group["param_names"].append(name)
    filled = [group for group in groups if group["params"]]
    _refuse_useless(filled, head_lr)
    _assert_each_once(model, filled)
    return filled


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
        if "bias" not in name.lower() and not _is_norm(model, name) and (parameter.dim() > 1 or not shapes_are_whole)
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


def _is_norm(model: nn.Module, name: str) -> bool:
    owner = model.get_submodule(name.rpartition(".")[0])
    return "norm" in type(owner).__name__.lower()


def _check(numbers: dict[str, float]) -> None:
    for key, value in numbers.items():
        if not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"optimizer.{key} is {value}", f"give a number from 0 up, such as optimizer.{key}=1e-4")


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
