"""An epoch that goes on with other ranks or batches: nothing is lost, nothing comes twice."""

import json

import pytest

from lightune.data.plan import Layout, Planner, Stop

LENGTHS = [5 + 7 * i % 40 for i in range(203)]
LAYOUTS = {
    "two": Layout(4, 1, 2),
    "one": Layout(8, 1, 1),
    "halves": Layout(2, 2, 2),
    "three": Layout(4, 1, 3),
    "large": Layout(16, 2, 1),
    "tokens": Layout(8, 1, 2, tokens=200),
}
PLANNERS = {"plain": Planner(LENGTHS, seed=3), "balanced": Planner(LENGTHS, seed=3, strata=[i % 5 for i in range(203)])}


def _given(planner: Planner, layout: Layout, epoch: int, before: Stop | None, until: int | None) -> list[int]:
    """Return what all ranks together are given from where they begin."""
    begin = planner.place(layout, before) if before else 0
    plans = [planner.batches(layout, rank, epoch, before)[begin:until] for rank in range(layout.world_size)]
    assert len({len(plan) for plan in plans}) == 1
    return [feature for plan in plans for batch in plan for feature in batch]


@pytest.mark.parametrize("kind", PLANNERS)
@pytest.mark.parametrize("one", LAYOUTS)
@pytest.mark.parametrize("other", LAYOUTS)
def test_an_epoch_is_whole_in_two_parts(kind: str, one: str, other: str) -> None:
    planner, first, second = PLANNERS[kind], LAYOUTS[one], LAYOUTS[other]
    if kind == "balanced" and "tokens" in (one, other):
        return  # refused: which features are drawn goes with a fixed size
    stop = Stop(2, 4, first)
    begun = _given(planner, first, 2, None, until=4)
    went_on = _given(planner, second, 2, stop, until=None)
    whole = _given(planner, first, 2, None, until=None)
    assert sorted(begun + went_on) == sorted(whole)
    if kind == "plain":
        assert sorted(whole) == list(range(203))


def test_three_parts_are_a_whole_too() -> None:
    planner = PLANNERS["plain"]
    first = Stop(0, 3, LAYOUTS["two"])
    begin = planner.place(LAYOUTS["three"], first)
    second = Stop(0, begin + 5, LAYOUTS["three"], first)
    second = Stop.of(json.loads(json.dumps(second.state())))
    parts = [
        _given(planner, LAYOUTS["two"], 0, None, until=3),
        _given(planner, LAYOUTS["three"], 0, first, until=begin + 5),
        _given(planner, LAYOUTS["large"], 0, second, until=None),
    ]
    assert all(parts)
    assert sorted(feature for part in parts for feature in part) == list(range(203))


@pytest.mark.parametrize(("one", "other"), [("two", "one"), ("one", "halves"), ("halves", "two")])
def test_steps_of_the_same_size_are_the_same_steps(one: str, other: str) -> None:
    planner, first, second = PLANNERS["plain"], LAYOUTS[one], LAYOUTS[other]
    stop = Stop(1, 6 * first.accumulate, first)
    begin = planner.place(second, stop)
    assert begin == 6 * second.accumulate

    def step(layout: Layout, number: int, before: Stop | None) -> set[int]:
        micros = slice(number * layout.accumulate, (number + 1) * layout.accumulate)
        ranks = range(layout.world_size)
        return {f for rank in ranks for batch in planner.batches(layout, rank, 1, before)[micros] for f in batch}

    assert [step(first, n, None) for n in range(6, 20)] == [step(second, n, stop) for n in range(6, 20)]


def test_later_epochs_are_as_ever() -> None:
    planner, layout = PLANNERS["plain"], LAYOUTS["three"]
    assert planner.batches(layout, 1, 3, Stop(2, 4, LAYOUTS["two"])) == planner.batches(layout, 1, 3)


def test_an_epoch_has_as_many_batches_as_any() -> None:
    planner, layout = PLANNERS["plain"], LAYOUTS["three"]
    assert len(planner.batches(layout, 0, 2, Stop(2, 4, LAYOUTS["two"]))) == len(planner.batches(layout, 0, 2))
