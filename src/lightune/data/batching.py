"""Which examples form which batch: pure functions of lengths, seed and epoch.

All ranks compute the same plan and take their share of it. What an optimiser step sees depends only on the number
of features in a step (batch size × ranks × accumulated micro-batches), not on how that product is made up: the
same run on two ranks, or with half the batch size and twice the accumulation, takes the same steps.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightune.errors import DataError

_CHUNK_STEPS = 50  # features of so many steps are sorted by length together: little padding, still shuffled

Indices = list[int]


@dataclass(frozen=True)
class Share:
    """Which part of a plan a process takes.

    Args:
        rank: Number of this process.
        world_size: Number of processes.
    """

    rank: int = 0
    world_size: int = 1


def training_batches(
    lengths: Sequence[int],
    *,
    batch_size: int,
    accumulate: int,
    share: Share,
    seed: int,
    epoch: int,
    strata: Sequence[int] | None = None,
    shares: Sequence[float] | None = None,
) -> list[Indices]:
    """Return this rank's micro-batches of one epoch, in order; every feature occurs in exactly one rank's plan.

    With strata an epoch has as many features as without, drawn as `balanced` says: some several times, others not.

    Shuffled features are cut into chunks, each chunk is sorted by length and cut into steps, and the steps are
    shuffled, but for the longest, which comes first: what does not fit into memory fails at once. Within a step,
    neighbours in length form a micro-batch; ranks take turns in it, so that their shares are equally long. The last,
    smaller step comes last.

    Args:
        lengths: Tokens of each feature.
        batch_size: Features of a micro-batch on one rank.
        accumulate: Micro-batches of a step.
        share: This process among the ranks.
        seed: Of the data order.
        epoch: Counted from 0.
        strata: What each feature counts as, such as the number of its label; None takes every feature once.
        shares: Of the features of an epoch, for each stratum; None: equal ones.

    Returns:
        Lists of positions. All ranks get the same number of lists, none of them empty.

    Raises:
        DataError: There are fewer features than ranks.
    """
    sizes = _enough(lengths, share)
    generator = np.random.default_rng([seed, epoch])
    step_size = batch_size * accumulate * share.world_size
    order = generator.permutation(len(sizes)) if strata is None else balanced(strata, generator, shares)
    whole = len(order) // step_size * step_size
    steps = _sorted_steps(order[:whole], sizes, step_size, generator)
    rest = order[whole:]
    if len(rest) >= share.world_size:
        steps.append(_by_length(rest, sizes))
    elif len(rest):
        # Too few for every rank to get one: they join the step before.
        steps[-1] = _by_length(np.concatenate([steps[-1], rest]), sizes)
    return [micro for step in steps for micro in _micro_batches(step, batch_size, accumulate, share)]


def balanced(
    strata: Sequence[int], generator: np.random.Generator, shares: Sequence[float] | None = None
) -> np.ndarray:
    """Draw as many features as there are, in random order, of each stratum its share but for a rest of one.

    A stratum with fewer features than it is drawn is gone through again and again, every time in another order; of one
    with more each epoch sees another part.

    Args:
        strata: What each feature counts as.
        generator: Source of the draws.
        shares: Of each stratum, in the order of their numbers, in any unit; None: equal ones.

    Returns:
        Positions, ``(features,)``.
    """
    names, codes = np.unique(np.asarray(strata), return_inverse=True)
    parts = np.ones(len(names)) if shares is None else np.asarray(shares, dtype=float)
    fewest = np.floor(len(codes) * parts / parts.sum()).astype(int)
    counts = fewest + (generator.permutation(len(names)) < len(codes) - fewest.sum())
    drawn = [_repeated(np.flatnonzero(codes == code), count, generator) for code, count in enumerate(counts)]
    return generator.permutation(np.concatenate(drawn))


def _repeated(positions: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    rounds = [generator.permutation(positions) for _ in range(math.ceil(count / len(positions)))]
    return np.concatenate([positions[:0], *rounds])[:count]


def _enough(lengths: Sequence[int], share: Share) -> np.ndarray:
    if len(lengths) < share.world_size:
        raise DataError(
            f"train has {len(lengths)} features, fewer than there are processes ({share.world_size})",
            "give more examples, or type trainer.devices=1",
        )
    return np.asarray(lengths)


def _by_length(positions: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    return positions[np.argsort(-sizes[positions], kind="stable")]


def _sorted_steps(
    order: np.ndarray, sizes: np.ndarray, step_size: int, generator: np.random.Generator
) -> list[np.ndarray]:
    chunk = step_size * _CHUNK_STEPS
    chunks = [_by_length(order[start : start + chunk], sizes) for start in range(0, len(order), chunk)]
    steps = [part for ordered in chunks for part in np.split(ordered, len(ordered) // step_size)]
    return _longest_first(steps, sizes, generator)


def _longest_first(
    sorted_steps: list[np.ndarray], sizes: np.ndarray, generator: np.random.Generator
) -> list[np.ndarray]:
    """Shuffle steps, of which each begins with its longest feature, and put the longest before the others."""
    shuffled = [sorted_steps[i] for i in generator.permutation(len(sorted_steps))]
    longest = max(range(len(shuffled)), key=lambda i: sizes[shuffled[i][0]], default=0)
    return shuffled[longest : longest + 1] + shuffled[:longest] + shuffled[longest + 1 :]


def _micro_batches(step: np.ndarray, batch_size: int, accumulate: int, share: Share) -> list[Indices]:
    count = min(accumulate, math.ceil(len(step) / (batch_size * share.world_size)), len(step) // share.world_size)
    return [part[share.rank :: share.world_size].tolist() for part in np.array_split(step, count)]


def budgeted_batches(lengths: Sequence[int], *, tokens: int, share: Share, seed: int, epoch: int) -> list[Indices]:
    """Return this rank's micro-batches of one epoch under a budget of padded tokens.

    Features are sorted by length, ties at random, and filled greedily: number of features × longest length ≤ budget.
    The lengths of the batches are thus the same in every epoch, and so is their number; the members and the
    order change, but the longest comes first.

    Args:
        lengths: Tokens of each feature.
        tokens: Padded tokens of a micro-batch on one rank; a longer feature forms a batch alone.
        share: This process among the ranks.
        seed: Of the data order.
        epoch: Counted from 0.

    Returns:
        Lists of positions, equally many for all ranks; every feature occurs in exactly one rank's plan.

    Raises:
        DataError: There are fewer features than ranks.
    """
    sizes = _enough(lengths, share)
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(sizes))
    batches = _filled(_by_length(order, sizes), sizes, tokens)
    batches = _multiple_of(batches, share.world_size)
    rounds = [batches[i : i + share.world_size] for i in range(0, len(batches), share.world_size)]
    # Sorted by length: the longest is the first, and stays there.
    others = 1 + generator.permutation(len(rounds) - 1)
    return [rounds[i][share.rank].tolist() for i in (0, *others)]


def _filled(order: np.ndarray, sizes: np.ndarray, tokens: int) -> list[np.ndarray]:
    batches, start = [], 0
    while start < len(order):
        longest = max(int(sizes[order[start]]), 1)  # sorted: the first is the longest
        stop = start + max(tokens // longest, 1)
        batches.append(order[start:stop])
        start = stop
    return batches


def _multiple_of(batches: list[np.ndarray], world_size: int) -> list[np.ndarray]:
    """Halve the largest batches until every rank gets as many; neighbours stay neighbours in length."""
    batches = list(batches)
    while len(batches) % world_size:
        largest = max(range(len(batches)), key=lambda i: len(batches[i]))
        batches[largest : largest + 1] = np.array_split(batches[largest], 2)
    return batches


def evaluation_batches(lengths: Sequence[int], *, batch_size: int, tokens: int | None, share: Share) -> list[Indices]:
    """Return this rank's batches of an evaluation: longest first, every feature once among all ranks.

    Ranks may get different numbers of batches; nothing is repeated to make them equal.

    Args:
        lengths: Tokens of each feature.
        batch_size: Features of a batch.
        tokens: Padded tokens of a batch, instead of `batch_size`.
        share: This process among the ranks.
    """
    sizes = np.asarray(lengths)
    mine = _by_length(np.arange(len(sizes)), sizes)[share.rank :: share.world_size]
    if tokens is not None:
        return [batch.tolist() for batch in _filled(mine, sizes, tokens)]
    return [mine[i : i + batch_size].tolist() for i in range(0, len(mine), batch_size)]
