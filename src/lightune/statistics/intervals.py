"""Means of a few runs, and how far they may lie from the mean of all runs that there could be."""

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean, stdev

import numpy as np

_HALVINGS = 60  # of an angle: to the last digit of a float


@dataclass(frozen=True)
class Interval:
    """An estimate and the bounds between which the truth lies with some confidence.

    Args:
        value: The estimate.
        low: Lower bound.
        high: Upper bound.
    """

    value: float
    low: float
    high: float

    @property
    def margin(self) -> float:
        """Half its width."""
        return (self.high - self.low) / 2


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the mean and Student's interval around it: mean ± t · s / √n (Student 1908).

    Args:
        values: Independent draws, such as a metric of runs that differ in their seed; they are taken as normal.
        confidence: The share of such intervals that hold the true mean.

    Returns:
        Bounds that are NaN where there is one value, which does not tell how far others would lie.
    """
    mean = fmean(values)
    if len(values) < 2:
        return Interval(mean, math.nan, math.nan)
    margin = t_quantile((1 + confidence) / 2, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - margin, mean + margin)


def independent(values: Iterable[tuple[Hashable, float]]) -> list[float]:
    """Return the values whose spread counts: the mean of each group, or those of the only one there is.

    Args:
        values: The group of each value, and the value. A group is a seed; its folds share most of their rows.
    """
    groups: dict[Hashable, list[float]] = {}
    for group, value in values:
        groups.setdefault(group, []).append(value)
    return next(iter(groups.values())) if len(groups) == 1 else [fmean(each) for each in groups.values()]


@cache
def t_quantile(probability: float, freedom: int) -> float:
    """Return the value that a Student-t variable stays below with this probability.

    Args:
        probability: Above 0 and below 1.
        freedom: Degrees of freedom, 1 or more.
    """
    if probability < 0.5:
        return -t_quantile(1 - probability, freedom)
    low, high = 0.0, math.pi / 2  # of the angle whose tangent is t / √freedom
    for _ in range(_HALVINGS):
        angle = (low + high) / 2
        low, high = (angle, high) if _within(angle, freedom) < 2 * probability - 1 else (low, angle)
    return math.sqrt(freedom) * math.tan(low)


def _within(angle: float, freedom: int) -> float:
    """Return the probability of |t| ≤ √freedom · tan(angle): Abramowitz and Stegun 1964, 26.7.3 and 26.7.4."""
    odd = freedom % 2
    places = np.arange(1, freedom // 2)
    factors = (2 * places - 1 + odd) / (2 * places + odd) * math.cos(angle) ** 2
    series = 1 + float(np.cumprod(factors).sum())
    if not odd:
        return math.sin(angle) * series
    rest = math.sin(angle) * math.cos(angle) * series if freedom > 1 else 0.0
    return 2 / math.pi * (angle + rest)
