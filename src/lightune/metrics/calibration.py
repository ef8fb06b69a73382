"""Whether a model is right as often as it says."""

from collections.abc import Sequence

import numpy as np

BINS = 15  # of confidence, as in Guo et al. 2017


def calibration_table(confidences: Sequence[float], right: Sequence[bool]) -> list[dict[str, float | int]]:
    """Return the reliability diagram of Guo et al. 2017 as rows, one for each of 15 bins of equal width with examples.

    The mean of ``|accuracy - confidence|``, weighted by ``examples``, is the expected calibration error.

    Args:
        confidences: Probability of what was predicted, 0 to 1, of each example.
        right: Whether it was right.

    Returns:
        Rows with ``from`` and ``to``, the bounds of the bin; ``confidence`` and ``accuracy``, the means in it; and
        ``examples``, their number.
    """
    bounds = np.linspace(0, 1, BINS + 1)
    sure, hits = np.asarray(confidences, np.float64), np.asarray(right, bool)
    places = np.clip(np.digitize(sure, bounds) - 1, 0, BINS - 1)
    return [
        {
            "from": float(bounds[number]),
            "to": float(bounds[number + 1]),
            "confidence": float(sure[inside].mean()),
            "accuracy": float(hits[inside].mean()),
            "examples": int(inside.sum()),
        }
        for number in range(BINS)
        if (inside := places == number).any()
    ]
