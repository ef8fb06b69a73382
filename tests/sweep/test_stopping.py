"""When a study has found enough."""

import pytest

from lightune.sweep.stopping import enough


@pytest.mark.parametrize(
    ("values", "maximize", "target", "stops"),
    [
        ([], True, 0.5, False),
        ([None, None], True, 0.0, False),
        ([0.4, None], True, 0.5, False),
        ([0.4, 0.5], True, 0.5, True),
        ([0.4, 0.5], False, 0.3, False),
        ([0.4, 0.3, 0.9], False, 0.3, True),
        ([-2.0], False, -1.0, True),
        ([0.9], True, None, False),
    ],
)
def test_a_target_is_reached(values: list[float | None], maximize: bool, target: float | None, stops: bool) -> None:
    assert (enough(values, maximize, target=target) is not None) == stops


@pytest.mark.parametrize(
    ("values", "maximize", "patience", "stops"),
    [
        ([0.5, 0.4], True, 2, False),
        ([0.5, 0.4, 0.5], True, 2, True),  # as good is not better
        ([0.5, 0.4, 0.6], True, 2, False),
        ([0.5, 0.4, 0.6], False, 2, False),
        ([0.5, 0.6, 0.6], False, 2, True),
        ([0.5, None, None], True, 2, True),  # given up: no better
        ([None, None, None], True, 2, False),  # nothing yet that could be bettered
        ([0.5, 0.4, 0.5], True, None, False),
    ],
)
def test_patience_ends(values: list[float | None], maximize: bool, patience: int | None, stops: bool) -> None:
    assert (enough(values, maximize, patience=patience) is not None) == stops


def test_it_says_why() -> None:
    assert enough([0.25, 0.75], True, target=0.7) == "0.75 reaches the target, 0.7"
    assert enough([0.75, 0.25, 0.5], True, patience=2) == "the last 2 trials brought nothing better than 0.75"
