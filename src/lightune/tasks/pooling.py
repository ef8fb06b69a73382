"""From the vectors of tokens to the vector of a text: pure functions, and how a model card says the same."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor


def mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over a text's tokens, padding left out.

    Args:
        hidden: Vectors of tokens, ``(batch, length, size)``.
        mask: 1 where there is a token, 0 where there is padding, ``(batch, length)``. Padding stands on the right.

    Returns:
        ``(batch, size)``.
    """
    there = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * there).sum(1) / there.sum(1)


def cls(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the first token's vector, which BERT-like encoders have for the text as a whole; as `mean`."""
    return hidden[:, 0]


def last(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the last token's vector, the only one of a decoder that has seen the whole text; as `mean`."""
    return hidden[torch.arange(len(hidden), device=hidden.device), mask.sum(1) - 1]


POOLINGS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType({"mean": mean, "cls": cls, "last": last})

EXAMPLE = """import torch

batch = tokenizer(["A sentence.", "Another one."], padding=True, padding_side="right", return_tensors="pt")
with torch.no_grad():
    hidden, mask = model(**batch).last_hidden_state, batch["attention_mask"]
vectors = {pooled}"""
NORMALIZED = """
vectors = torch.nn.functional.normalize(vectors, dim=-1)  # products are cosines"""
EXAMPLES: Mapping[str, str] = MappingProxyType(
    {
        "mean": "(hidden * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)",
        "cls": "hidden[:, 0]",
        "last": "hidden[torch.arange(len(hidden)), mask.sum(1) - 1]",
    }
)
