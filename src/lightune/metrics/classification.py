"""Accuracy, F1, precision, recall, Matthews correlation, AUROC and calibration of single-label classification.

Counted by torchmetrics in a way that agrees with scikit-learn's defaults: macro averages run over the labels that
occur among targets or predictions, and a ratio without a denominator is 0.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torchmetrics.functional import classification as counted

from lightune.metrics.calibration import BINS
from lightune.metrics.ranks import mean_ranks

_KEYS = ("accuracy", "f1_macro", "f1_micro", "f1_weighted", "precision_macro", "recall_macro", "mcc")


def classification_metrics(
    predictions: Sequence[int],
    targets: Sequence[int],
    labels: Sequence[str],
    probabilities: ArrayLike = (),
) -> dict[str, float]:
    """Return the summary metrics over examples.

    Args:
        predictions: Predicted label index of each example.
        targets: True label index of each example.
        labels: The task's labels, in the order of the indices.
        probabilities: Of each label, for each example, ``(examples, labels)``.

    Returns:
        ``accuracy``, ``f1_macro``, ``f1_micro``, ``f1_weighted`` (by the labels' frequency), ``precision_macro``,
        ``recall_macro`` from 0 to 1, and ``mcc`` from -1 to 1 (Gorodkin 2004). With one label per example ``f1_micro``
        equals the accuracy. From the probabilities ``auroc``, the mean over the labels of one against the rest, and
        ``ece``, the expected calibration error of the chosen label in 15 bins of equal width (Guo et al. 2017). All 0.0
        where there are no examples.
    """
    if not targets:
        return dict.fromkeys((*_KEYS, "auroc", "ece"), 0.0)
    found, true = _tensors(predictions, targets, labels)
    size = _classes(labels)
    values = (
        counted.multiclass_accuracy(found, true, size, average="micro"),
        counted.multiclass_f1_score(found, true, size, average="macro"),
        counted.multiclass_f1_score(found, true, size, average="micro"),
        counted.multiclass_f1_score(found, true, size, average="weighted"),
        counted.multiclass_precision(found, true, size, average="macro"),
        counted.multiclass_recall(found, true, size, average="macro"),
        counted.multiclass_matthews_corrcoef(found, true, size),
    )
    metrics = {key: float(value) for key, value in zip(_KEYS, values, strict=True)}
    scores = torch.from_numpy(np.asarray(probabilities))
    return {**metrics, **_of_probabilities(scores, true)} if len(scores) else metrics


def binary_metrics(predictions: Sequence[int], targets: Sequence[int], positive: int) -> dict[str, float]:
    """Return precision, recall and F1 of one label against the rest, as scikit-learn's ``average="binary"``.

    Args:
        predictions: Predicted label index of each example.
        targets: True label index of each example.
        positive: Index of the label.

    Returns:
        ``precision``, ``recall`` and ``f1``, 0 to 1; a ratio without a denominator is 0.
    """
    pairs = [(found == positive, true == positive) for found, true in zip(predictions, targets, strict=True)]
    hits = sum(found and true for found, true in pairs)
    found, support = (sum(column) for column in zip(*pairs, strict=True)) if pairs else (0, 0)
    return {
        "precision": hits / max(found, 1),
        "recall": hits / max(support, 1),
        "f1": 2 * hits / max(found + support, 1),
    }


def _of_probabilities(scores: Tensor, true: Tensor) -> dict[str, float]:
    ece = counted.multiclass_calibration_error(scores, true, scores.size(1), n_bins=BINS, norm="l1")
    # Of two labels one says all: the other's probability is its complement, but for rounding.
    first = 1 if scores.size(1) == 2 else 0
    targets = torch.nn.functional.one_hot(true, scores.size(1))
    return {"auroc": mean_auroc(scores[:, first:], targets[:, first:]), "ece": float(ece)}


def mean_auroc(scores: Tensor, targets: Tensor) -> float:
    """Return the area under the ROC curve of each label against the rest, averaged over the labels that have both.

    Args:
        scores: Larger where the label is likelier, ``(examples, labels)``.
        targets: 1 where an example has the label, ``(examples, labels)``.

    Returns:
        0 to 1; 0.0 where no label has examples with it and without it.
    """
    both = [i for i in range(targets.size(1)) if 0 < int(targets[:, i].sum()) < len(targets)]
    areas = [_auroc(scores[:, i], targets[:, i]) for i in both]
    return sum(areas) / len(areas) if areas else 0.0


def _auroc(scores: Tensor, targets: Tensor) -> float:
    """Return the share of pairs of a positive and a negative that are in the right order; ties count half."""
    ranks = mean_ranks(scores)
    positive = targets.bool()
    count = int(positive.sum())
    above = float(ranks[positive].sum()) - count * (count + 1) / 2
    return above / (count * (len(targets) - count))


def per_class_table(
    predictions: Sequence[int], targets: Sequence[int], labels: Sequence[str]
) -> list[dict[str, str | float | int]]:
    """Return one row per label, in the labels' order, absent ones included.

    Args:
        predictions: Predicted label index of each example.
        targets: True label index of each example.
        labels: The task's labels, in the order of the indices.

    Returns:
        Rows with ``label``, ``precision``, ``recall``, ``f1`` (0 to 1) and ``support`` (examples with that target).
    """
    matrix = torch.tensor(confusion(predictions, targets, labels), dtype=torch.float64)
    return rows_by_label(labels, matrix.diagonal(), matrix.sum(0), matrix.sum(1))


def rows_by_label(
    labels: Sequence[str], hits: Tensor, found: Tensor, support: Tensor
) -> list[dict[str, str | float | int]]:
    """Return the rows of `per_class_table` from counts, float64 ``(labels,)`` each.

    Args:
        labels: Names.
        hits: Right predictions of each label.
        found: All its predictions.
        support: Examples that have it.
    """
    columns = (hits / found.clamp(min=1), hits / support.clamp(min=1), 2 * hits / (support + found).clamp(min=1))
    rows = zip(labels, *(column.tolist() for column in columns), support.int().tolist(), strict=True)
    return [dict(zip(("label", "precision", "recall", "f1", "support"), row, strict=True)) for row in rows]


def confusion(predictions: Sequence[int], targets: Sequence[int], labels: Sequence[str]) -> list[list[int]]:
    """Return the confusion matrix as counts, ``(labels, labels)``: row = target, column = prediction.

    Args:
        predictions: Predicted label index of each example.
        targets: True label index of each example.
        labels: The task's labels, in the order of the indices.
    """
    found, true = _tensors(predictions, targets, labels)
    matrix = counted.multiclass_confusion_matrix(found, true, _classes(labels))
    return matrix[: len(labels), : len(labels)].tolist()


def _classes(labels: Sequence[str]) -> int:
    """Return the number of classes to count with: at least three.

    A class that never occurs changes no metric. Below two torchmetrics refuses, and with exactly two it calls the
    Matthews correlation of all-one-class data ±1, where it is undefined and scikit-learn says 0.
    """
    return max(3, len(labels))


def _tensors(predictions: Sequence[int], targets: Sequence[int], labels: Sequence[str]) -> tuple[Tensor, Tensor]:
    assert len(predictions) == len(targets), f"{len(predictions)} predictions for {len(targets)} targets"
    assert all(0 <= index < len(labels) for index in (*predictions, *targets)), "an index without a label"
    return torch.tensor(predictions, dtype=torch.long), torch.tensor(targets, dtype=torch.long)
