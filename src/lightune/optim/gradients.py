"""How large gradients are, all together and by the part of the model that they belong to."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from lightune.models.architecture import layer_of

TOTAL = ""  # the part that is the whole model
_EMBEDDINGS = re.compile("embed|shared|wte|wpe")


def gradient_norms(gradients: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the norm of all gradients under `TOTAL`, and that of each part, as `part_of` names it.

    Args:
        gradients: Name of a parameter → its gradient, whole; all on one device.
    """
    if not gradients:
        return {}
    norms = torch._foreach_norm([gradient.detach() for gradient in gradients.values()])
    squares = torch.stack([norm.double() for norm in norms]).cpu() ** 2  # one copy from a GPU
    stacks = {place[0] for name in gradients if (place := layer_of(name))}
    sums: dict[str, float] = {TOTAL: float(squares.sum())}
    for name, square in zip(gradients, squares.tolist(), strict=True):
        part = part_of(name, several=len(stacks) > 1)
        sums[part] = sums.get(part, 0.0) + square
    return {part: total**0.5 for part, total in sums.items()}


def part_of(name: str, several: bool = False) -> str:
    """Return which part of a model a parameter lies in: ``layer.3``, ``embeddings`` or ``head``, told by its name.

    Args:
        name: Of the parameter.
        several: Whether the model has several stacks of layers, so that a layer's stack has to be told.
    """
    if place := layer_of(name):
        stack, number = place
        side = next((side for side in ("decoder", "encoder") if side in stack), stack)
        return f"{side}.layer.{number}" if several else f"layer.{number}"
    return "embeddings" if _EMBEDDINGS.search(name) else "head"
