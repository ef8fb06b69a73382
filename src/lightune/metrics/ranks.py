"""Ranks, which Spearman's correlation and the area under the ROC curve are made of."""

from torch import Tensor


def mean_ranks(values: Tensor) -> Tensor:
    """Return each value's rank, counted from 1, ``(n,)`` float64; equal values share the mean of theirs."""
    _, group, sizes = values.unique(return_inverse=True, return_counts=True)
    return (sizes.cumsum(0) - (sizes - 1) / 2).double()[group]
