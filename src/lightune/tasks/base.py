"""The Task protocol, and what goes through it.

A task turns a user's rows into features, a model's output into a loss and predictions, and predictions into metrics.
It holds settings and label names, never data or weights, so it is a frozen dataclass that is cheap to copy, hash and
rebuild.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, Self

from torch import Tensor, nn
from torch.nn import Parameter
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from lightune.data.table import Row, Table

Batch = dict[str, Tensor]


@dataclass
class Output:
    """What one forward pass gives.

    Args:
        loss_sum: Loss summed over the batch's targets, 0-d float32 with a gradient.
        count: Number of targets, 0-d.
        logits: Whatever the task's `predict` reads, detached.
    """

    loss_sum: Tensor
    count: Tensor
    logits: tuple[Tensor, ...]


@dataclass
class Prediction:
    """What is predicted for one example.

    Args:
        example: Position of the example in its split.
        id: The example's own id.
        prediction: The predicted label, text or tags.
        target: What the data says.
        scores: Task-specific numbers, such as ``f1`` or ``confidence``.
        probabilities: Of each label, where the task has labels and metrics need more than the likeliest.
        group: What finer tables count it under, such as its subject.
        vector: Of its text, where the task makes vectors of texts.
    """

    example: int
    id: str
    prediction: Any
    target: Any
    scores: dict[str, float] = field(default_factory=dict)
    probabilities: Sequence[float] = ()
    group: str | None = None
    vector: Sequence[float] = field(default=(), repr=False, compare=False)

    def row(self) -> dict[str, Any]:
        """Return the row of predictions.jsonl."""
        return {"id": self.id, "prediction": self.prediction, "target": self.target, **self.scores}


class Task(Protocol):
    """What lightune's module, data and reports ask of a task.

    A task inherits from it for the sake of its defaults: what is not written here as an answer has to be written there.

    Attributes:
        pretokenized: Whether the tokenizer is given lists of words.
        padding: Column → what fills it up in a batch.
        eval_only: Columns that training does not read.
        packable: Whether several features may share a row, kept apart by the task's steps as ``segments`` says.
        unencoded: Settings that do not change the features, so that a sweep over them encodes once.
        kept: Settings that come from the training rows and go into checkpoints: an evaluation has no such rows.
        free_scores: Scores of a prediction that do not come from its target.
        augmentable: Canonical columns of text that may be altered without making the target wrong.
    """

    pretokenized: ClassVar[bool] = False
    padding: ClassVar[Mapping[str, int]] = MappingProxyType({})
    eval_only: ClassVar[Sequence[str]] = ()
    packable: ClassVar[bool] = False
    unencoded: ClassVar[Sequence[str]] = ()
    kept: ClassVar[Sequence[str]] = ("labels",)
    free_scores: ClassVar[Sequence[str]] = ("confidence",)
    augmentable: ClassVar[Sequence[str]] = ()

    @property
    def auto_class(self) -> str:
        """Return the name of the transformers auto class that builds the model."""

    @property
    def peft_type(self) -> str:
        """Return peft's name of the task."""

    @property
    def name(self) -> str:
        """Return the task's name."""

    @property
    def monitor(self) -> str:
        """Return the validation metric that picks the best checkpoint."""

    @property
    def architectures(self) -> Sequence[str] | None:
        """Return the kinds of backbone that the task has a head for; None for any."""

    # Rows ---------------------------------------------------------------------------------------------------------

    def read(self, table: Table) -> Table:
        """Return the table with canonical columns, each row checked."""

    def stand_ins(self, row: Row) -> Row:
        """Return what can stand for the targets of a row that has none and is only to be predicted.

        Nothing, as here, means that the row has its targets, or that this task predicts nothing without them.

        Args:
            row: As the user has it.

        Returns:
            Values by the data's columns, not by canonical ones.
        """
        return {}

    def with_labels(self, train: Table) -> Self:
        """Return the task with its label names, taken from the training rows where they were not given."""
        return self

    def check_labels(self, table: Table) -> None:
        """Raise DataError where a row has a label that the task does not know."""
        return

    def stratum(self, row: Row) -> Hashable:
        """Return what a cut into splits balances, or None."""
        return None

    def group(self, row: Row) -> Hashable:
        """Return what a cut into splits keeps together, or None."""
        return None

    def counted(self, row: Row) -> Sequence[str]:
        """Return what of a row is counted where the balance of a data set is shown, such as its label."""
        return ()

    def measured(self, row: Row) -> Mapping[str, float]:
        """Return numbers of a row whose spread is shown, such as its score or how long its answer is."""
        return {}

    # Features -----------------------------------------------------------------------------------------------------

    def with_backbone(self, config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> Self:
        """Return the task with what features, steps and predictions need to know of the backbone.

        Raises:
            ConfigError: The backbone lacks something, such as a token that masks others.
        """
        return self

    def head_config(self) -> dict[str, Any]:
        """Return the model configuration that the head needs, such as ``num_labels``."""
        return {}

    def initialize(self, fresh: Mapping[str, Parameter]) -> None:
        """Give parameters that the backbone's files did not hold a better beginning than a random one.

        Args:
            fresh: The head's parameters, and whatever else is new, by name.
        """
        return

    def encode(
        self, rows: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, list[Any]]:
        """Return features of a batch of examples.

        Column ``example`` says which example each belongs to, ``truncated`` whether it lost tokens. ``length`` is what
        batches are sorted and budgeted by; without it that is the number of input ids.
        """

    # Steps --------------------------------------------------------------------------------------------------------

    def step(self, model: nn.Module, batch: Batch) -> Output:
        """Run the model on a batch."""

    def predict(self, output: Output, batch: Batch) -> list[Any]:
        """Return a small picklable piece of evidence for each feature."""

    # Examples -----------------------------------------------------------------------------------------------------

    def tuned(self, metrics: Mapping[str, float]) -> Self:
        """Return the task with what its decisions take from the validation metrics, such as a threshold."""
        return self

    def conclude(self, evidence: Sequence[Any], examples: Sequence[Row]) -> list[Prediction]:
        """Put the evidence of all features together into one prediction for each example that has any."""

    def measure(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Return the metrics over examples."""

    def tables(self, predictions: Sequence[Prediction]) -> dict[str, list[dict[str, Any]]]:
        """Return finer tables, such as one row per class; may be empty."""
        return {}

    def usage(self) -> str:
        """Return Python lines for the model card that go on from ``model`` and ``tokenizer``; may be empty."""
        return ""


def absent(row: Row, column: str | None, value: Any) -> Row:
    """Return a value for a column, or nothing where the row has one."""
    return {} if row.get(str(column)) is not None else {str(column): value}


def model_inputs(batch: Batch) -> dict[str, Tensor]:
    """Return the tensors of a batch that every transformers model takes."""
    return {key: batch[key] for key in ("input_ids", "attention_mask", "token_type_ids") if key in batch}
