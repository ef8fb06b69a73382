"""What the tasks of the Hugging Face side share: encoded splits, the protocol the trainer script relies on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast
from uuid import uuid4

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from peft import TaskType

from hf_data import Row

Array = NDArray[Any]
Batch = dict[str, list[Any]]
Collator = Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]]


@dataclass
class Encoded:
    """One split, encoded.

    Attributes:
        rows: The examples as read.
        features: What the model sees, one row per feature, with a ``length`` column; the longest first
            where ``ordered``, so that going through it in order pads little.
        extra: For each feature what scoring needs besides the logits.
    """

    rows: list[Row]
    features: Dataset
    extra: dict[str, list[Array]]


class HfTask(Protocol):
    """What the trainer script needs to know about a task."""

    auto_class: Any
    peft_type: TaskType
    monitor: str
    extra_columns: tuple[str, ...]

    def model_arguments(self) -> dict[str, Any]:
        """Return what ``from_pretrained`` needs besides the model's folder."""
        ...

    def encode(self, batch: Batch) -> Batch:
        """Turn a batch of rows into features; each carries its ``length``."""
        ...

    def collator(self) -> Collator:
        """Return the function that pads a list of features into tensors."""
        ...

    def reduce_logits(self, logits: Any, labels: Any) -> Any:
        """Shrink what the evaluation loop keeps of each batch."""
        ...

    def score(self, split: Encoded, predictions: list[Any]) -> dict[str, float]:
        """Compute the metrics, in 0..1, of predictions given batch by batch in the order of the split's features."""
        ...


def encode_split(task: HfTask, rows: list[Row], *, ordered: bool) -> Encoded:
    """Tokenise one split with ``Dataset.map``.

    Args:
        task: Encodes the rows.
        rows: The examples.
        ordered: Put the longest features first (for evaluation); keep the order of the file otherwise.
    """
    source = Dataset.from_list([{**row, "row": index} for index, row in enumerate(rows)])
    # A fingerprint given beforehand spares pickling the tokenizer to compute one: nothing is cached here.
    features = source.map(task.encode, batched=True, remove_columns=source.column_names, new_fingerprint=uuid4().hex)
    if ordered:
        features = features.sort("length", reverse=True).flatten_indices()
    kept = task.extra_columns if ordered else ()
    # Straight from Arrow: the NumPy formatter would go through the values one by one.
    extra = {name: [np.asarray(value) for value in features.data[name].to_pylist()] for name in kept}
    return Encoded(rows, features.remove_columns(list(task.extra_columns)), extra)


def without_length(collate: Callable[[list[dict[str, Any]]], Any]) -> Collator:
    """Drop the ``length`` column, which is for the sampler only, before a collator turns it into a tensor."""

    def collated(features: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        kept = [{key: value for key, value in feature.items() if key != "length"} for feature in features]
        return cast(dict[str, torch.Tensor], collate(kept))

    return collated
