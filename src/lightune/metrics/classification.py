"""Accuracy, F1, precision, recall and Matthews correlation of single-label classification.

Counted by torchmetrics in a way that agrees with scikit-learn's defaults: macro averages run over the labels that
occur among targets or predictions, and a ratio without a denominator is 0.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics.functional import classification as counted

_KEYS = ("accuracy", "f1_macro", "f1_micro", "precision_macro", "recall_macro", "mcc")


def classification_metrics(
    predictions: Sequence[int], targets: Sequence[int], labels: Sequence[str]
) -> dict[str, float]:
    """Return the summary metrics over examples.

    Args:
        predictions: Predicted label index of each example.
        targets: True label index of each example.
        labels: The task's labels, in the order of the indices.

    Returns:
        ``accuracy``, ``f1_macro``, ``f1_micro``, ``precision_macro``, ``recall_macro`` from 0 to 1, and ``mcc``
        from -1 to 1 (Gorodkin 2004); all 0.0 where there are no examples. With one label per example
        ``f1_micro`` equals the accuracy.
    """
    if not targets:
        return dict.fromkeys(_KEYS, 0.0)
    found, true = _tensors(predictions, targets, labels)
    size = _classes(labels)
    values = (
        counted.multiclass_accuracy(found, true, size, average="micro"),
        counted.multiclass_f1_score(found, true, size, average="macro"),
        counted.multiclass_f1_score(found, true, size, average="micro"),
        counted.multiclass_precision(found, true, size, average="macro"),
        counted.multiclass_recall(found, true, size, average="macro"),
        counted.multiclass_matthews_corrcoef(found, true, size),
    )
    return {key: float(value) for key, value in zip(_KEYS, values, strict=True)}


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
    hits, support, found = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
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
