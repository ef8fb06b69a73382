"""Whether there are ranks, and the tensors of all of them with gradients: for losses that compare across ranks."""

from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn import functional


def started() -> bool:
    """Return whether this process is one of several ranks that can talk to each other."""
    return distributed.is_available() and distributed.is_initialized()


def objects_of_all(mine: Any) -> list[Any]:
    """Return what each rank has, in the order of the ranks; every rank has to call it. Without ranks it is one's own.

    Args:
        mine: Plain data or tensors, small.
    """
    if not started():
        return [mine]
    of_all: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(of_all, mine)
    return of_all


def from_all_ranks(rows: Tensor) -> tuple[Tensor, int]:
    """Return the rows of all ranks, in the order of the ranks, and at which of them this rank's own begin.

    Every rank has to call it equally often. Gradients flow back to the rank that a row came from, and add up over the
    losses of all ranks; DDP's mean over the ranks is the caller's business, as for any other gradient.

    Args:
        rows: ``(n, …)``; n may differ between ranks, the rest may not.

    Returns:
        ``(n of all ranks together, …)`` and a position in it. Without ranks the rows themselves, and 0.
    """
    if not started():
        return rows, 0
    counts = _counts(rows)
    missing = max(counts) - len(rows)
    filled = functional.pad(rows, (0, 0) * (rows.dim() - 1) + (0, missing))
    parts: Tensor = _Gathered.apply(filled) if rows.requires_grad else _gathered(filled)
    joined = torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])
    return joined, sum(counts[: distributed.get_rank()])


def _counts(rows: Tensor) -> list[int]:
    return _gathered(torch.tensor([len(rows)], device=rows.device)).flatten().tolist()


def _gathered(rows: Tensor) -> Tensor:
    """Return the equally many rows of each rank, ``(ranks, n, …)``."""
    parts = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, rows.contiguous())
    return torch.stack(parts)


class _Gathered(torch.autograd.Function):
    """`_gathered` with a gradient. torch's own is deprecated, and what is to replace it is not public."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        return _gathered(rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total[distributed.get_rank()]
