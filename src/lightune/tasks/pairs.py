"""A choice beside its context: what an encoder with a multiple-choice head reads."""

from collections.abc import Iterable, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from lightune.data.table import Row
from lightune.tasks.texts import regrouped

Pair = tuple[str, str]


def choice_pairs(row: Row) -> list[Pair]:
    """Return two texts for each choice: the context, and the question with it; or what there is of these, and it."""
    if row["context"] and row["question"]:
        return [(row["context"], f"{row['question']} {choice}") for choice in row["choices"]]
    return [(row["context"] or row["question"], choice) for choice in row["choices"]]


def encode_pairs(rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, max_length: int) -> dict[str, list[Any]]:
    """Return the inputs of each example's choices.

    What is too long loses the end of its first text, as long as there is some of it left; then the longer text of the
    two gives way.

    Args:
        rows: Canonical rows.
        tokenizer: Of the backbone.
        max_length: Tokens of a pair.

    Returns:
        For each example the model's inputs, a list for each choice; ``length``, the tokens of all of them, filled up to
        the longest; and ``truncated``.
    """
    pairs = [choice_pairs(row) for row in rows]
    columns, cut = _encoded([pair for of_row in pairs for pair in of_row], tokenizer, max_length)
    inputs = {key: regrouped(values, pairs) for key, values in columns.items()}
    return {
        **inputs,
        "length": [len(of_row) * max(map(len, of_row)) for of_row in inputs["input_ids"]],
        "truncated": [any(of_row) for of_row in regrouped(cut, pairs)],
    }


def _encoded(
    pairs: Sequence[Pair], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> tuple[dict[str, list[Any]], list[bool]]:
    """Return the inputs of each pair, and which of them lost tokens."""
    room = max_length - tokenizer.num_special_tokens_to_add(pair=True)
    sizes = _sizes((text for pair in pairs for text in pair), tokenizer)
    cut = [sizes[first] + sizes[second] > room for first, second in pairs]
    encoded = tokenizer(
        [first for first, _ in pairs],
        [second for _, second in pairs],
        truncation="longest_first",
        max_length=max_length,
    )
    columns = {name: list(values) for name, values in encoded.items() if name != "attention_mask"}
    for i, pair in enumerate(pairs):
        # Where the second text alone fills the room, nothing would be left of the first, and tokenizers refuse that.
        if cut[i] and sizes[pair[1]] < room:
            again = tokenizer(*pair, truncation="only_first", max_length=max_length)
            for name, values in columns.items():
                values[i] = again[name]
    return columns, cut


def _sizes(texts: Iterable[str], tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """Return the number of tokens of each text."""
    distinct = list(dict.fromkeys(texts))
    encoded = tokenizer(distinct, add_special_tokens=False, verbose=False)["input_ids"]
    return {text: len(ids) for text, ids in zip(distinct, encoded, strict=True)}
