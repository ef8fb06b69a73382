"""Correlations and errors of predicted numbers, in float64."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics.functional import regression as counted

from lightune.metrics.ranks import mean_ranks

_KEYS = ("pearson", "spearman", "mse", "mae")


def regression_metrics(predictions: Sequence[float], targets: Sequence[float]) -> dict[str, float]:
    """Return the summary metrics over examples.

    Args:
        predictions: Predicted number of each example.
        targets: True number of each example.

    Returns:
        ``pearson`` and ``spearman`` from -1 to 1 (equal ranks count as their mean, as in SciPy), 0.0 where either side
        is constant and the correlation is undefined; ``mse`` and ``mae`` in the targets' unit, squared and plain. All
        0.0 where there are no examples.
    """
    if not targets:
        return dict.fromkeys(_KEYS, 0.0)
    found, true = (torch.tensor(values, dtype=torch.float64) for values in (predictions, targets))
    defined = not (_is_constant(found) or _is_constant(true))
    return {
        "pearson": float(counted.pearson_corrcoef(found, true)) if defined else 0.0,
        "spearman": float(counted.pearson_corrcoef(mean_ranks(found), mean_ranks(true))) if defined else 0.0,
        "mse": float(counted.mean_squared_error(found, true)),
        "mae": float(counted.mean_absolute_error(found, true)),
    }


def _is_constant(values: Tensor) -> bool:
    return bool((values == values[0]).all())
