"""The one LightningDataModule: it knows loaders and ranks, never a task's name."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from lightune import ranks
from lightune.data.batching import Share, evaluation_batches
from lightune.data.encoding import EncodedSplit
from lightune.data.loaders import Collate, PlannedLoader, worker_options
from lightune.data.packing import Packed, best_fit
from lightune.data.plan import Layout, Planner, Stop
from lightune.data.streaming import Stream, StreamedBatches, StreamLoader
from lightune.data.table import Row
from lightune.errors import CheckpointError, ConfigError


class DataModule(LightningDataModule):
    """Loaders over encoded splits.

    Args:
        splits: Split name → its features.
        collate: Features → batch.
        batch_size: Features of a training micro-batch on one rank.
        eval_batch_size: Features of an evaluation batch on one rank.
        tokens_per_batch: Padded tokens of a batch, instead of both.
        accumulate: Micro-batches of an optimiser step.
        num_workers: Loader processes.
        seed: Of the data order.
        eval_only: Columns that training does not read.
        limit: Batches of an epoch (whole number) or share of them (up to 1.0), as Lightning's ``limit_train_batches``.
        pack: Tokens of a row into which training features are packed; None keeps one feature a row.
        strata: What each training feature counts as where how often these come is decided; goes with `batch_size`.
        shares: Of an epoch's features for each stratum; None: equal ones.
        stream: Where training rows come from where they are read as they are needed; there is no split of them then.
        equal_batches: Whether all ranks need as many evaluation batches; some then get one twice, which does not count.
    """

    def __init__(
        self,
        splits: Mapping[str, EncodedSplit],
        collate: Collate,
        batch_size: int,
        eval_batch_size: int,
        tokens_per_batch: int | None = None,
        accumulate: int = 1,
        num_workers: int = 0,
        seed: int = 0,
        eval_only: tuple[str, ...] = (),
        limit: float = 1.0,
        pack: int | None = None,
        strata: Sequence[int] | None = None,
        shares: Sequence[float] | None = None,
        stream: Stream | None = None,
        equal_batches: bool = False,
    ) -> None:
        super().__init__()
        self.splits = splits
        self.collate = collate
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.tokens_per_batch = tokens_per_batch
        self.accumulate = accumulate
        self.num_workers = num_workers
        self.seed = seed
        self.eval_only = eval_only
        self.limit = limit
        self.pack = pack
        self.strata = strata
        self.shares = shares
        self.stream = stream
        self.equal_batches = equal_batches
        self._own: dict[str, int] = {}  # evaluation batches of each split that this rank has, without repeated ones
        self._training: PlannedLoader | StreamLoader | None = None
        self._place: dict[str, Any] = {}
        self._stop: Stop | None = None  # where the epoch was broken off, with other ranks or batches
        self.tested = "test"  # the split that the test loop runs over

    def micro_batches(self, world_size: int) -> int:
        """Return how many micro-batches each rank trains on in an epoch."""
        if self.stream is not None:
            step = self.batch_size * self.accumulate * world_size
            return max(self.stream.epoch_size // step, 1) * self.accumulate
        return len(self.plan(Share(0, world_size))(0))

    def plan(self, share: Share) -> Callable[[int], list[list[int]]]:
        """Return the training plan of a rank: epoch → its micro-batches."""
        layout = self._layout(share.world_size)
        return lambda epoch: self._planner.batches(layout, share.rank, epoch, self._stop)

    @cached_property
    def _planner(self) -> Planner:
        return Planner(self.row_lengths, self.seed, self.strata, self.shares)

    def _layout(self, world_size: int) -> Layout:
        return Layout(self.batch_size, self.accumulate, world_size, self.tokens_per_batch)

    @cached_property
    def rows(self) -> list[list[int]]:
        """Which training features share a row, where they are packed."""
        assert self.pack is not None
        return best_fit(self.splits["train"].lengths, self.pack)

    @cached_property
    def row_lengths(self) -> Sequence[int]:
        """Tokens of each training row."""
        lengths = self.splits["train"].lengths
        return lengths if self.pack is None else [sum(lengths[i] for i in row) for row in self.rows]

    @cached_property
    def row_tokens(self) -> Sequence[int]:
        """Input tokens of each training row; those that a row is computed with may be more, or fewer distinct ones."""
        totals = self.splits["train"].features.columns["input_ids"].totals()
        return totals if self.pack is None else [sum(totals[i] for i in row) for row in self.rows]

    def samples(self, count: int) -> list[dict[str, Tensor]]:
        """Return so many batches of training features, the same in every process; an epoch is not touched by it.

        Raises:
            ConfigError: The training rows are a stream.
        """
        if self.stream is not None:
            raise ConfigError(
                "data=streaming: this method looks at training rows before training begins, and a stream has none yet",
                "type peft=lora, or read the rows with data=files",
            )
        features = self.splits["train"].features
        layout = Layout(self.batch_size, self.accumulate, 1)
        planner = Planner(self.splits["train"].lengths, self.seed, self.strata, self.shares)
        plan = planner.batches(layout, 0, 0)[:count]
        return [self.collate([features[i] for i in batch]) for batch in plan]

    def train_dataloader(self) -> PlannedLoader | StreamLoader:
        """Return this rank's shuffled, length-bucketed batches."""
        self._training = self._planned() if self.stream is None else self._streamed(self.stream)
        if self._place:
            self._training.load_state_dict(self._place)
        return self._training

    def _streamed(self, stream: Stream) -> StreamLoader:
        share = _share()
        batches = self.micro_batches(share.world_size)
        parts = max(self.num_workers, 1)
        return StreamLoader(
            StreamedBatches(stream, self.collate, self.batch_size, share, self.seed, parts),
            batches,
            self.num_workers,
            limit=self._limited(batches),
        )

    def _planned(self) -> PlannedLoader:
        features = self.splits["train"].features
        unread = [column for column in (*self.eval_only, "example") if column in features.column_names]
        dataset: Any = features.remove_columns(unread)
        if self.pack is not None:
            dataset = Packed(dataset, self.rows, [c for c in dataset.column_names if c in self.collate.pads])
        plan = self.plan(_share())
        return PlannedLoader(
            dataset,
            plan,
            self.collate,
            self.num_workers,
            limit=self._limited(len(plan(0))),
        )

    def _limited(self, batches: int) -> int:
        return self.limit if isinstance(self.limit, int) else int(batches * self.limit)

    def last_examples(self, count: int) -> list[Row]:
        """Return the examples of the micro-batches of this rank that were handed out last; none of a stream."""
        if not isinstance(self._training, PlannedLoader):
            return []
        end = self._training.position
        rows = [row for batch in self._training.plan(self._training.epoch)[max(end - count, 0) : end] for row in batch]
        features = rows if self.pack is None else [feature for row in rows for feature in self.rows[row]]
        split = self.splits["train"]
        return [split.examples[number] for number in dict.fromkeys(split.features["example"][i] for i in features)]

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the training data."""
        if not isinstance(self._training, PlannedLoader):
            return {**self._training.state_dict(), "world_size": _share().world_size} if self._training else {}
        place = self._training.state_dict()
        layout = self._layout(_share().world_size)
        same_epoch = self._stop is not None and self._stop.epoch == place["epoch"]
        return Stop(**place, layout=layout, before=self._stop if same_epoch else None).state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the place for the training loader.

        Lightning restores loaders too, but not one that was made before it restores its loops, as happens when the
        schedule asks for the number of steps.

        Raises:
            CheckpointError: The rows are a stream, and there were more processes, or fewer.
        """
        self._place = self.resumed(state_dict, _share().world_size)
        if self._training:
            self._training.load_state_dict(self._place)

    def remaining(self, state: Mapping[str, Any], world_size: int) -> int | None:
        """Return how many micro-batches an epoch that was broken off still has; None where its steps are as before.

        Args:
            state: What `state_dict` returned.
            world_size: Ranks that see different data.
        """
        stop = Stop.of(state) if self.stream is None and state else None
        layout = self._layout(world_size)
        if stop is None or layout.takes_steps_of(stop.layout):
            return None
        return self.micro_batches(world_size) - (self._planner.place(layout, stop) if stop.position else 0)

    def resumed(self, state: Mapping[str, Any], world_size: int) -> dict[str, Any]:
        """Take over where an epoch was broken off, and return the place in it of this number of ranks.

        Args:
            state: What `state_dict` returned, perhaps with other ranks or batches.
            world_size: Ranks that see different data.
        """
        if self.stream is not None:
            _same_ranks(state, world_size)
            return dict(state)
        if not state:  # of a run that never began
            return {}
        stop = Stop.of(state)
        if stop.position:
            self._stop = stop if self._layout(world_size) != stop.layout else stop.before
        return {"epoch": stop.epoch, "position": self._planner.place(self._layout(world_size), stop)}

    def evaluation_dataloader(self, split: str, everywhere: bool = False) -> DataLoader[Any]:
        """Return this rank's batches of a split, longest first, each feature once; or each rank's all of them."""
        encoded = self.splits[split]
        share = Share() if everywhere else _share()
        batches = self._evaluated(encoded, share)
        self._own[split] = len(batches)
        if self.equal_batches:
            most = max(len(self._evaluated(encoded, Share(rank, share.world_size))) for rank in range(share.world_size))
            batches += [batches[-1] if batches else [0]] * (most - len(batches))
        return DataLoader(
            encoded.features,
            batch_sampler=batches,
            collate_fn=self.collate,
            generator=torch.Generator(),
            # Started once, and not for each evaluation.
            persistent_workers=self.num_workers > 0,
            **worker_options(self.num_workers, fresh=self.stream is not None),
        )

    def _evaluated(self, encoded: EncodedSplit, share: Share) -> list[list[int]]:
        return evaluation_batches(
            encoded.lengths, batch_size=self.eval_batch_size, tokens=self.tokens_per_batch, share=share
        )

    def counts(self, split: str, number: int) -> bool:
        """Return whether an evaluation batch of this rank counts: not where it is one that was repeated.

        Args:
            split: The split that is evaluated.
            number: Of the batch, from 0.
        """
        return number < self._own.get(split, number + 1)

    def val_dataloader(self) -> DataLoader[Any]:
        """Return the batches of the validation split."""
        return self.evaluation_dataloader("val")

    def test_dataloader(self) -> DataLoader[Any]:
        """Return the batches of the split that is tested."""
        return self.evaluation_dataloader(self.tested)


def _same_ranks(state: Mapping[str, Any], world_size: int) -> None:
    there = state.get("world_size", world_size)
    if state and there != world_size:
        raise CheckpointError(
            f"the stream was read by {there} processes when the checkpoint was written, and now by {world_size}",
            f"use {there} processes, as then",
        )


def _share() -> Share:
    return Share(*ranks.data_rank())
