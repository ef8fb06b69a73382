"""Accuracy of picked choices, over all examples and by subject."""

from collections.abc import Sequence


def accuracy(right: Sequence[bool]) -> float:
    """Return the share of right picks, 0.0 where there are none."""
    return sum(right) / len(right) if right else 0.0


def per_subject_table(right: Sequence[bool], subjects: Sequence[str]) -> list[dict[str, str | float | int]]:
    """Return one row per subject, by name.

    Args:
        right: Whether each example's pick is right.
        subjects: Each example's subject.

    Returns:
        Rows with ``subject``, ``accuracy`` (0 to 1) and ``support`` (its examples).
    """
    picks: dict[str, list[bool]] = {}
    for subject, hit in zip(subjects, right, strict=True):
        picks.setdefault(subject, []).append(hit)
    return [
        {"subject": subject, "accuracy": accuracy(hits), "support": len(hits)}
        for subject, hits in sorted(picks.items())
    ]


def macro_accuracy(right: Sequence[bool], subjects: Sequence[str]) -> float:
    """Return the mean of the subjects' accuracies, each counting the same; 0.0 where there are no examples."""
    rows = per_subject_table(right, subjects)
    return sum(float(row["accuracy"]) for row in rows) / len(rows) if rows else 0.0
