"""Metrics of multi-label classification, where an example has any number of labels, none included.

Counted as scikit-learn counts indicator matrices: macro averages run over all labels of the task, and a ratio without a
denominator is 0.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from lightune.metrics.classification import mean_auroc, rows_by_label

Indicators = NDArray[np.bool_]
_GRID = np.linspace(0.05, 0.95, 19)


def multilabel_metrics(
    predicted: Indicators, targets: Indicators, probabilities: NDArray[np.floating]
) -> dict[str, float]:
    """Return the summary metrics over examples.

    Args:
        predicted: True where a label is predicted, ``(examples, labels)``.
        targets: True where an example has the label, ``(examples, labels)``.
        probabilities: Of each label, ``(examples, labels)``.

    Returns:
        ``accuracy`` (all labels of an example are right), ``f1_micro``, ``f1_macro``, ``f1_weighted``,
        ``precision_micro``, ``precision_macro``, ``recall_micro``, ``recall_macro``, ``auroc`` (the mean over the
        labels that some examples have and others lack), all from 0 to 1; 0.0 where there are no examples.
        ``best_threshold`` is the one of 0.05, 0.10, …, 0.95 with the highest micro F1 here, ``best_f1_micro`` that F1.
    """
    hits, found, wanted = _counts(predicted, targets)
    f1 = _ratio(2 * hits, found + wanted)
    threshold, best = best_threshold(targets, probabilities)
    return {
        "accuracy": float((predicted == targets).all(1).mean()) if len(targets) else 0.0,
        "f1_micro": float(_ratio(2 * hits.sum(), found.sum() + wanted.sum())),
        "f1_macro": float(f1.mean()),
        "f1_weighted": float(_ratio((f1 * wanted).sum(), wanted.sum())),
        "precision_micro": float(_ratio(hits.sum(), found.sum())),
        "precision_macro": float(_ratio(hits, found).mean()),
        "recall_micro": float(_ratio(hits.sum(), wanted.sum())),
        "recall_macro": float(_ratio(hits, wanted).mean()),
        "auroc": mean_auroc(torch.from_numpy(probabilities), torch.from_numpy(targets).long()),
        "best_f1_micro": best,
        "best_threshold": threshold,
    }


def best_threshold(targets: Indicators, probabilities: NDArray[np.floating]) -> tuple[float, float]:
    """Return the threshold, in twentieths, with the highest micro F1, and that F1; of equals the nearest to 0.5."""
    scores = [_micro_f1(probabilities > threshold, targets) for threshold in _GRID]
    best = max(range(len(_GRID)), key=lambda i: (scores[i], -abs(_GRID[i] - 0.5)))
    return round(float(_GRID[best]), 2), scores[best]


def _micro_f1(predicted: Indicators, targets: Indicators) -> float:
    return float(_ratio(2 * (predicted & targets).sum(), predicted.sum() + targets.sum()))


def per_label_table(
    predicted: Indicators, targets: Indicators, labels: Sequence[str]
) -> list[dict[str, str | float | int]]:
    """Return one row per label with ``label``, ``precision``, ``recall``, ``f1`` (0 to 1) and ``support``."""
    return rows_by_label(labels, *(torch.from_numpy(part).double() for part in _counts(predicted, targets)))


def _counts(predicted: Indicators, targets: Indicators) -> tuple[NDArray[np.int64], ...]:
    """Return for each label how often it is in both, in the predictions, in the targets."""
    return tuple(part.sum(0) for part in (predicted & targets, predicted, targets))


def _ratio(part: NDArray[np.number] | np.number, whole: NDArray[np.number] | np.number) -> NDArray[np.float64]:
    return np.divide(part, np.maximum(whole, 1), dtype=np.float64)
