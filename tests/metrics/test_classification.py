"""Classification metrics against scikit-learn and hand arithmetic."""

import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

from lightune.metrics.classification import classification_metrics, confusion, per_class_table


def names(count: int) -> list[str]:
    return [f"label {index}" for index in range(count)]


def scikit(predictions: list[int], targets: list[int]) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about labels without predictions, and about data of one label
        return {
            "accuracy": sk.accuracy_score(targets, predictions),
            "f1_macro": sk.f1_score(targets, predictions, average="macro", zero_division=0),
            "f1_weighted": sk.f1_score(targets, predictions, average="weighted", zero_division=0),
            "f1_micro": sk.f1_score(targets, predictions, average="micro", zero_division=0),
            "precision_macro": sk.precision_score(targets, predictions, average="macro", zero_division=0),
            "recall_macro": sk.recall_score(targets, predictions, average="macro", zero_division=0),
            "mcc": sk.matthews_corrcoef(targets, predictions),
        }


CASES = {
    "perfect": ([0, 1, 2, 1], [0, 1, 2, 1], 3),
    "inverted": ([0, 0, 1, 1], [1, 1, 0, 0], 2),
    "one class, right": ([1, 1, 1], [1, 1, 1], 2),
    "one class, wrong": ([0, 0, 0], [1, 1, 1], 2),
    "one prediction for two classes": ([1, 1, 1, 1], [0, 1, 0, 1], 2),
    "a class that never occurs": ([0, 1, 1], [0, 1, 0], 5),
    "a class that is never predicted": ([0, 0, 1], [0, 2, 1], 3),
    "a class that is only predicted": ([0, 2, 1], [0, 0, 1], 3),
    "only one label": ([0, 0], [0, 0], 1),
    "a single example": ([1], [0], 2),
}


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_scikit_learn(case: str) -> None:
    predictions, targets, count = CASES[case]
    ours = classification_metrics(predictions, targets, names(count))
    assert ours == pytest.approx(scikit(predictions, targets), abs=1e-6)


def test_agrees_with_scikit_learn_on_random_data() -> None:
    source = np.random.default_rng(0)
    for _ in range(60):
        count, size = int(source.integers(2, 8)), int(source.integers(1, 40))
        highest = source.integers(1, count + 1, 2)  # some labels are left out on either side
        predictions, targets = (source.integers(0, high, size).tolist() for high in highest)
        ours = classification_metrics(predictions, targets, names(count))
        assert ours == pytest.approx(scikit(predictions, targets), abs=1e-6), (predictions, targets)


def test_by_hand() -> None:
    # Two of three right. Label 0: P 1, R 1/2, F1 2/3. Label 1: P 1/2, R 1, F1 2/3.
    # MCC = (1·1 − 0·1) / √((1 + 0)(1 + 1)(1 + 0)(1 + 1)) = 1/2.
    ours = classification_metrics([0, 1, 1], [0, 0, 1], ["no", "yes"])
    assert ours == pytest.approx(
        {"accuracy": 2 / 3, "f1_macro": 2 / 3, "f1_micro": 2 / 3, "precision_macro": 3 / 4, "recall_macro": 3 / 4}
        | {"f1_weighted": 2 / 3, "mcc": 1 / 2}
    )


def _drawn(source: np.random.Generator, count: int, size: int) -> tuple[np.ndarray, list[int]]:
    logits = source.normal(size=(size, count)).round(1)  # some probabilities are equal
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True), source.integers(0, count, size).tolist()


@pytest.mark.parametrize("count", [2, 3, 10])
def test_auroc_agrees_with_scikit_learn(count: int) -> None:
    probabilities, targets = _drawn(np.random.default_rng(count), count, 200)
    ours = classification_metrics(probabilities.argmax(1).tolist(), targets, names(count), probabilities)["auroc"]
    scores = probabilities[:, 1] if count == 2 else probabilities
    assert ours == pytest.approx(sk.roc_auc_score(targets, scores, multi_class="ovr", average="macro"), abs=1e-6)


def test_auroc_leaves_out_labels_that_never_or_always_occur() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.2, 0.7, 0.1]])
    assert classification_metrics([0, 0, 1], [0, 1, 1], names(3), probabilities)["auroc"] == 1.0
    assert classification_metrics([0, 0, 1], [0, 0, 0], names(3), probabilities)["auroc"] == 0.0


@pytest.mark.parametrize("count", [2, 5])
def test_calibration_error_by_its_definition(count: int) -> None:
    """Guo et al. 2017, equation 3: bins of confidence, their gaps to the accuracy weighted by their sizes."""
    probabilities, targets = _drawn(np.random.default_rng(9), count, 300)
    confidence, found = probabilities.max(1), probabilities.argmax(1)
    right = found == np.array(targets)
    bins = np.clip(np.ceil(confidence * 15).astype(int) - 1, 0, 14)
    gaps = [abs(right[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in set(bins)]
    ours = classification_metrics(found.tolist(), targets, names(count), probabilities)["ece"]
    assert ours == pytest.approx(sum(gaps), abs=1e-6)


def test_no_examples() -> None:
    assert set(classification_metrics([], [], ["a", "b"]).values()) == {0.0}
    assert confusion([], [], ["a", "b"]) == [[0, 0], [0, 0]]
    assert [row["support"] for row in per_class_table([], [], ["a", "b"])] == [0, 0]


def test_table_of_classes_by_hand() -> None:
    assert per_class_table([0, 1, 1, 1], [0, 0, 1, 1], ["no", "yes", "absent"]) == [
        {"label": "no", "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2},
        {"label": "yes", "precision": pytest.approx(2 / 3), "recall": 1.0, "f1": pytest.approx(0.8), "support": 2},
        {"label": "absent", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0},
    ]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_table_and_confusion_agree_with_scikit_learn(count: int) -> None:
    source = np.random.default_rng(count)
    predictions, targets = source.integers(0, count, (2, 30)).tolist()
    every = list(range(count))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about data of one label
        matrix = sk.confusion_matrix(targets, predictions, labels=every)
    assert confusion(predictions, targets, names(count)) == matrix.tolist()
    theirs = sk.precision_recall_fscore_support(targets, predictions, labels=every, zero_division=0)
    rows = per_class_table(predictions, targets, names(count))
    for key, column in zip(("precision", "recall", "f1", "support"), theirs, strict=True):
        assert [row[key] for row in rows] == pytest.approx(list(column))
    assert [row["label"] for row in rows] == names(count)


@pytest.mark.parametrize(("predictions", "targets"), [([2], [0]), ([0], [-100]), ([0], [0, 1])])
def test_indices_must_fit(predictions: list[int], targets: list[int]) -> None:
    with pytest.raises(AssertionError, match=r"index without a label|1 predictions for 2 targets"):
        classification_metrics(predictions, targets, ["a", "b"])
