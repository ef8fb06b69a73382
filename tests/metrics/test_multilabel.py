"""Multi-label metrics against scikit-learn and hand arithmetic."""

import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

from lightune.metrics.multilabel import best_threshold, multilabel_metrics, per_label_table


def reference(predicted: np.ndarray, targets: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    both = [i for i in range(targets.shape[1]) if 0 < targets[:, i].sum() < len(targets)]
    averages = {
        f"{name}_{average}": score(targets, predicted, average=average, zero_division=0)
        for name, score in (("f1", sk.f1_score), ("precision", sk.precision_score), ("recall", sk.recall_score))
        for average in ("micro", "macro")
    }
    return {
        **averages,
        "accuracy": sk.accuracy_score(targets, predicted),
        "f1_weighted": sk.f1_score(targets, predicted, average="weighted", zero_division=0),
        "auroc": sk.roc_auc_score(targets[:, both], probabilities[:, both], average="macro") if both else 0.0,
    }


@pytest.mark.parametrize("seed", range(12))
def test_agrees_with_scikit_learn(seed: int) -> None:
    source = np.random.default_rng(seed)
    size, count = int(source.integers(5, 60)), int(source.integers(2, 8))
    targets = source.random((size, count)) < source.random(count)  # rare labels and common ones, some on every example
    probabilities = source.random((size, count)).round(2)
    predicted = probabilities > 0.5
    ours = multilabel_metrics(predicted, targets, probabilities)
    assert 0 < ours.pop("best_threshold") < 1
    assert ours.pop("best_f1_micro") >= ours["f1_micro"] - 1e-12
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about labels that do not occur
        assert ours == pytest.approx(reference(predicted, targets, probabilities), abs=1e-6)


def test_by_hand() -> None:
    targets = np.array([[1, 0], [1, 1], [0, 0]], bool)
    predicted = np.array([[1, 1], [0, 1], [0, 0]], bool)
    ours = multilabel_metrics(predicted, targets, predicted * 0.8)
    # Label 0: one hit of two, F1 2/3; label 1: one hit of two predicted, F1 2/3. The last example alone is all right.
    assert ours["accuracy"] == pytest.approx(1 / 3)
    assert ours["f1_macro"] == ours["f1_micro"] == pytest.approx(2 / 3)
    assert ours["precision_macro"] == pytest.approx(3 / 4)
    assert per_label_table(predicted, targets, ["a", "b"]) == [
        {"label": "a", "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2},
        {"label": "b", "precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1},
    ]


def test_the_best_threshold_by_hand() -> None:
    targets = np.array([[1], [1], [0], [0]], bool)
    probabilities = np.array([[0.42], [0.31], [0.27], [0.04]])
    assert best_threshold(targets, probabilities) == (0.3, 1.0)
    # Where all do equally well, the middle.
    assert best_threshold(np.ones((2, 1), bool), np.full((2, 1), 0.99)) == (0.5, 1.0)


def test_no_examples() -> None:
    empty = np.zeros((0, 3), bool)
    ours = multilabel_metrics(empty, empty, np.zeros((0, 3)))
    assert ours.pop("best_threshold") == 0.5
    assert set(ours.values()) == {0.0}
