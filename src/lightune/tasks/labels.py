"""Label names: their order, their place in a model's configuration, and what is said of an unknown one."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from lightune.data.table import Row, Table
from lightune.errors import DataError, nearest


def sorted_labels(found: set[str], given: Sequence[str] | None) -> tuple[str, ...]:
    """Return the label names in a fixed order: as given, else numbers by value and words by alphabet."""
    if given:
        return tuple(str(label) for label in given)
    whole = re.compile(r"-?\d+")
    return tuple(sorted(found, key=lambda label: (0, int(label), label) if whole.fullmatch(label) else (1, 0, label)))


def refuse_unknown_labels(table: Table, labels: Sequence[str] | None, found: Callable[[Row], Iterable[str]]) -> None:
    """Raise DataError at the first row with a label that the task does not know.

    Args:
        table: Canonical rows.
        labels: All label names.
        found: Row → its labels.
    """
    known = set(labels or ())
    for index, row in enumerate(table.rows):
        for label in found(row):
            if label not in known:
                raise unknown_label(table, index, label, labels or ())


def unknown_label(table: Table, index: int, label: str, labels: Sequence[str]) -> DataError:
    """Return the error for a row whose label the task does not know."""
    return DataError(
        f"{table.locate(index)}: label {label!r} is unknown: no training example has it",
        f"{nearest(label, labels)}; mend the row, or give all labels: 'task.labels=[…]'",
    )


def label_config(labels: Sequence[str]) -> dict[str, Any]:
    """Return the part of a model's configuration that names its labels."""
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: i for i, label in enumerate(labels)},
    }
