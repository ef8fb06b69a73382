"""Tensors of which each process holds a part: the own part, the whole, and parts like those of another."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor


def own_part(tensor: Tensor) -> Tensor:
    """Return what this process holds of a tensor; it is the same memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(content: Any, kept: bool = True) -> Any:
    """Return nested dictionaries and lists with every shared tensor made whole; every rank has to call it.

    Args:
        content: Tensors, plain data, dictionaries, lists and tuples.
        kept: Whether this process wants the tensors that were in parts, on the CPU; others get None in their place.
    """
    return _mapped(content, lambda tensor: _gathered(tensor, kept))


def _gathered(tensor: Tensor, kept: bool) -> Tensor | None:
    if _is_deepspeeds(tensor):
        return _gathered_by_deepspeed(tensor, kept)
    if not isinstance(tensor, DTensor):
        return tensor
    full: Tensor = tensor.full_tensor().detach()
    return full.cpu() if kept else None


def _is_deepspeeds(tensor: Tensor) -> bool:
    return hasattr(tensor, "ds_id")


def _gathered_by_deepspeed(tensor: Tensor, kept: bool) -> Tensor | None:
    from deepspeed import zero

    with zero.GatheredParameters([tensor]):
        return tensor.detach().cpu().clone() if kept else None


def _mapped(content: Any, change: Callable[[Tensor], Any]) -> Any:
    if isinstance(content, Tensor):
        return change(content)
    if isinstance(content, Mapping):
        return {key: _mapped(value, change) for key, value in content.items()}
    return [_mapped(value, change) for value in content] if isinstance(content, list) else content


def in_parts_like(tensor: Tensor, other: Tensor) -> Tensor:
    """Return a whole tensor as another of its shape is shared out, without asking other ranks: each has the whole."""
    if not isinstance(other, DTensor) or isinstance(tensor, DTensor) or tensor.shape != other.shape:
        return tensor
    there = tensor.to(other.device_mesh.device_type)
    return distribute_tensor(there, other.device_mesh, other.placements, src_data_rank=None)


def total_norm(parameters: Sequence[nn.Parameter]) -> Tensor:
    """Return the joint norm of gradients; every rank has to call it where they are shared out.

    torch's own takes whole tensors, or those that are shared out over the same processes, and not both at once.
    """
    kinds: dict[Any, list[Tensor]] = {}
    for gradient in (parameter.grad for parameter in parameters if parameter.grad is not None):
        kinds.setdefault(getattr(gradient, "device_mesh", None), []).append(gradient)
    return torch.linalg.vector_norm(torch.stack([_norm(kind) for kind in kinds.values()] or [torch.zeros(())]))


def clip_norm(parameters: Sequence[nn.Parameter], most: float) -> Tensor:
    """Scale gradients so that their joint norm, which is returned, is at most a number."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    total = total_norm(parameters)
    if not gradients:
        return total
    # As torch.nn.utils.clip_grad_norm_ does, without a look at the number that would wait for a GPU.
    factor = (most / (total + 1e-6)).clamp(max=1.0)
    parts = [own_part(gradient) for gradient in gradients]
    torch._foreach_mul_(parts, factor.to(parts[0].device))
    return total


def _norm(gradients: list[Tensor]) -> Tensor:
    norm = torch.nn.utils.get_total_norm(gradients)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def is_in_parts(model: nn.Module) -> bool:
    """Return whether a process holds only a part of some parameter."""
    return any(isinstance(parameter, DTensor) or _is_deepspeeds(parameter) for parameter in model.parameters())
