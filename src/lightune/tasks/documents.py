"""What tasks on running text have in common: its tokens, and the windows that a model can take."""

from collections.abc import Iterator, Sequence

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
