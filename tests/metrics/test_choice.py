"""Accuracies by hand, and what the mean over subjects is."""

import pytest

from lightune.metrics.choice import accuracy, macro_accuracy, per_subject_table

RIGHT = [True, False, True, True, False]
SUBJECTS = ["law", "art", "law", "art", "art"]


def test_accuracy_by_hand() -> None:
    assert accuracy(RIGHT) == pytest.approx(3 / 5)
    assert accuracy([]) == 0.0


def test_each_subject_counts_its_own() -> None:
    assert per_subject_table(RIGHT, SUBJECTS) == [
        {"subject": "art", "accuracy": pytest.approx(1 / 3), "support": 3},
        {"subject": "law", "accuracy": 1.0, "support": 2},
    ]
    assert per_subject_table([], []) == []


def test_subjects_weigh_the_same_whatever_their_size() -> None:
    assert macro_accuracy(RIGHT, SUBJECTS) == pytest.approx((1 / 3 + 1) / 2)
    assert macro_accuracy(RIGHT, ["one"] * 5) == accuracy(RIGHT)
    assert macro_accuracy([], []) == 0.0
