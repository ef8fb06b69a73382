"""Student's interval, beside SciPy and on draws whose mean is known."""

import math

import numpy as np
import pytest
from scipy import stats

from lightune.statistics.intervals import mean_interval, t_quantile


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 9, 30, 101, 1000])
@pytest.mark.parametrize("probability", [0.025, 0.5, 0.75, 0.95, 0.975, 0.9995])
def test_quantiles_are_scipys(probability: float, freedom: int) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(stats.t.ppf(probability, freedom), rel=1e-9, abs=1e-12)


def test_interval_by_hand() -> None:
    found = mean_interval([1.0, 2.0, 3.0])  # s = 1, t(0.975, 2) = 4.302653
    assert found.value == 2
    assert found.margin == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert (found.low + found.high) / 2 == pytest.approx(2)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_interval_is_scipys(confidence: float) -> None:
    values = [0.81, 0.79, 0.85, 0.8]
    found = mean_interval(values, confidence)
    expected = stats.t.interval(confidence, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-9)


def test_one_value_has_no_interval() -> None:
    found = mean_interval([0.5])
    assert found.value == 0.5
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_equal_values_have_an_empty_interval() -> None:
    assert mean_interval([0.5, 0.5]).margin == 0


@pytest.mark.parametrize("seeds", [3, 5])
def test_interval_covers_the_true_mean(seeds: int) -> None:
    draws = np.random.default_rng(0).normal(0.8, 0.02, size=(3000, seeds))
    covered = [found.low <= 0.8 <= found.high for found in map(mean_interval, draws.tolist())]
    assert 0.93 < np.mean(covered) < 0.97
