"""Which words tell one label from the others."""

from collections import Counter
from collections.abc import Mapping
from math import log, sqrt


def distinctive(counts: Mapping[str, Counter[str]], most: int) -> dict[str, list[tuple[str, float]]]:
    """Return the words that stand with a label more often than with the others, most distinctive first.

    The score is the z-score of the difference of log odds under a Dirichlet prior that knows how frequent words are at
    all (Monroe, Colaresi and Quinn 2008): unlike a ratio it does not favour words that occur once, unlike a difference
    it does not favour those that occur everywhere.

    Args:
        counts: Label → how often each word stands with it.
        most: Words of a label.

    Returns:
        Label → words with a score above 0.
    """
    every = sum(counts.values(), Counter[str]())
    return {label: _best(own, every, most) for label, own in counts.items()}


def _best(own: Counter[str], every: Counter[str], most: int) -> list[tuple[str, float]]:
    # The prior is as strong as all that was counted: each word as often as it occurs.
    size, total = own.total(), every.total()
    scores = [(word, _score(count, size, every[word], total)) for word, count in own.items()]
    return sorted(((word, z) for word, z in scores if z > 0), key=lambda pair: (-pair[1], pair[0]))[:most]


def _score(count: int, size: int, of_all: int, total: int) -> float:
    """Return the z-score of a word that occurs `count` times in `size` words of a label, `of_all` times in `total`."""
    here, there = count + of_all, of_all - count + of_all
    odds_here = here / (size + total - here) if size + total > here else float("inf")
    odds_there = there / (total - size + total - there) if 2 * total - size > there else float("inf")
    if float("inf") in (odds_here, odds_there):  # one word is all there is
        return 0.0
    return (log(odds_here) - log(odds_there)) / sqrt(1 / here + 1 / there)
