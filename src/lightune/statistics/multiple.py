"""Many comparisons at once: one in twenty of them is below 5 % by chance."""

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values that may be held against the level of all of them together (Holm 1979).

    Args:
        p_values: One a comparison, in any order.
    """
    count, largest = len(p_values), 0.0
    adjusted = [0.0] * count
    for rank, place in enumerate(sorted(range(count), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (count - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted
