"""Classification of a text, or of a pair of texts, into one of several labels."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from lightune import losses
from lightune.data.table import Row, Table
from lightune.errors import ConfigError, DataError, nearest
from lightune.metrics.calibration import calibration_table
from lightune.metrics.classification import binary_metrics, classification_metrics, confusion, per_class_table
from lightune.numbers import is_number
from lightune.tasks.base import Batch, Output, Prediction, Task, absent, model_inputs
from lightune.tasks.columns import Columns
from lightune.tasks.labels import label_config, refuse_unknown_labels, sorted_labels
from lightune.tasks.texts import encode_texts, read_texts


@dataclass(frozen=True)
class Classification(Task):
    """One label out of several for each example.

    Smoothing, weights and focusing belong to training: the loss of an evaluation is the plain cross entropy, so that it
    can be compared whatever they are.

    Args:
        columns: Canonical column (id, text, text_pair, label, group) → the data's column; text_pair and group may be
            None. Examples of a group stand or fall together in ``exact_match``, and stay in one split.
        labels: Label names in the order of the head's outputs; None takes those of the training rows.
        label_smoothing: Share of the target's probability that is spread over all labels.
        class_weights: Factor of each label's loss: None, ``balanced`` (in inverse proportion to its training examples,
            1 on average), or label → factor, 1 for those that are not named.
        focal_gamma: How much less an example counts that the model is sure of already; 0 leaves the loss alone.
        r_drop: How much it counts that two passes with different dropout disagree (Liang et al. 2021, R-Drop); above 0
            a training step runs the model twice. The loss is half of the paper's.
        positive: The label that ``precision``, ``recall`` and ``f1`` are measured for, or several names that it may
            have, of which the data has one; None measures none.
        architectures: Kinds of backbone that have a head for it.
        name: Name of the task.
        monitor: Validation metric that picks the best checkpoint.
    """

    columns: Columns
    labels: tuple[str, ...] | None = None
    label_smoothing: float = 0.0
    class_weights: str | Mapping[str, float] | None = None
    focal_gamma: float = 0.0
    r_drop: float = 0.0
    positive: str | Sequence[str] | None = None
    architectures: tuple[str, ...] = ("encoder", "decoder")
    name: str = "classification"
    monitor: str = "f1_macro"

    auto_class: ClassVar[str] = "AutoModelForSequenceClassification"
    peft_type: ClassVar[str] = "SEQ_CLS"
    augmentable: ClassVar[Sequence[str]] = ("text", "text_pair")
    unencoded: ClassVar[Sequence[str]] = ("label_smoothing", "class_weights", "focal_gamma", "r_drop", "positive")

    def read(self, table: Table) -> Table:
        """Return rows of id, text, text_pair (where there are pairs) and label (a string)."""
        read = read_texts(table, self.columns)
        for index, row in enumerate(read.rows):
            row["label"] = str(row["label"]).strip()
            if not row["label"]:
                raise DataError(f"{read.locate(index)}: the label is empty", "fill it in, or leave the row out")
            if "group" in row:
                row["group"] = str(row["group"])
        return read

    def stand_ins(self, row: Row) -> Row:
        """Return any of the labels."""
        return absent(row, self.columns["label"], self.labels[0]) if self.labels else {}

    def with_labels(self, train: Table) -> Self:
        """Return the task with the labels of the training rows, unless they were given, and a weight for each."""
        counts = Counter(row["label"] for row in train.rows)
        labels = sorted_labels(set(counts), self.labels)
        if len(labels) < 2:
            raise DataError(
                f"{train.origin}: all examples have the same label, {labels[0]!r}",
                "classification needs two labels or more; is task.columns.label the right column?",
            )
        return replace(self, labels=labels, class_weights=label_weights(self.class_weights, labels, counts))

    @property
    def _positive(self) -> int | None:
        """Return the index of the positive label.

        Raises:
            ConfigError: None of its names is a label, or several are.
        """
        if self.positive is None or self.labels is None:
            return None
        names = [self.positive] if isinstance(self.positive, str) else list(map(str, self.positive))
        known = [name for name in names if name in self.labels]
        if len(known) != 1:
            raise ConfigError(
                f"task.positive={','.join(names)}: {'several are labels' if known else 'there is no such label'}",
                f"type task.positive=<one of {', '.join(self.labels[:8])}>",
            )
        return self.labels.index(known[0])

    def check_labels(self, table: Table) -> None:
        """Raise DataError at the first row whose label is unknown."""
        refuse_unknown_labels(table, self.labels, lambda row: [row["label"]])

    def stratum(self, row: Row) -> Hashable:
        """Return the label: every split gets its share of each."""
        return row["label"]

    def counted(self, row: Row) -> Sequence[str]:
        """Return the label."""
        return [row["label"]]

    def group(self, row: Row) -> Hashable:
        """Return the group, where there are some: its examples stay in one split."""
        return row.get("group")

    def head_config(self) -> dict[str, Any]:
        """Return the label names for the model's configuration."""
        assert self.labels is not None
        return {**label_config(self.labels), "problem_type": "single_label_classification"}

    def encode(
        self, rows: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, list[Any]]:
        """Return input ids and the label's index."""
        assert self.labels is not None
        index = {label: i for i, label in enumerate(self.labels)}
        encoded = encode_texts(rows, self.columns, tokenizer, max_length)
        return {**encoded, "labels": [index[label] for label in rows["label"]]}

    def step(self, model: nn.Module, batch: Batch) -> Output:
        """Return the cross entropy over the labels; logits are (batch, labels)."""
        logits = model(**model_inputs(batch)).logits
        options = self._training_options(logits) if model.training else {}
        loss, count = losses.cross_entropy(logits, batch["labels"], **options)
        if model.training and self.r_drop:
            again = model(**model_inputs(batch)).logits
            second, _ = losses.cross_entropy(again, batch["labels"], **options)
            loss = (loss + second + self.r_drop * losses.divergence(logits, again)) / 2
        return Output(loss, count, (logits.detach(),))

    def _training_options(self, logits: Tensor) -> dict[str, Any]:
        weight = weight_tensor(self.class_weights, self.labels, logits)
        return {"label_smoothing": self.label_smoothing, "weight": weight, "focal_gamma": self.focal_gamma}

    def predict(self, output: Output, batch: Batch) -> list[Any]:
        """Return (example, label index, probability of each label) for each feature."""
        probabilities = output.logits[0].float().softmax(-1)
        best = probabilities.argmax(-1).tolist()
        return list(zip(batch["example"].tolist(), best, probabilities.cpu().numpy(), strict=True))

    def conclude(self, evidence: Sequence[Any], examples: Sequence[Row]) -> list[Prediction]:
        """Return the most probable label of each example."""
        assert self.labels is not None
        names = self.labels
        return [
            Prediction(e, row["id"], names[best], row["label"], {"confidence": float(p[best])}, p, row.get("group"))
            for e, best, p in evidence
            for row in [examples[e]]
        ]

    def measure(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Return accuracy, F1, precision, recall, MCC, AUROC and calibration error, and what positive and group add."""
        assert self.labels is not None
        found, probabilities = self._indices(predictions), [p.probabilities for p in predictions]
        return {
            **classification_metrics(*found, self.labels, probabilities),
            **({} if self._positive is None else binary_metrics(*found, self._positive)),
            **({"exact_match": _whole_groups(predictions)} if self.columns.get("group") else {}),
        }

    def tables(self, predictions: Sequence[Prediction]) -> dict[str, list[dict[str, Any]]]:
        """Return precision, recall, F1 and support of each label, the confusion matrix, and the calibration."""
        assert self.labels is not None
        found = self._indices(predictions)
        matrix = confusion(*found, self.labels)
        rows = [
            {"label": name, "predicted": dict(zip(self.labels, row, strict=True))}
            for name, row in zip(self.labels, matrix, strict=True)
        ]
        right = [p.prediction == p.target for p in predictions]
        calibration = calibration_table([p.scores["confidence"] for p in predictions], right)
        return {"per_class": per_class_table(*found, self.labels), "confusion": rows, "calibration": calibration}

    def _indices(self, predictions: Sequence[Prediction]) -> tuple[list[int], list[int]]:
        index = {label: i for i, label in enumerate(self.labels or ())}
        return [index[p.prediction] for p in predictions], [index[p.target] for p in predictions]


def _whole_groups(predictions: Sequence[Prediction]) -> float:
    """Return the share of groups all of whose examples are right."""
    right: dict[str | None, bool] = {}
    for p in predictions:
        right[p.group] = right.get(p.group, True) and p.prediction == p.target
    return sum(right.values()) / max(len(right), 1)


def label_weights(
    wanted: str | Mapping[str, float] | None, labels: Sequence[str], counts: Mapping[str, int]
) -> dict[str, float] | None:
    """Return the factor of each label's loss, or None where all are 1.

    Args:
        wanted: None, ``balanced``, or label → factor.
        labels: All label names.
        counts: Training examples of each.

    Raises:
        ConfigError: It is another word, names an unknown label, or holds a factor that is not positive.
    """
    if wanted is None:
        return None
    if isinstance(wanted, str):
        if wanted != "balanced":
            raise ConfigError(
                f"task.class_weights={wanted}: expected null, balanced, or label: factor", "type balanced"
            )
        total = sum(counts.values())
        # Every label then counts as much as any other, and an average example as much as before.
        return {label: total / (len(labels) * counts[label]) if counts.get(label) else 1.0 for label in labels}
    for label, factor in wanted.items():
        if str(label) not in labels:
            raise ConfigError(f"task.class_weights: there is no label {str(label)!r}", nearest(str(label), labels))
        if not is_number(factor) or factor <= 0:
            raise ConfigError(f"task.class_weights.{label}={factor}: expected a number above 0", "type 2.0, say")
    named = {str(label): float(factor) for label, factor in wanted.items()}
    return {label: named.get(label, 1.0) for label in labels}


def weight_tensor(weights: Any, labels: Sequence[str] | None, like: Tensor) -> Tensor | None:
    """Return the factors in the labels' order, ``(labels,)`` float32 on the device of another tensor."""
    if not isinstance(weights, Mapping) or labels is None:
        return None
    return torch.tensor([weights[label] for label in labels], dtype=torch.float32, device=like.device)
