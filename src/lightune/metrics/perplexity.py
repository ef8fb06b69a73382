"""Perplexity: how many tokens, or bytes, a language model hesitates between."""

import math
from collections.abc import Sequence


def perplexity_metrics(
    losses: Sequence[float], tokens: Sequence[float], sizes: Sequence[float] | None = None
) -> dict[str, float]:
    """Return perplexity per token, and where sizes are given per byte, over all documents together.

    The perplexity of a token depends on how the tokenizer cuts the text; per byte, models with different tokenizers can
    be compared.

    Args:
        losses: Negative log-likelihood of each document in nats.
        tokens: Predicted tokens of each document.
        sizes: Bytes of each document in UTF-8.

    Returns:
        ``perplexity``, and with sizes ``byte_perplexity`` and ``bits_per_byte``; 0 where there is nothing.
    """
    total = math.fsum(losses)
    found = {"perplexity": _exp(total, sum(tokens))}
    if sizes is not None:
        bytes_there = sum(sizes)
        found["byte_perplexity"] = _exp(total, bytes_there)
        found["bits_per_byte"] = total / math.log(2) / bytes_there if bytes_there else 0.0
    return found


def _exp(total: float, count: float) -> float:
    # A model that has learnt nothing yet may be surer of the wrong token than a float can say.
    return math.exp(min(total / count, 700.0)) if count else 0.0
