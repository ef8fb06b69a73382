"""Every feature once, equal work for all ranks, the same steps however a step is made up, and little padding."""

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise, product

import numpy as np
import pytest

from lightune.data.batching import Indices, Share, budgeted_batches, evaluation_batches, training_batches
from lightune.errors import DataError

Plan = list[Indices]

# Features and ranks; with the makes of a step below, every kind of left-over step is among them.
SIZES = [size for size in product((1, 2, 3, 4, 5, 7, 16, 17, 97, 401), (1, 2, 3)) if size[0] >= size[1]]
MAKES = list(product((1, 2, 8), (1, 2, 3)))  # batch size, accumulated micro-batches


def _lengths(count: int) -> list[int]:
    """Return lengths as real text has them: many short, a few long."""
    return np.random.default_rng(count).lognormal(3.5, 0.8, count).astype(int).clip(3, 384).tolist()


def _ranks(
    lengths: list[int], batch_size: int, accumulate: int, world: int, seed: int = 0, epoch: int = 0
) -> list[Plan]:
    return [
        training_batches(
            lengths, batch_size=batch_size, accumulate=accumulate, share=Share(rank, world), seed=seed, epoch=epoch
        )
        for rank in range(world)
    ]


def _budgeted(lengths: list[int], tokens: int, world: int, epoch: int = 0) -> list[Plan]:
    shares = [Share(rank, world) for rank in range(world)]
    return [budgeted_batches(lengths, tokens=tokens, share=share, seed=0, epoch=epoch) for share in shares]


def _all(ranks: list[Plan]) -> list[int]:
    return sorted(position for plan in ranks for batch in plan for position in batch)


def _steps(ranks: list[Plan], accumulate: int) -> list[set[int]]:
    """Return what Lightning makes a step of: so many micro-batches of all ranks, fewer at the end of an epoch."""
    starts = range(0, len(ranks[0]), accumulate)
    return [{p for plan in ranks for batch in plan[start : start + accumulate] for p in batch} for start in starts]


def _padded(batch: Indices, lengths: list[int]) -> int:
    return len(batch) * max(lengths[position] for position in batch)


@pytest.mark.parametrize(("count", "world"), SIZES)
def test_every_feature_is_trained_on_once_and_every_rank_has_as_many_batches(count: int, world: int) -> None:
    for batch_size, accumulate in MAKES:
        numbers = set()
        for epoch in range(3):
            ranks = _ranks(_lengths(count), batch_size, accumulate, world, epoch=epoch)
            assert _all(ranks) == list(range(count))
            assert all(batch for plan in ranks for batch in plan)
            # Fewer than one for every rank are spread over the last step, one more a batch.
            assert max(len(batch) for plan in ranks for batch in plan) <= batch_size + (count % world > 0)
            numbers |= {len(plan) for plan in ranks}
        assert len(numbers) == 1


@pytest.mark.parametrize(("count", "world"), SIZES)
def test_all_steps_but_the_last_are_whole(count: int, world: int) -> None:
    for batch_size, accumulate in MAKES:
        sizes = [len(step) for step in _steps(_ranks(_lengths(count), batch_size, accumulate, world), accumulate)]
        whole = batch_size * accumulate * world
        assert sizes[:-1] == [whole] * (len(sizes) - 1)
        assert 0 < sizes[-1] < whole + world


@pytest.mark.parametrize("count", [112, 117, 3 * 16 + 2, 15])
def test_a_step_holds_the_same_features_however_it_is_made_up(count: int) -> None:
    makes = [(16, 1, 1), (8, 2, 1), (8, 1, 2), (4, 2, 2), (2, 4, 2)]
    for epoch in range(2):
        steps = [_steps(_ranks(_lengths(count), *make, epoch=epoch), make[1]) for make in makes]
        assert len(steps[0]) == -(-count // 16)
        assert all(other == steps[0] for other in steps[1:])


def test_seed_and_epoch_alone_decide() -> None:
    lengths = _lengths(300)
    plans = {(seed, epoch): _ranks(lengths, 8, 1, 1, seed, epoch) for seed in (0, 1) for epoch in (0, 1)}
    np.random.seed(7)  # noqa: NPY002  the global state must not matter
    for (seed, epoch), plan in plans.items():
        assert _ranks(lengths, 8, 1, 1, seed, epoch) == plan
    assert all(one == other for one, other in product(plans, plans) if plans[one] == plans[other])


@pytest.mark.parametrize("epoch", [0, 1])
def test_the_longest_batch_comes_first(epoch: int) -> None:
    lengths = _lengths(401)
    for plan in (*_ranks(lengths, 8, 2, 1, epoch=epoch), *_budgeted(lengths, 600, 1, epoch=epoch)):
        longest = [max(lengths[position] for position in batch) for batch in plan]
        assert longest[0] == max(lengths)
        assert longest != sorted(longest, reverse=True)  # the others are shuffled


def test_batches_are_shuffled_although_their_members_are_alike() -> None:
    lengths = _lengths(4000)
    (plan,) = _ranks(lengths, 8, 1, 1)
    means = [np.mean([lengths[p] for p in batch]) for batch in plan]
    shorter = np.mean([after < before for before, after in pairwise(means)])
    assert 0.4 < shorter < 0.6  # after a batch of sorted ones comes a shorter one nearly always
    together = {frozenset(batch) for batch in plan}
    assert not together & {frozenset(batch) for batch in _ranks(lengths, 8, 1, 1, epoch=1)[0]}


@pytest.mark.parametrize(("batch_size", "accumulate", "world"), [(8, 1, 1), (16, 2, 1), (16, 1, 2)])
def test_padding_is_a_fraction_of_what_random_batches_have(batch_size: int, accumulate: int, world: int) -> None:
    lengths = _lengths(4000)
    order = np.random.default_rng(0).permutation(4000)
    unsorted = [order[i : i + batch_size].tolist() for i in range(0, 4000, batch_size)]
    ours = [batch for plan in _ranks(lengths, batch_size, accumulate, world) for batch in plan]
    tokens = sum(lengths)
    wasted = [sum(_padded(batch, lengths) for batch in batches) - tokens for batches in (ours, unsorted)]
    assert wasted[0] < wasted[1] / 6


def test_ranks_get_batches_of_like_length_at_the_same_time() -> None:
    lengths = _lengths(4000)
    ranks = _ranks(lengths, 8, 2, 2)
    longest = [[max(lengths[p] for p in batch) for batch in plan] for plan in ranks]
    # A step waits for its slowest rank: the wait is the difference, and it is to be small beside the work.
    waited = sum(abs(one - other) for one, other in zip(*longest, strict=True))
    assert waited < 0.05 * sum(longest[0])


@pytest.mark.parametrize("world", [1, 2, 3, 4])
@pytest.mark.parametrize("tokens", [64, 500, 4096, 10**6])
def test_a_budget_of_tokens_is_kept_and_every_feature_is_seen(tokens: int, world: int) -> None:
    lengths = _lengths(397)
    shapes = []
    for epoch in range(3):
        ranks = _budgeted(lengths, tokens, world, epoch)
        assert _all(ranks) == list(range(397))
        assert len({len(plan) for plan in ranks}) == 1
        batches = [batch for plan in ranks for batch in plan]
        assert all(batches)
        assert all(_padded(batch, lengths) <= tokens or len(batch) == 1 for batch in batches)
        shapes.append(sorted((len(batch), max(lengths[p] for p in batch)) for batch in batches))
    assert shapes[0] == shapes[1] == shapes[2]


def test_a_budget_is_filled_and_its_batches_change_from_epoch_to_epoch() -> None:
    lengths = _lengths(4000)
    first, again, second = (_budgeted(lengths, 4096, 1, epoch)[0] for epoch in (0, 0, 1))
    assert first == again
    assert sorted(map(sorted, first)) != sorted(map(sorted, second))
    assert [len(batch) for batch in first] != [len(batch) for batch in second]  # the order changes too
    assert sum(_padded(batch, lengths) for batch in first) < 1.1 * sum(lengths)
    assert len(first) < 1.3 * sum(lengths) / 4096


def test_a_budget_by_hand() -> None:
    # Sorted: 9 | 4 4 | 3 3 2 …: 9 > 8 stands alone, 2 × 4 = 8, 2 × 3 ≤ 8 and 3 × 3 > 8.
    (plan,) = _budgeted([4, 3, 9, 4, 3, 2], 8, 1)
    assert sorted(sorted(batch) for batch in plan) == [[0, 3], [1, 4], [2], [5]]


@pytest.mark.parametrize("world", [2, 4])
def test_fewer_features_than_ranks_is_refused(world: int) -> None:
    with pytest.raises(DataError, match=rf"1 features.*\({world}\)"):
        _ranks([5], 8, 1, world)
    with pytest.raises(DataError, match=r"trainer\.devices=1"):
        _budgeted([5], 100, world)


def _evaluations(lengths: list[int], world: int) -> Iterator[list[Plan]]:
    shares = [Share(rank, world) for rank in range(world)]
    yield [evaluation_batches(lengths, batch_size=8, tokens=None, share=share) for share in shares]
    yield [evaluation_batches(lengths, batch_size=8, tokens=500, share=share) for share in shares]


@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize("count", [1, 4, 8, 9, 250])
def test_an_evaluation_sees_every_feature_once_longest_first(count: int, world: int) -> None:
    lengths = _lengths(count)
    for ranks in _evaluations(lengths, world):
        assert _all(ranks) == list(range(count))
        assert all(batch for plan in ranks for batch in plan)
        for plan in ranks:
            seen = [lengths[p] for batch in plan for p in batch]
            assert seen == sorted(seen, reverse=True)
        sizes = [sum(len(batch) for batch in plan) for plan in ranks]
        assert max(sizes) - min(sizes) <= 1


def test_evaluation_batches_by_hand() -> None:
    lengths = [3, 9, 5, 7, 5]
    assert evaluation_batches(lengths, batch_size=2, tokens=None, share=Share()) == [[1, 3], [2, 4], [0]]
    assert evaluation_batches(lengths, batch_size=9, tokens=10, share=Share()) == [[1], [3], [2, 4], [0]]
    assert evaluation_batches(lengths, batch_size=2, tokens=None, share=Share(1, 2)) == [[3, 4]]


def _balanced(
    strata: list[int],
    batch_size: int,
    accumulate: int,
    world: int,
    seed: int = 0,
    epoch: int = 0,
    shares: list[float] | None = None,
) -> list[Plan]:
    return [
        training_batches(
            _lengths(len(strata)),
            batch_size=batch_size,
            accumulate=accumulate,
            share=Share(rank, world),
            seed=seed,
            epoch=epoch,
            strata=strata,
            shares=shares,
        )
        for rank in range(world)
    ]


RARE = [0] * 80 + [1] * 15 + [2] * 6  # 101 features


@pytest.mark.parametrize("make", [(8, 1, 1), (4, 2, 1), (4, 1, 2), (3, 2, 3)])
def test_a_balanced_epoch_has_as_many_of_each_stratum(make: tuple[int, int, int]) -> None:
    for epoch in range(3):
        drawn = _all(_balanced(RARE, *make, epoch=epoch))
        assert len(drawn) == len(RARE)
        assert sorted(np.bincount([RARE[position] for position in drawn])) == [33, 34, 34]
        seen = np.bincount(drawn, minlength=len(RARE))
        assert seen[:80].max() == 1  # of the frequent ones a part, each once
        for part in (seen[80:95], seen[95:]):  # of the rare ones all, again and again
            assert part.max() - part.min() <= 1
            assert part.min() >= 2


@pytest.mark.parametrize(
    ("shares", "counts"),
    [([1, 1, 1], (33, 34)), ([2, 1, 1], (25, 51)), ([0.7, 0.2, 0.1], (10, 71)), ([1, 0.01, 99], (0, 101))],
)
def test_an_epoch_has_the_shares_that_were_asked_for(shares: list[float], counts: tuple[int, int]) -> None:
    for epoch in range(3):
        drawn = _all(_balanced(RARE, 8, 1, 1, epoch=epoch, shares=shares))
        found = np.bincount([RARE[position] for position in drawn], minlength=3)
        assert found.sum() == len(RARE)
        exact = np.array(shares) / sum(shares) * len(RARE)
        assert np.abs(found - exact).max() < 1
        assert counts[0] <= found.min() <= found.max() <= counts[1]


def test_balanced_epochs_take_turns_through_a_frequent_stratum() -> None:
    seen = {p for epoch in range(12) for p in _all(_balanced(RARE, 8, 1, 1, epoch=epoch))}
    assert len(seen) > 95
    firsts = [_balanced(RARE, 8, 1, 1, epoch=epoch)[0] for epoch in (0, 0, 1)]
    assert firsts[0] == firsts[1] != firsts[2]
    assert _balanced(RARE, 8, 1, 1, seed=1)[0] != firsts[0]


def test_a_balanced_step_holds_the_same_features_however_it_is_made_up() -> None:
    def steps(batch_size: int, accumulate: int, world: int) -> list[list[int]]:
        ranks = _balanced(RARE, batch_size, accumulate, world)
        starts = range(0, len(ranks[0]), accumulate)
        return [sorted(p for plan in ranks for b in plan[s : s + accumulate] for p in b) for s in starts]

    assert steps(8, 1, 1) == steps(4, 2, 1) == steps(4, 1, 2) == steps(2, 2, 2) == steps(1, 8, 1)


def test_strata_that_are_balanced_already_or_only_one() -> None:
    assert _all(_balanced([0] * 7, 2, 1, 1)) == list(range(7))
    assert _all(_balanced([5, 9] * 10, 4, 1, 2)) == list(range(20))
    few = _all(_balanced([0, 1, 2], 8, 1, 1))  # as many strata as features
    assert few == [0, 1, 2]


def test_planning_and_reading_need_no_torch() -> None:
    code = "import sys, lightune.data.batching, lightune.data.sources; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
