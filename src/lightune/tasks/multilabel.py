"""Multi-label classification of a text, or of a pair of texts: any number of labels, none included."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from lightune import losses
from lightune.data.table import Row, Table
from lightune.errors import ConfigError, DataError
from lightune.metrics.multilabel import Indicators, multilabel_metrics, per_label_table
from lightune.numbers import is_number
from lightune.tasks.base import Batch, Output, Prediction, Task, absent, model_inputs
from lightune.tasks.columns import Columns
from lightune.tasks.labels import label_config, refuse_unknown_labels, sorted_labels
from lightune.tasks.texts import encode_texts, read_texts


@dataclass(frozen=True)
class MultiLabelClassification(Task):
    """Any number of labels for each example, each decided by itself.

    Args:
        columns: Canonical column (id, text, text_pair, label) → the data's column, which holds a list of labels or a
            text with a separator between them; text_pair may be None.
        separator: Between the labels of a text.
        labels: Label names in the order of the head's outputs; None takes those of the training rows.
        threshold: Probability above which a label is predicted; None: the best on val, and 0.5 before there is one.
        class_weights: Factor of the loss where a label is there: None, or ``balanced`` (examples without it ÷ with it).
        focal_gamma: How much less a label counts that the model is sure of already; 0 leaves the loss alone.
        architectures: Kinds of backbone that have a head for it.
        name: Name of the task.
        monitor: Validation metric that picks the best checkpoint.
    """

    columns: Columns
    separator: str = ","
    labels: tuple[str, ...] | None = None
    threshold: float | None = None
    class_weights: str | tuple[float, ...] | None = None
    focal_gamma: float = 0.0
    architectures: tuple[str, ...] = ("encoder", "decoder")
    name: str = "multilabel"
    monitor: str = "f1_micro"

    auto_class: ClassVar[str] = "AutoModelForSequenceClassification"
    peft_type: ClassVar[str] = "SEQ_CLS"
    augmentable: ClassVar[Sequence[str]] = ("text", "text_pair")
    unencoded: ClassVar[Sequence[str]] = ("threshold", "class_weights", "focal_gamma")

    def __post_init__(self) -> None:
        """Refuse a threshold that is no probability."""
        value = self.threshold
        if value is not None and not (is_number(value) and 0 <= value < 1):
            raise ConfigError(f"task.threshold={value}: expected null or a number from 0 to 1", "type for instance 0.5")

    def read(self, table: Table) -> Table:
        """Return rows of id, text, text_pair (where there are pairs) and label (a list of strings)."""
        read = read_texts(table, self.columns)
        for index, row in enumerate(read.rows):
            row["label"] = self._labels_of(row["label"], read.locate(index))
        return read

    def _labels_of(self, value: Any, place: str) -> list[str]:
        parts = value if isinstance(value, list) else str(value).split(self.separator)
        labels = [str(part).strip() for part in parts]
        if isinstance(value, list) and "" in labels:
            raise DataError(f"{place}: a label is empty", "fill it in, or leave it out")
        labels = [label for label in labels if label]
        twice = [label for label, count in Counter(labels).items() if count > 1]
        if twice:
            raise DataError(f"{place}: label {twice[0]!r} is given twice", "name each label once")
        return labels

    def stand_ins(self, row: Row) -> Row:
        """Return no label at all."""
        return absent(row, self.columns["label"], [])

    def with_labels(self, train: Table) -> Self:
        """Return the task with the labels of the training rows, unless they were given, and a weight for each."""
        counts = Counter(label for row in train.rows for label in row["label"])
        labels = sorted_labels(set(counts), self.labels)
        if not labels:
            raise DataError(f"{train.origin}: no example has a label", "is task.columns.label the right column?")
        return replace(self, labels=labels, class_weights=self._weights(labels, counts, len(train)))

    def _weights(self, labels: Sequence[str], counts: Mapping[str, int], size: int) -> tuple[float, ...] | None:
        if self.class_weights is None:
            return None
        if self.class_weights != "balanced":
            raise ConfigError(f"task.class_weights={self.class_weights}: expected null or balanced", "type balanced")
        return tuple(max(size - counts[label], 1) / counts[label] if counts.get(label) else 1.0 for label in labels)

    def check_labels(self, table: Table) -> None:
        """Raise DataError at the first row that has an unknown label."""
        refuse_unknown_labels(table, self.labels, lambda row: row["label"])

    def stratum(self, row: Row) -> Hashable:
        """Return the labels together: every split gets its share of each combination."""
        return tuple(sorted(row["label"]))

    def counted(self, row: Row) -> Sequence[str]:
        """Return the labels."""
        return row["label"] or ["(none)"]

    def head_config(self) -> dict[str, Any]:
        """Return the label names for the model's configuration."""
        assert self.labels is not None
        return {**label_config(self.labels), "problem_type": "multi_label_classification"}

    def encode(
        self, rows: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, list[Any]]:
        """Return input ids and, for each label, whether it is there."""
        assert self.labels is not None
        encoded = encode_texts(rows, self.columns, tokenizer, max_length)
        return {**encoded, "labels": [[float(name in found) for name in self.labels] for found in rows["label"]]}

    def step(self, model: nn.Module, batch: Batch) -> Output:
        """Return the binary cross entropy, a mean over the labels; logits are (batch, labels)."""
        logits = model(**model_inputs(batch)).logits
        options = self._training_options(logits) if model.training else {}
        return Output(*losses.binary_cross_entropy(logits, batch["labels"], **options), (logits.detach(),))

    def _training_options(self, logits: Tensor) -> dict[str, Any]:
        weights = self.class_weights if isinstance(self.class_weights, tuple) else None
        tensor = None if weights is None else torch.tensor(weights, device=logits.device)
        return {"positive_weight": tensor, "focal_gamma": self.focal_gamma}

    def predict(self, output: Output, batch: Batch) -> list[Any]:
        """Return (example, probability of each label) for each feature."""
        return list(zip(batch["example"].tolist(), output.logits[0].float().sigmoid().cpu().numpy(), strict=True))

    def tuned(self, metrics: Mapping[str, float]) -> Self:
        """Return the task with the threshold that is best on the validation split, unless one was given."""
        if self.threshold is not None or "best_threshold" not in metrics:
            return self
        return replace(self, threshold=metrics["best_threshold"])

    def conclude(self, evidence: Sequence[Any], examples: Sequence[Row]) -> list[Prediction]:
        """Return the labels of each example whose probability is above the threshold, in the labels' order."""
        assert self.labels is not None
        names, threshold = self.labels, 0.5 if self.threshold is None else self.threshold
        return [
            Prediction(
                e,
                examples[e]["id"],
                [name for name, probability in zip(names, found, strict=True) if probability > threshold],
                examples[e]["label"],
                probabilities=found,
            )
            for e, found in evidence
        ]

    def measure(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Return accuracy, F1, precision, recall, AUROC, and the threshold that would have been best."""
        assert self.labels is not None
        probabilities = np.array([p.probabilities for p in predictions], np.float32).reshape(-1, len(self.labels))
        return multilabel_metrics(*self._indicators(predictions), probabilities)

    def tables(self, predictions: Sequence[Prediction]) -> dict[str, list[dict[str, Any]]]:
        """Return precision, recall, F1 and support of each label."""
        assert self.labels is not None
        return {"per_class": per_label_table(*self._indicators(predictions), self.labels)}

    def _indicators(self, predictions: Sequence[Prediction]) -> tuple[Indicators, Indicators]:
        names = self.labels or ()
        sides = ([p.prediction for p in predictions], [p.target for p in predictions])
        found, true = (
            np.array([[name in labels for name in names] for labels in side], bool).reshape(-1, len(names))
            for side in sides
        )
        return found, true
