"""When a study has found enough: a value that is good enough, or none that is better for a long time."""

from collections.abc import Sequence
from math import inf


def enough(
    values: Sequence[float | None], maximize: bool, target: float | None = None, patience: int | None = None
) -> str | None:
    """Return why no further trial is worth its time, None where one is.

    Args:
        values: Of the trials in the order in which they ended; None of those that were given up, or break a constraint.
        maximize: Whether a larger value is better.
        target: A value to reach.
        patience: How many trials in a row may have been no better than one before.
    """
    sign = 1.0 if maximize else -1.0
    scores = [-inf if value is None else sign * value for value in values]
    best = max(scores, default=-inf)
    if best == -inf:
        return None
    if target is not None and best >= sign * target:
        return f"{sign * best:.6g} reaches the target, {target:.6g}"
    since = len(scores) - 1 - scores.index(best)
    if patience is not None and since >= patience:
        return f"the last {since} trials brought nothing better than {sign * best:.6g}"
    return None
