"""From canonical rows to features and to a batch, as `lightune.data` makes them."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from lightune.data.loaders import Collate
from lightune.data.table import Row
from lightune.tasks.base import Batch, Task

PADS = {"input_ids": 0, "token_type_ids": 0}
_OF_DATA = ("truncated", "length")  # what data reads of a feature, and no step does


def features_of(
    task: Task, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, length: int
) -> list[dict[str, Any]]:
    """Return a task's features of canonical rows, numbered where they are not yet."""
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    encoded = task.encode({"example": list(range(len(rows))), **columns}, tokenizer, length)
    return [dict(zip(encoded, values, strict=True)) for values in zip(*encoded.values(), strict=True)]


def batch_of(features: Sequence[Mapping[str, Any]], task: Task, multiple: int | None = None) -> Batch:
    """Return features as a batch."""
    kept = [{key: value for key, value in feature.items() if key not in _OF_DATA} for feature in features]
    return Collate({**PADS, **task.padding}, multiple)(kept)
