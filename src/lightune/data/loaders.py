"""From planned batches to tensors, and the place in an epoch at which a run can be resumed."""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.context import BaseContext
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lightune.data.features import Feature

Plan = Callable[[int], list[list[int]]]


class Collate:
    """Turns a list of features into padded tensors.

    Args:
        pads: Column → value that fills it up; columns that are not named hold one number a feature. A column that is
            named holds a list a feature, or a list of lists, such as the options of a question.
        pad_to_multiple_of: Round the padded length up to a multiple of this.
    """

    def __init__(self, pads: Mapping[str, int], pad_to_multiple_of: int | None = None) -> None:
        self.pads = dict(pads)
        self.multiple = pad_to_multiple_of or 1

    def __call__(self, features: Sequence[Feature]) -> dict[str, Tensor]:
        """Return column → tensor, ``(batch, …, length)`` or ``(batch,)``, with the attention mask of the input ids.

        Each column is filled up to its own longest list.
        """
        batch = {}
        for column in features[0]:
            values = [feature[column] for feature in features]
            batch[column] = self._padded(values, self.pads[column]) if column in self.pads else torch.tensor(values)
        batch["attention_mask"] = self._padded([_ones(feature["input_ids"]) for feature in features], 0)
        return batch

    def _padded(self, values: Sequence[Sequence[Any]], pad: int) -> Tensor:
        if any(isinstance(item, list) for value in values for item in value):
            most = max(map(len, values))
            rows = [row for value in values for row in [*value, *[[]] * (most - len(value))]]
            return self._padded(rows, pad).view(len(values), most, -1)
        length = -(-max(map(len, values)) // self.multiple) * self.multiple
        return torch.tensor([[*value, *[pad] * (length - len(value))] for value in values])


def _ones(ids: Sequence[Any]) -> list[Any]:
    return [_ones(item) if isinstance(item, list) else 1 for item in ids]


def worker_options(count: int, fresh: bool = False) -> dict[str, Any]:
    """Return a DataLoader's options about its processes.

    Args:
        count: Loader processes.
        fresh: Whether they know nothing of this process; else they are forks of it. A fork of a process in which Arrow
            has read rows may wait for ever for a lock that one of its threads held.
    """
    context = _fresh_processes() if fresh and count else None
    return {"num_workers": count, "pin_memory": torch.cuda.is_available(), "multiprocessing_context": context}


def _fresh_processes() -> BaseContext:
    """Return a context whose processes are forks of one that has imported what they need, and done nothing else.

    Where there are no forks each is a new Python, which takes seconds to start.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "lightune.data.streaming"])
    return context


class PlannedLoader:
    """A loader over planned batches that knows where in which epoch it stands.

    Lightning saves and restores the place through `state_dict`. It counts the batches that were handed out, not those
    that worker processes have read ahead, and draws nothing from torch's global random numbers, so a resumed run
    sees the same batches with the same dropout as one that was never interrupted.

    Args:
        dataset: Features.
        plan: Epoch → lists of positions, as many in every epoch.
        collate: List of features → batch.
        num_workers: Loader processes.
        limit: Batches after which the caller ends an epoch; it may be more than there are.
    """

    def __init__(
        self,
        dataset: Dataset[Feature],
        plan: Plan,
        collate: Callable[[Sequence[Feature]], dict[str, Tensor]],
        num_workers: int = 0,
        limit: float = float("inf"),
    ) -> None:
        self.dataset = dataset
        self.plan = plan
        self.limit = limit
        self.epoch = 0
        self.position = 0
        self._resumed = False
        self._length = len(plan(0))
        self._options: dict[str, Any] = {"collate_fn": collate, **worker_options(num_workers)}

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        # An iteration that was broken off (a limited number of batches) is over; one that was resumed goes on.
        if self.position and not self._resumed:
            self.epoch, self.position = self.epoch + 1, 0
        self._resumed = False
        batches = self.plan(self.epoch)[self.position :]
        loader = DataLoader(self.dataset, batch_sampler=batches, generator=torch.Generator(), **self._options)
        for batch in loader:
            self.position += 1
            yield batch
        self.epoch, self.position = self.epoch + 1, 0

    def state_dict(self) -> dict[str, int]:
        """Return epoch and batches handed out in it; a finished epoch is the next one's beginning."""
        finished = self.position >= min(len(self), self.limit)
        return {"epoch": self.epoch + finished, "position": 0 if finished else self.position}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Continue at a saved place."""
        self.epoch, self.position = state["epoch"], state["position"]
        self._resumed = True
