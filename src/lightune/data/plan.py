"""The plan of an epoch's batches, also where it was begun with another number of processes or other batches.

Nothing is lost or repeated in such an epoch: what was not trained on yet is planned anew. Where a step takes as many
features as before (twice the processes, half the batch size), its steps are the very same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lightune.data.batching import Indices, Share, budgeted_batches, training_batches


@dataclass(frozen=True)
class Layout:
    """How a step is made up.

    Args:
        batch_size: Features of a micro-batch on one rank.
        accumulate: Micro-batches of a step.
        world_size: Ranks that see different data.
        tokens: Padded tokens of a micro-batch on one rank, instead of `batch_size`.
    """

    batch_size: int
    accumulate: int
    world_size: int
    tokens: int | None = None

    def takes_steps_of(self, other: "Layout") -> bool:
        """Return whether steps take the same features, whatever their parts."""
        sizes = [layout.batch_size * layout.accumulate * layout.world_size for layout in (self, other)]
        return self == other or (self.tokens is None and other.tokens is None and sizes[0] == sizes[1])


@dataclass(frozen=True)
class Stop:
    """Where an epoch was broken off.

    Args:
        epoch: Counted from 0.
        position: Micro-batches that each rank had been given.
        layout: As it was.
        before: Where the same epoch had been broken off before, under another layout.
    """

    epoch: int
    position: int
    layout: Layout
    before: "Stop | None" = None

    def state(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> "Stop":
        """Return what `state` was made of."""
        before = cls.of(state["before"]) if state["before"] else None
        return cls(state["epoch"], state["position"], Layout(**state["layout"]), before)


@dataclass(frozen=True)
class Planner:
    """Plans epochs over features.

    Args:
        lengths: Tokens of each feature.
        seed: Of the data order.
        strata: As `training_batches` takes them.
        shares: As `training_batches` takes them.
    """

    lengths: Sequence[int]
    seed: int
    strata: Sequence[int] | None = None
    shares: Sequence[float] | None = None

    def batches(self, layout: Layout, rank: int, epoch: int, before: Stop | None = None) -> list[Indices]:
        """Return a rank's micro-batches of an epoch, in order.

        Where the epoch was begun under another layout, empty ones stand for what was trained on then, so that the list
        is as long as that of a whole epoch.

        Args:
            layout: As it is now.
            rank: Among those that see different data.
            epoch: Counted from 0.
            before: Where an epoch was broken off.
        """
        whole = self._planned(layout, rank, epoch, range(len(self.lengths)))
        if before is None or before.epoch != epoch or layout.takes_steps_of(before.layout):
            return whole
        rest = self._rest(before)
        if len(rest) < layout.world_size:
            return [[]] * len(whole)  # the few that are left cannot be shared out
        positions = self._planned(layout, rank, epoch, rest)
        return [*[[]] * (len(whole) - len(positions)), *([rest[i] for i in batch] for batch in positions)]

    def place(self, layout: Layout, stop: Stop) -> int:
        """Return at which micro-batch a rank goes on after a stop."""
        if layout == stop.layout:
            return stop.position
        if layout.takes_steps_of(stop.layout):
            return stop.position // stop.layout.accumulate * layout.accumulate
        return sum(not batch for batch in self.batches(layout, 0, stop.epoch, stop))

    def _rest(self, stop: Stop) -> list[int]:
        """Return the features of an epoch that no rank had been given."""
        ranks = range(stop.layout.world_size)
        plans = [self.batches(stop.layout, rank, stop.epoch, stop.before) for rank in ranks]
        return [position for plan in plans for batch in plan[stop.position :] for position in batch]

    def _planned(self, layout: Layout, rank: int, epoch: int, features: Sequence[int]) -> list[Indices]:
        lengths = [self.lengths[i] for i in features]
        share = Share(rank, layout.world_size)
        if layout.tokens is not None:
            return budgeted_batches(lengths, tokens=layout.tokens, share=share, seed=self.seed, epoch=epoch)
        begins = isinstance(features, range)  # what is left of an epoch was drawn when it began
        return training_batches(
            lengths,
            batch_size=layout.batch_size,
            accumulate=layout.accumulate,
            share=share,
            seed=self.seed,
            epoch=epoch,
            strata=self.strata if begins else None,
            shares=self.shares if begins else None,
        )
