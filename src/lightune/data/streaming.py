"""Batches of training rows that are read as they are needed; a run never holds more than a few thousand of them.

A stream has no end and no length: after its last row it begins anew, in another order, and an *epoch* is as many
features as was said. Each process, and each of its loader's workers, encodes every n-th row.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from transformers import PreTrainedTokenizerBase

from lightune.data.batching import Share, training_batches
from lightune.data.encoding import encoded
from lightune.data.features import Features
from lightune.data.filters import filtered
from lightune.data.loaders import Collate, worker_options
from lightune.data.table import Row, Table
from lightune.errors import CheckpointError, DataError, UserError
from lightune.tasks.base import Task

_CHUNK_STEPS = 50  # rows of so many batches are encoded, and their features sorted by length, together
_MOST_CHUNKS = 2**32  # in one turn; more than there ever are, so that each chunk has a number of its own

Rows = Callable[[int], Iterable[Row]]  # how often they were gone through before → all rows, in an order of that time
Tensors = dict[str, Tensor]


class Place(NamedTuple):
    """Where one part of a stream goes on.

    Args:
        turn: How often all rows were gone through.
        chunk: Number of the chunk of rows.
        batch: Number of the batch among those of the chunk.
    """

    turn: int = 0
    chunk: int = 0
    batch: int = 0


@dataclass(frozen=True)
class Stream:
    """Rows to train on, and how they become features.

    Args:
        rows: Gives them.
        origin: What they are called in messages.
        filters: Conditions on the user's columns.
        task: With its labels.
        tokenizer: Of the backbone.
        max_length: Tokens of a feature.
        epoch_size: Features of an epoch, of all processes together.
    """

    rows: Rows
    origin: str
    filters: Mapping[str, Any]
    task: Task
    tokenizer: PreTrainedTokenizerBase
    max_length: int
    epoch_size: int

    def encode(self, rows: Sequence[Row], numbers: Sequence[int]) -> Features | None:
        """Return the training features of rows as the user has them; None where no row is taken.

        Args:
            rows: Of a stream.
            numbers: Their places in it, from 1.

        Raises:
            DataError: A row that the task cannot read, or a label that it does not know.
        """
        table = filtered(Table(list(rows), self.origin, numbers=list(numbers)), self.filters, part=True)
        if not len(table):
            return None
        read = self.task.read(table)
        self.task.check_labels(read)
        features = encoded(read.rows, 0, self.task, self.tokenizer, self.max_length)
        return features.remove_columns([*self.task.eval_only, "example", "truncated"])


class StreamedBatches(IterableDataset[tuple[int, Place, Tensors] | UserError]):
    """This process's batches, without end: the part of the stream, where that part goes on, and the batch.

    What the user can mend is handed out as an error, and is the last item.

    Args:
        stream: Rows and encoding.
        collate: Features → batch.
        batch_size: Features of a batch.
        share: This process among the ranks.
        seed: Of the order of batches.
        parts: In how many this process reads its rows: as many as loader processes, or one.

    Attributes:
        places: Where each part goes on.
        delivered: How many batches the parts have given before, by turns.
    """

    def __init__(
        self,
        stream: Stream,
        collate: Collate,
        batch_size: int,
        share: Share,
        seed: int,
        parts: int = 1,
    ) -> None:
        self.stream = stream
        self.collate = collate
        self.batch_size = batch_size
        self.share = share
        self.seed = seed
        self.places = [Place()] * parts
        self.delivered = 0

    def __iter__(self) -> Iterator[tuple[int, Place, Tensors] | UserError]:
        try:
            yield from self._endless()
        except UserError as error:
            yield error  # torch would bury it in another on its way from a loader process

    def _endless(self) -> Iterator[tuple[int, Place, Tensors]]:
        worker = get_worker_info()
        # Loader processes are asked in turn from the first on: it goes on with the part whose turn it is.
        part = ((worker.id if worker else 0) + self.delivered) % len(self.places)
        place = self.places[part]
        for turn in count(place.turn):
            nothing = place == Place(turn)
            for chunk, features in self._chunks(turn, place.chunk, self.share.rank * len(self.places) + part):
                nothing = False
                inputs = features.remove_columns(["length"])
                batches = self._batches(features["length"], turn * _MOST_CHUNKS + chunk)
                for number, positions in enumerate(batches[place.batch :], place.batch + 1):
                    yield part, Place(turn, chunk, number), self.collate([inputs[i] for i in positions])
                place = Place(turn, chunk + 1)
            if nothing:
                raise DataError(
                    f"{self.stream.origin}: there is no row for one of the processes that read it",
                    "check the files and data.filter, or use fewer processes",
                )
            place = Place(turn + 1)

    def _chunks(self, turn: int, skipped: int, part: int) -> Iterator[tuple[int, Features]]:
        """Yield the number and the features of each chunk of a part, from one that is told."""
        parts, size = self.share.world_size * len(self.places), self.batch_size * _CHUNK_STEPS
        rows = islice(enumerate(self.stream.rows(turn), start=1), part + skipped * size * parts, None, parts)
        for chunk in count(skipped):
            taken = list(islice(rows, size))
            if not taken:
                return
            features = self.stream.encode([row for _, row in taken], [number for number, _ in taken])
            if features is not None:
                yield chunk, features

    def _batches(self, lengths: Sequence[int], number: int) -> list[list[int]]:
        return training_batches(
            lengths, batch_size=self.batch_size, accumulate=1, share=Share(), seed=self.seed, epoch=number
        )


class StreamLoader:
    """A loader that takes an epoch's batches from a stream, and knows where to go on.

    As with `PlannedLoader`, Lightning saves and restores the place: a run that was broken off goes on with the batch
    after the last that was handed out.

    Args:
        batches: Of this process. Its places go on as batches are handed out.
        length: Batches of an epoch.
        num_workers: Loader processes.
        limit: Batches after which the caller ends an epoch; it may be more than there are.
    """

    def __init__(
        self,
        batches: StreamedBatches,
        length: int,
        num_workers: int = 0,
        limit: float = float("inf"),
    ) -> None:
        self.batches = batches
        self.limit = limit
        self.position = 0
        self._length = length
        self._resumed = False
        self._delivered: Iterator[tuple[int, Place, Tensors] | UserError] | None = None
        self._options = worker_options(num_workers, fresh=True)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Tensors]:
        # An iteration that was broken off (a limited number of batches) is over; one that was resumed goes on.
        if not self._resumed:
            self.position = 0
        self._resumed = False
        if self._delivered is None:
            self._delivered = iter(self._loader())
        while self.position < self._length:
            item = next(self._delivered)
            if isinstance(item, UserError):
                raise item
            part, place, batch = item
            self.batches.places[part] = place
            self.batches.delivered += 1
            self.position += 1
            yield batch
        self.position = 0

    def _loader(self) -> DataLoader[Any]:
        generator = torch.Generator()  # nothing is drawn from torch's global random numbers
        return DataLoader(self.batches, batch_size=None, collate_fn=_as_it_is, generator=generator, **self._options)

    def state_dict(self) -> dict[str, Any]:
        """Return each part's place, and the batches handed out in all and in this epoch."""
        finished = self.position >= min(self._length, self.limit)
        return {
            "places": [list(place) for place in self.batches.places],
            "delivered": self.batches.delivered,
            "position": 0 if finished else self.position,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue at a saved place.

        Raises:
            CheckpointError: It was saved with another number of loader processes.
        """
        here, there = len(self.batches.places), len(state["places"])
        if there != here:
            raise CheckpointError(
                f"data.num_workers={here}: the stream was read by {there} when the checkpoint was written",
                f"type data.num_workers={there}, as then",
            )
        self.batches.places = [Place(*place) for place in state["places"]]
        self.batches.delivered, self.position = state["delivered"], state["position"]
        self._resumed = True
        self._delivered = None


def _as_it_is(item: Any) -> Any:
    return item
