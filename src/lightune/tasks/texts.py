"""What tasks on a text, or on a pair of texts, have in common: reading them, and their input ids."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from lightune.data.table import Table
from lightune.errors import DataError
from lightune.tasks.columns import Columns, canonical, require_text

TEXTS = ("text", "text_pair")


def read_texts(table: Table, columns: Columns) -> Table:
    """Return the canonical table of a task that has a ``text`` and, where the user named one, a ``text_pair``.

    Raises:
        DataError: A column is absent, a row has no value in it, or a text is blank.
    """
    read = canonical(table, columns, optional=("id", "text_pair", "group"))
    for column in TEXTS:
        if columns.get(column):
            require_text(read, column, columns[column])
    return read


def finite_number(value: Any, place: str, column: str | None) -> float:
    """Return a row's score as a float.

    Args:
        value: As the data has it.
        place: File and row, for the message.
        column: The data's column.

    Raises:
        DataError: It is no number, or an infinite one.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise DataError(
            f"{place}: column '{column}' should hold a number, and holds {value!r:.60}",
            "mend or leave out the row, or name another column: task.columns.score=…",
        )
    return number


def encode_texts(
    rows: Mapping[str, list[Any]], columns: Columns, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> dict[str, list[Any]]:
    """Return the model's inputs, ``example`` and ``truncated``; of a pair the longer text gives way first.

    Args:
        rows: Canonical rows as columns.
        columns: Canonical column → the data's column; ``text_pair`` may be None.
        tokenizer: Of the backbone.
        max_length: Tokens of a feature.
    """
    texts = [rows["text"], *([rows["text_pair"]] if columns.get("text_pair") else [])]
    encoded = tokenizer(*texts, truncation="longest_first", max_length=max_length)
    return {
        **{key: values for key, values in encoded.items() if key != "attention_mask"},
        "example": rows["example"],
        "truncated": _were_cut(texts, encoded["input_ids"], tokenizer, max_length),
    }


def shortened(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, longest: int
) -> tuple[list[list[int]], list[str], list[bool]]:
    """Return the first tokens of texts, the part of each text that they cover, and which were cut.

    Args:
        texts: Without special tokens.
        tokenizer: Of the backbone.
        longest: Tokens that are kept.
    """
    encoded = tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    cut = [len(ids) > longest for ids in encoded["input_ids"]]
    kept = [
        text[: offsets[longest - 1][1]] if is_cut else text
        for text, offsets, is_cut in zip(texts, encoded["offset_mapping"], cut, strict=True)
    ]
    return [ids[:longest] for ids in encoded["input_ids"]], kept, cut


def regrouped(values: Iterable[Any], groups: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Return a flat sequence in groups of the given sizes."""
    rest = iter(values)
    return [[next(rest) for _ in group] for group in groups]


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
