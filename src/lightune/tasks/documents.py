"""What tasks on running text have in common: its tokens, and the windows that a model can take."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from lightune.errors import ConfigError


def boundary_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[int, int]:
    """Return the tokens that stand before and after a document.

    Where a tokenizer has no token for a beginning, that of an end serves for both: what follows an end is a beginning.

    Args:
        tokenizer: Of the backbone.

    Raises:
        ConfigError: It has no token that could end a text.
    """
    end = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id
    if end is None:
        raise ConfigError(
            "model: its tokenizer has no token that ends a text", "choose another backbone, e.g. model=smollm2"
        )
    beginnings = (tokenizer.bos_token_id, tokenizer.cls_token_id)
    return next((token for token in beginnings if token is not None), end), end


def leading_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the token that a tokenizer puts before every text, if it does."""
    first = tokenizer("")["input_ids"][:1]
    return [token for token in first if token in (tokenizer.bos_token_id, tokenizer.cls_token_id)]


def plain_ids(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Return the token ids of texts without any special tokens."""
    ids: list[list[int]] = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    return ids


def windows(tokens: Sequence[int], length: int, overlap: int) -> Iterator[Sequence[int]]:
    """Cut tokens into windows, each beginning with the last `overlap` tokens of the one before.

    Args:
        tokens: Of a document.
        length: Longest window.
        overlap: Tokens that two windows share, less than `length`.
    """
    assert 0 <= overlap < length
    yield tokens[:length]
    for start in range(length - overlap, len(tokens) - overlap, length - overlap):
        yield tokens[start : start + length]


def summed(evidence: Iterable[tuple[Any, ...]]) -> dict[int, tuple[float, ...]]:
    """Return loss and counts of each example over its windows, added in a way that no order of windows changes.

    Args:
        evidence: (example, loss, whole numbers) of each window.
    """
    parts: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for example, *numbers in evidence:
        parts[example].append(tuple(numbers))
    columns = {example: list(zip(*windows, strict=True)) for example, windows in parts.items()}
    return {example: (math.fsum(loss), *map(sum, counts)) for example, (loss, *counts) in columns.items()}
