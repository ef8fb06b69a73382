"""How large a difference is, whatever the number of examples (Cohen 1988)."""

import math

import numpy as np
from numpy.typing import ArrayLike


def cohens_d(differences: ArrayLike) -> float:
    """Return the standardised mean of paired differences, mean / standard deviation; 0.2 is small, 0.8 large.

    Args:
        differences: Score of one system minus that of the other, for each example, ``(examples,)``.

    Returns:
        0 where there is no difference, and infinity with its sign where it is the same for each example.
    """
    values = np.asarray(differences, dtype=np.float64)
    mean = float(values.mean())
    if not mean:
        return 0.0
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return mean / spread if spread else math.copysign(math.inf, mean)


def cohens_h(ours: float, theirs: float) -> float:
    """Return the difference of two shares as angles, 2 asin √ours − 2 asin √theirs; 0.2 is small, 0.8 large."""
    return 2 * math.asin(math.sqrt(ours)) - 2 * math.asin(math.sqrt(theirs))
