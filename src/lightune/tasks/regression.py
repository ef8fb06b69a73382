"""Regression: a number for a text, or for a pair of texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, ClassVar, Self

import torch
from torch import nn
from torch.nn import Parameter
from transformers import PreTrainedTokenizerBase

from lightune import losses
from lightune.data.table import Row, Table
from lightune.errors import DataError
from lightune.metrics.regression import regression_metrics
from lightune.tasks.base import Batch, Output, Prediction, Task, absent, model_inputs
from lightune.tasks.columns import Columns
from lightune.tasks.texts import encode_texts, finite_number, read_texts


@dataclass(frozen=True)
class Regression(Task):
    """One number for each example, such as how close two sentences are in meaning.

    The head's output is the number itself, in the data's unit, so that the saved model says what it means. A new head
    with a bias begins at the mean of the training scores; from zero its way there would first be the backbone's, whose
    knowledge it would cost.

    Args:
        columns: Canonical column (id, text, text_pair, score) → the data's column; text_pair may be None.
        mean: Of the training scores, which say it themselves.
        architectures: Kinds of backbone that have a head for it.
        name: Name of the task.
        monitor: Validation metric that picks the best checkpoint.
    """

    columns: Columns
    mean: float | None = None
    architectures: tuple[str, ...] = ("encoder", "decoder")
    name: str = "regression"
    monitor: str = "pearson"

    auto_class: ClassVar[str] = "AutoModelForSequenceClassification"
    peft_type: ClassVar[str] = "SEQ_CLS"
    augmentable: ClassVar[Sequence[str]] = ("text", "text_pair")
    unencoded: ClassVar[Sequence[str]] = ("mean",)

    def read(self, table: Table) -> Table:
        """Return rows of id, text, text_pair (where there are pairs) and score (a finite float)."""
        read = read_texts(table, self.columns)
        for index, row in enumerate(read.rows):
            row["score"] = finite_number(row["score"], read.locate(index), self.columns["score"])
        return read

    def stand_ins(self, row: Row) -> Row:
        """Return a number."""
        return absent(row, self.columns["score"], 0.0)

    def with_labels(self, train: Table) -> Self:
        """Return the task with the mean of the training scores.

        Raises:
            DataError: All training rows have the same number.
        """
        scores = [row["score"] for row in train.rows]
        if len(set(scores)) < 2:
            raise DataError(
                f"{train.origin}: all examples have the same score, {scores[0]}",
                "regression needs different ones; is task.columns.score the right column?",
            )
        return replace(self, mean=fmean(scores))

    def measured(self, row: Row) -> Mapping[str, float]:
        """Return the score."""
        return {"score": row["score"]}

    def head_config(self) -> dict[str, Any]:
        """Return the configuration of a head with one output."""
        return {"num_labels": 1, "problem_type": "regression"}

    @torch.no_grad()
    def initialize(self, fresh: Mapping[str, Parameter]) -> None:
        """Let the bias of a new head be the mean of the training scores."""
        biases = [parameter for name, parameter in fresh.items() if name.endswith("bias") and parameter.numel() == 1]
        if self.mean is not None:
            for bias in biases:
                bias.fill_(self.mean)

    def encode(
        self, rows: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, list[Any]]:
        """Return input ids and the score."""
        return {**encode_texts(rows, self.columns, tokenizer, max_length), "score": rows["score"]}

    def step(self, model: nn.Module, batch: Batch) -> Output:
        """Return the summed squared error and the number of examples; logits are (batch,)."""
        scores = model(**model_inputs(batch)).logits.squeeze(-1).float()
        return Output(*losses.squared_error(scores, batch["score"]), (scores.detach(),))

    def predict(self, output: Output, batch: Batch) -> list[Any]:
        """Return (example, score) for each feature."""
        return list(zip(batch["example"].tolist(), output.logits[0].tolist(), strict=True))

    def conclude(self, evidence: Sequence[Any], examples: Sequence[Row]) -> list[Prediction]:
        """Return the number predicted for each example."""
        return [Prediction(e, examples[e]["id"], score, examples[e]["score"]) for e, score in evidence]

    def measure(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Return Pearson's and Spearman's correlation, and the mean squared and absolute error."""
        return regression_metrics([p.prediction for p in predictions], [p.target for p in predictions])
