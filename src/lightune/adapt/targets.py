"""Which modules an adapter attaches to: pure functions of module names."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from lightune.errors import ConfigError, nearest
from lightune.models.architecture import is_norm


def fresh_modules(model: nn.Module, fresh: Collection[str]) -> tuple[str, ...]:
    """Return the outermost modules all of whose parameters are fresh: the head, whatever it is called.

    Args:
        model: The loaded model.
        fresh: Names of parameters that its files did not hold.
    """
    found: list[str] = []
    for name, module in model.named_modules():
        own = [f"{name}.{parameter}" for parameter, _ in module.named_parameters()]
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if name and own and not inside and all(parameter in fresh for parameter in own):
            found.append(name)
    return tuple(found)


def linear_layers(model: nn.Module, without: Iterable[str]) -> list[str]:
    """Return the names of every linear layer outside the given modules.

    The layer that turns states into a vocabulary is none of them: it may share its weight with the embeddings.
    """
    outside = tuple(without)
    output = model.get_output_embeddings() if isinstance(model, PreTrainedModel) else None
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, (nn.Linear, Conv1D)) and module is not output and not _lies_in(name, outside)
    ]


def _lies_in(name: str, modules: Iterable[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def poolers(model: nn.Module) -> list[str]:
    """Return the names of the modules that make one state of a row's, as BERT's encoders have."""
    return [name for name, _ in model.named_modules() if name.rpartition(".")[2] == "pooler"]


def norm_layers(model: nn.Module, without: Iterable[str]) -> list[str]:
    """Return the names of every normalisation layer outside the given modules, by their classes' names."""
    outside = tuple(without)
    return [name for name, module in model.named_modules() if is_norm(module) and not _lies_in(name, outside)]


# What may be said instead of names → how they are found.
KINDS: Mapping[str, Callable[[nn.Module, Iterable[str]], list[str]]] = {"auto": linear_layers, "norms": norm_layers}


def target_modules(model: nn.Module, wanted: str | Sequence[str], head: Sequence[str]) -> list[str]:
    """Return the names to give to peft, checked against the model.

    Args:
        model: The model, with or without weights.
        wanted: ``auto`` for every linear layer of the backbone, ``norms`` for every normalisation layer, or names as
            peft matches them: whole, or the last parts.
        head: Modules that are trained in full and are no targets.

    Returns:
        Last parts of names where these say the same (``query``), else whole names.

    Raises:
        ConfigError: A name matches no module of the backbone.
    """
    if isinstance(wanted, str) and wanted in KINDS:
        return _shortened(KINDS[wanted](model, head), [name for name, _ in model.named_modules()])
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    inside = [name for name, _ in model.named_modules() if name and not _lies_in(name, head)]
    for name in names:
        if not any(_matches(module, name) for module in inside):
            leaves = {module.rpartition(".")[2] for module in linear_layers(model, head)}
            raise ConfigError(
                f"peft.target_modules: no module of the backbone is called '{name}'",
                f"{nearest(name, leaves)} (or peft.target_modules=auto for all of: {', '.join(sorted(leaves))})",
            )
    return names


def common_divisor(model: nn.Module, targets: Sequence[str]) -> int:
    """Return the greatest number that divides the inputs and the outputs of all targeted layers.

    Args:
        model: The model, with or without weights.
        targets: What `target_modules` returned.
    """
    return math.gcd(*(size for shape in shapes(model, targets).values() for size in shape))


def shapes(model: nn.Module, targets: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return name → shape of the weight of all targeted layers.

    Args:
        model: The model, with or without weights.
        targets: What `target_modules` returned.
    """
    modules: dict[str, Any] = dict(model.named_modules())
    chosen = [name for name in modules if any(_matches(name, target) for target in targets)]
    return {name: tuple(modules[name].weight.shape) for name in chosen}


def _matches(module: str, name: str) -> bool:
    return module == name or module.endswith(f".{name}")


def _shortened(targets: Sequence[str], modules: Sequence[str]) -> list[str]:
    chosen, short = set(targets), set()
    for leaf in {target.rpartition(".")[2] for target in targets}:
        matched = {module for module in modules if _matches(module, leaf)}
        short |= {leaf} if matched <= chosen else {t for t in targets if _matches(t, leaf)}
    return sorted(short)
