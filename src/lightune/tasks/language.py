"""What language models are given: tokens, and where several texts share a row, what must not see what."""

from typing import Any

import torch
from torch import Tensor, nn

from lightune.tasks.base import Batch, model_inputs


def language_inputs(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Return the tensors that a causal language model takes; packed rows get their own mask and positions.

    Args:
        model: Says in which type a mask is to be added to attention scores.
        batch: With ``segments`` where rows are packed.
    """
    inputs = model_inputs(batch)
    inputs.pop("token_type_ids", None)
    if "segments" not in batch:
        return inputs
    dtype: Any = getattr(model, "dtype", torch.float32)
    mask = packed_mask(batch["segments"])
    # Added to the scores rather than boolean: eager attention adds whatever it is given.
    added = torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, torch.finfo(dtype).min)
    return {**inputs, "attention_mask": added, "position_ids": packed_positions(batch["segments"])}


def packed_mask(segments: Tensor) -> Tensor:
    """Return which position may attend to which: earlier ones of its own text, and itself.

    Args:
        segments: Number of the text that each position belongs to, from 1; 0 is padding, ``(batch, length)``.

    Returns:
        ``(batch, 1, length, length)``, True where the second-last position may attend to the last. No row of it is
        empty, for the softmax over nothing is no number.
    """
    length = segments.size(1)
    same = (segments[:, :, None] == segments[:, None, :]) & (segments[:, None, :] > 0)
    causal = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    itself = torch.eye(length, dtype=torch.bool, device=segments.device)
    return ((same & causal) | itself)[:, None]


def packed_positions(segments: Tensor) -> Tensor:
    """Return each position counted from the beginning of its text, ``(batch, length)``."""
    return torch.arange(segments.size(1), device=segments.device) - run_starts(segments)


def run_starts(numbers: Tensor) -> Tensor:
    """Return at each position where the run of equal numbers that it belongs to begins, ``(batch, length)``."""
    places = torch.arange(numbers.size(1), device=numbers.device).expand_as(numbers)
    begins = torch.ones_like(numbers, dtype=torch.bool)
    begins[:, 1:] = numbers[:, 1:] != numbers[:, :-1]
    return places.where(begins, 0).cummax(1).values
