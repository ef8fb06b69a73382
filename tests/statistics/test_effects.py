"""Sizes of effects, and p-values of many comparisons."""

import math

import pytest

from lightune.statistics.effects import cohens_d, cohens_h
from lightune.statistics.multiple import holm


def test_cohens_d_by_hand() -> None:
    assert cohens_d([1, 2, 3]) == pytest.approx(2)  # mean 2, standard deviation 1
    assert cohens_d([-1, 1]) == 0
    assert cohens_d([0, 0]) == 0
    assert cohens_d([-1, -1]) == -math.inf
    assert cohens_d([2]) == math.inf


def test_cohens_h_by_hand() -> None:
    assert cohens_h(1, 0) == pytest.approx(math.pi)
    assert cohens_h(0.5, 0.25) == pytest.approx(math.pi / 2 - math.pi / 3)
    assert cohens_h(0.3, 0.3) == 0


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.04 are multiplied by 4, 3, 2, 1, and none may be below the one before it.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([0.03]) == [0.03]
    assert holm([]) == []
