"""Whether there are ranks, which of them share the data, and what all of them have, with gradients too.

Where each rank has a part of every layer (tensor parallelism), ranks that together make one model see the same batches.
What is summed or gathered over the data is so over *data ranks*: one of each model.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed
from torch.distributed.device_mesh import DeviceMesh
from torch.nn import functional

_data: list[DeviceMesh] = []  # the ranks among which data is shared out; empty: all of them


class DataRank(NamedTuple):
    """Which part of the data this process sees.

    Args:
        rank: Among those that see different data.
        size: How many those are.
    """

    rank: int
    size: int


def share_data_over(mesh: DeviceMesh | None) -> None:
    """Share data out among the ranks of a mesh of one dimension, rather than among all; None: among all again."""
    _data[:] = [] if mesh is None else [mesh]


def started() -> bool:
    """Return whether this process is one of several ranks that can talk to each other."""
    return distributed.is_available() and distributed.is_initialized()


def data_rank() -> DataRank:
    """Return this process's place among those that see different data."""
    if not started():
        return DataRank(0, 1)
    return DataRank(distributed.get_rank(_group()), distributed.get_world_size(_group()))


def _group() -> Any:
    return _data[0].get_group() if _data else None


def objects_of_all(mine: Any, of_data: bool = False) -> list[Any]:
    """Return what each rank has, in the order of the ranks; every rank has to call it. Without ranks it is one's own.

    Args:
        mine: Plain data or tensors, small.
        of_data: Whether ranks that see the same data count once.
    """
    if not started():
        return [mine]
    group = _group() if of_data else None
    of_all: list[Any] = [None] * distributed.get_world_size(group)
    distributed.all_gather_object(of_all, mine, group=group)
    return of_all


def over_data(tensor: Tensor) -> Tensor:
    """Return the sum over all data ranks; every rank has to call it."""
    if not started():
        return tensor
    total = tensor.clone()
    distributed.all_reduce(total, group=_group())
    return total


def most_of_ranks(mine: int) -> int:
    """Return the largest of the numbers that the ranks have; every rank has to call it."""
    return max(objects_of_all(mine))


def from_all_ranks(rows: Tensor) -> tuple[Tensor, int]:
    """Return the rows of all data ranks, in the order of the ranks, and at which of them this rank's own begin.

    Every rank has to call it equally often. Gradients flow back to the rank that a row came from, and add up over the
    losses of all ranks; DDP's mean over the ranks is the caller's business, as for any other gradient.

    Args:
        rows: ``(n, …)``; n may differ between ranks, the rest may not.

    Returns:
        ``(n of all ranks together, …)`` and a position in it. Of one data rank the rows themselves, and 0.
    """
    if data_rank().size == 1:
        return rows, 0
    counts = _counts(rows)
    missing = max(counts) - len(rows)
    filled = functional.pad(rows, (0, 0) * (rows.dim() - 1) + (0, missing))
    parts: Tensor = _Gathered.apply(filled) if rows.requires_grad else _gathered(filled)
    joined = torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])
    return joined, sum(counts[: data_rank().rank])


def _counts(rows: Tensor) -> list[int]:
    return _gathered(torch.tensor([len(rows)], device=rows.device)).flatten().tolist()


def _gathered(rows: Tensor) -> Tensor:
    """Return the equally many rows of each rank, ``(ranks, n, …)``."""
    parts = [torch.empty_like(rows) for _ in range(data_rank().size)]
    distributed.all_gather(parts, rows.contiguous(), group=_group())
    return torch.stack(parts)


class _Gathered(torch.autograd.Function):
    """`_gathered` with a gradient. torch's own is deprecated, and what is to replace it is not public."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        return _gathered(rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total, group=_group())
        return total[data_rank().rank]
