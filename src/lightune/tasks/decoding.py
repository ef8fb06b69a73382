"""From a prompt to a text: what generating tasks share."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, PretrainedConfig, PreTrainedTokenizerBase

from lightune.errors import ConfigError, nearest
from lightune.losses import IGNORED
from lightune.tasks.documents import boundary_tokens

# One text for each example, however it is found.
_OURS = ("num_return_sequences", "return_dict_in_generate", "pad_token_id", "decoder_start_token_id")


def decoding(
    settings: Mapping[str, Any], longest: int, config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase
) -> GenerationConfig:
    """Return how texts are generated: greedily, unless the settings say otherwise.

    Args:
        settings: Arguments of transformers' ``GenerationConfig``, such as ``num_beams``.
        longest: Tokens of a generated text at most.
        config: Of the model.
        tokenizer: Of the backbone.

    Raises:
        ConfigError: There is no such setting, or its value does not go with the others.
    """
    known = [key for key in GenerationConfig().to_dict() if key not in _OURS]
    for key in settings:
        if key not in known:
            raise ConfigError(f"task.generation.{key}: there is no such setting", nearest(key, known))
    try:
        found = GenerationConfig(
            **{
                "max_new_tokens": longest,
                "do_sample": False,
                "num_beams": 1,
                "eos_token_id": boundary_tokens(tokenizer)[1],
                "pad_token_id": tokenizer.pad_token_id,
                "decoder_start_token_id": getattr(config, "decoder_start_token_id", None),
                **settings,
            }
        )
        found.validate(strict=True)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"task.generation: {str(error).splitlines()[0]}", "mend task.generation.…") from error
    return found


def left_padded(input_ids: Tensor, lengths: Tensor, pad: int) -> tuple[Tensor, Tensor]:
    """Return the beginnings of rows with the padding before them: a decoder goes on at the right edge.

    Args:
        input_ids: Token ids, ``(batch, length)``.
        lengths: How many tokens of each row are the prompt, ``(batch,)``.
        pad: Fills rows up.

    Returns:
        Token ids and attention mask, ``(batch, longest prompt)`` each.
    """
    longest = int(lengths.max())
    places = torch.arange(longest, device=input_ids.device)[None, :] - (longest - lengths)[:, None]
    there = places >= 0
    return input_ids.gather(1, places.clamp(min=0)).where(there, pad), there.long()


def shifted_right(labels: Tensor, start: int, pad: int) -> Tensor:
    """Return what a decoder reads to predict labels: a start token, and each label but the last.

    Args:
        labels: Token ids, `IGNORED` where there is none, ``(batch, length)``.
        start: The start token.
        pad: Stands where there is no label.
    """
    before = torch.full_like(labels[:, :1], start)
    return torch.cat([before, labels[:, :-1].masked_fill(labels[:, :-1] == IGNORED, pad)], 1)
