"""What language models are given: tokens, and where several texts share a row, what must not see what."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lightune.parallel.tensors import is_in_parts
from lightune.ranks import most_of_ranks
from lightune.tasks.base import Batch, model_inputs

_LOGITS = 2**27  # at a time in an evaluation: half a GiB in float32


def measured_in_parts(
    model: nn.Module, batch: Batch, measured: Callable[[Batch], tuple[Tensor, ...]]
) -> tuple[Tensor, ...]:
    """Return what is measured of each row; in an evaluation of so few rows at a time that their logits stay small.

    Evaluation batches are large, because nothing is kept for a backward pass. But the logits of a language model are
    larger than all its layers: 64 rows of 384 tokens times 49,152 words are 4.5 GiB.

    Args:
        model: Has the configuration of a transformers model.
        batch: Tensors whose first dimension is rows.
        measured: Batch → tensors of one number a row.
    """
    if model.training:
        return measured(batch)
    config: Any = model.config
    length = batch.get("labels", batch["input_ids"]).size(1)
    rows = max(1, _LOGITS // (length * config.get_text_config(decoder=True).vocab_size))
    split = {name: values.split(rows) for name, values in batch.items()}
    parts = [measured(dict(zip(split, part, strict=True))) for part in zip(*split.values(), strict=True)]
    if is_in_parts(model):  # every rank has to make as many forward passes
        for _ in range(most_of_ranks(len(parts)) - len(parts)):
            measured({name: values[:1] for name, values in batch.items()})
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))


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
