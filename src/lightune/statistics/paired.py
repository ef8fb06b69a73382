"""Two systems on the same examples: is one better, or are these examples merely kinder to it?

All of these are two-sided, and the same for the same seed.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[np.float64]
# Positions of examples, (resamples, examples) → the metric of each resample, (resamples,).
Metric = Callable[[NDArray[np.intp]], Numbers]

RESAMPLES = 2000
_FEW = 25  # discordant pairs, below which the χ² approximation of McNemar's test is poor
_AT_ONCE = 2**20  # numbers that are drawn together


@dataclass(frozen=True)
class Comparison:
    """How much better one system is than another.

    Args:
        difference: Of their metrics.
        low: Lower bound of its 95 % interval.
        high: Upper bound.
        p: Probability of a difference at least as large, in either direction, if there were none.
    """

    difference: float
    low: float
    high: float
    p: float


def bootstrap(metric: Metric, examples: int, resamples: int = RESAMPLES, seed: int = 0) -> Numbers:
    """Return a metric of examples drawn with replacement, again and again (Efron 1979), ``(resamples,)``.

    The same seed and number of examples draw the same resamples, whatever is measured on them: differences of such
    values are those of paired systems.

    Args:
        metric: Is given positions of examples, ``(some, examples)``, and returns its value of each row, ``(some,)``; or
            several values of each.
        examples: How many there are.
        resamples: How often they are drawn.
        seed: Of the draws.
    """
    random = np.random.default_rng(seed)
    parts = [metric(random.integers(examples, size=(rows, examples))) for rows in _parts(resamples, examples)]
    return np.concatenate(parts)


def _parts(rows: int, width: int) -> Iterator[int]:
    """Yield numbers of rows, together `rows`, whose numbers fit into memory."""
    most = max(_AT_ONCE // max(width, 1), 1)
    yield from (min(most, rows - start) for start in range(0, rows, most))


def percentiles(draws: Numbers, confidence: float = 0.95) -> tuple[float, float]:
    """Return the bounds of the percentile interval (Efron and Tibshirani 1993, chapter 13)."""
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def compared(difference: float, draws: Numbers) -> Comparison:
    """Return what resampled differences tell of the one that was found; see `paired_bootstrap`."""
    beyond = np.abs(draws - difference) >= abs(difference) * (1 - 1e-12)
    return Comparison(difference, *percentiles(draws), float((1 + beyond.sum()) / (1 + len(draws))))


def paired_bootstrap(
    ours: Metric, theirs: Metric, examples: int, resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """Compare two systems by any metric of a set of examples, such as macro F1 or BLEU (Koehn 2004).

    The interval is that of percentiles. For the p-value the resampled differences are moved to where they would lie if
    the systems were equal, as sacreBLEU does (Riezler and Maxwell 2005): the share of them that is at least as far from
    0 as the difference that was found, (1 + count) / (1 + resamples).

    Args:
        ours: The metric of one system; see `bootstrap`.
        theirs: That of the other.
        examples: How many there are.
        resamples: How often they are drawn.
        seed: Of the draws.
    """
    everything = np.arange(examples)[None]
    found = float((ours(everything) - theirs(everything))[0])
    return compared(found, bootstrap(lambda drawn: ours(drawn) - theirs(drawn), examples, resamples, seed))


def randomisation_test(differences: ArrayLike, resamples: int = 9999, seed: int = 0) -> float:
    """Return the p-value of a mean of paired differences: which sign each has is chance if the systems are equal.

    Approximate randomisation (Noreen 1989; Yeh 2000), with (1 + count) / (1 + resamples); where there are no more than
    `resamples` ways to give signs, all of them (Fisher 1935). Examples without a difference change nothing.

    Args:
        differences: Score of one system minus that of the other, for each example, ``(examples,)``.
        resamples: How often signs are drawn.
        seed: Of the draws.
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values[values != 0]
    if not len(values):
        return 1.0
    found = abs(values.sum()) - 1e-9 * np.abs(values).sum()  # sums of the same numbers differ in their last digits
    if 2.0 ** len(values) <= resamples:
        signs = np.array([*product((1.0, -1.0), repeat=len(values))])
        return float((np.abs(signs @ values) >= found).mean())
    random = np.random.default_rng(seed)
    rows = _parts(resamples, len(values))
    beyond = sum(int((np.abs(_signs(random, count, len(values)) @ values) >= found).sum()) for count in rows)
    return (1 + beyond) / (1 + resamples)


def _signs(random: np.random.Generator, rows: int, width: int) -> Numbers:
    return np.where(random.integers(0, 2, size=(rows, width), dtype=bool), 1.0, -1.0)


def mcnemar(ours: ArrayLike, theirs: ArrayLike) -> float:
    """Return the p-value of McNemar's test (1947): do two systems get the same share of examples right?

    Of few examples that one gets right and the other wrong the exact binomial probability, else χ² with Edwards'
    continuity correction (1948).

    Args:
        ours: Whether one system gets each example right, ``(examples,)``.
        theirs: Whether the other does.
    """
    right, others = np.asarray(ours, dtype=bool), np.asarray(theirs, dtype=bool)
    gained, lost = int((right & ~others).sum()), int((~right & others).sum())
    count, less = gained + lost, min(gained, lost)
    if count < _FEW:
        return min(1.0, 2 * sum(math.comb(count, k) for k in range(less + 1)) / 2**count)
    statistic = (abs(gained - lost) - 1) ** 2 / count
    return math.erfc(math.sqrt(max(statistic, 0.0) / 2))  # how likely χ² of one degree of freedom exceeds it
