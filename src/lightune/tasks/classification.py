"""Classification of a text, or of a pair of texts."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from torch import nn
from transformers import PreTrainedTokenizerBase

from lightune import losses
from lightune.data.table import Row, Table
from lightune.errors import DataError
from lightune.metrics.classification import classification_metrics, per_class_table
from lightune.tasks.base import (
    Batch,
    Columns,
    Output,
    Prediction,
    canonical,
    label_config,
    model_inputs,
    require_text,
    sorted_labels,
    unknown_label,
)


@dataclass(frozen=True)
class Classification:
    """One label out of several for each example.

    Args:
        columns: Canonical column (id, text, text_pair, label) → the data's column; text_pair may be None.
        labels: Label names in the order of the head's outputs; None takes those of the training rows.
        label_smoothing: Share of the target's probability that is spread over all labels; training only.
        name: Name of the task.
        monitor: Validation metric that picks the best checkpoint.
    """

    columns: Columns
    labels: tuple[str, ...] | None = None
    label_smoothing: float = 0.0
    name: str = "classification"
    monitor: str = "f1_macro"

    auto_class: ClassVar[str] = "AutoModelForSequenceClassification"
    peft_type: ClassVar[str] = "SEQ_CLS"
    pretokenized: ClassVar[bool] = False
    padding: ClassVar[Mapping[str, int]] = {}
    eval_only: ClassVar[Sequence[str]] = ()

    def read(self, table: Table) -> Table:
        """Return rows of id, text, text_pair (where there are pairs) and label (a string)."""
        read = canonical(table, self.columns, optional=("id", "text_pair"))
        for column in ("text", "text_pair"):
            if self.columns.get(column):
                require_text(read, column, self.columns[column])
        for index, row in enumerate(read.rows):
            row["label"] = str(row["label"]).strip()
            if not row["label"]:
                raise DataError(f"{read.locate(index)}: the label is empty", "fill it in, or leave the row out")
        return read

    def with_labels(self, train: Table) -> Self:
        """Return the task with the labels of the training rows, unless they were given."""
        labels = sorted_labels({row["label"] for row in train.rows}, self.labels)
        if len(labels) < 2:
            raise DataError(
                f"{train.origin}: all examples have the same label, {labels[0]!r}",
                "classification needs two labels or more; is task.columns.label the right column?",
            )
        return replace(self, labels=labels)

    def check_labels(self, table: Table) -> None:
        """Raise DataError at the first row whose label is unknown."""
        known = set(self.labels or ())
        for index, row in enumerate(table.rows):
            if row["label"] not in known:
                raise unknown_label(table, index, row["label"], self.labels or ())

    def stratum(self, row: Row) -> Hashable:
        """Return the label: every split gets its share of each."""
        return row["label"]

    def group(self, row: Row) -> Hashable:
        """Return None: every example stands alone."""
        return None

    def head_config(self) -> dict[str, Any]:
        """Return the label names for the model's configuration."""
        assert self.labels is not None
        return {**label_config(self.labels), "problem_type": "single_label_classification"}

    def encode(
        self, rows: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, list[Any]]:
        """Return input ids, the label's index, and whether the text was cut."""
        assert self.labels is not None
        index = {label: i for i, label in enumerate(self.labels)}
        texts = [rows["text"]] + ([rows["text_pair"]] if self.columns.get("text_pair") else [])
        # Of a pair the longer text gives way first.
        encoded = tokenizer(*texts, truncation="longest_first", max_length=max_length)
        return {
            **{key: values for key, values in encoded.items() if key != "attention_mask"},
            "labels": [index[label] for label in rows["label"]],
            "example": rows["example"],
            "truncated": _were_cut(texts, encoded["input_ids"], tokenizer, max_length),
        }

    def step(self, model: nn.Module, batch: Batch) -> Output:
        """Return the cross entropy over the labels; logits are (batch, labels)."""
        logits = model(**model_inputs(batch)).logits
        smoothing = self.label_smoothing if model.training else 0.0
        return Output(*losses.cross_entropy(logits, batch["labels"], label_smoothing=smoothing), (logits.detach(),))

    def predict(self, output: Output, batch: Batch) -> list[Any]:
        """Return (example, label index, probability) for each feature."""
        confidence, best = output.logits[0].float().softmax(-1).max(-1)
        return list(zip(batch["example"].tolist(), best.tolist(), confidence.tolist(), strict=True))

    def conclude(self, evidence: Sequence[Any], examples: Sequence[Row]) -> list[Prediction]:
        """Return the most probable label of each example."""
        assert self.labels is not None
        return [
            Prediction(e, examples[e]["id"], self.labels[best], examples[e]["label"], {"confidence": confidence})
            for e, best, confidence in evidence
        ]

    def measure(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Return accuracy, F1, precision, recall and MCC."""
        assert self.labels is not None
        return classification_metrics(*self._indices(predictions), self.labels)

    def tables(self, predictions: Sequence[Prediction]) -> dict[str, list[dict[str, Any]]]:
        """Return precision, recall, F1 and support of each label."""
        assert self.labels is not None
        return {"per_class": per_class_table(*self._indices(predictions), self.labels)}

    def _indices(self, predictions: Sequence[Prediction]) -> tuple[list[int], list[int]]:
        index = {label: i for i, label in enumerate(self.labels or ())}
        return [index[p.prediction] for p in predictions], [index[p.target] for p in predictions]


def _were_cut(
    texts: Sequence[Sequence[str]],
    input_ids: Sequence[Sequence[int]],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
) -> list[bool]:
    """Return which examples lost tokens; only those at full length are tokenised again to find out."""
    full = [i for i, ids in enumerate(input_ids) if len(ids) >= max_length]
    whole = tokenizer(*[[column[i] for i in full] for column in texts], verbose=False)["input_ids"] if full else []
    longer = {i for i, ids in zip(full, whole, strict=True) if len(ids) > max_length}
    return [i in longer for i in range(len(input_ids))]
