"""Learnt prompts: virtual tokens before the input, which no task is to see in the output."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

_SEQUENCES = {"logits": 3, "start_logits": 2, "end_logits": 2, "last_hidden_state": 3}  # outputs by token → dimensions


def hide_virtual_tokens(model: nn.Module) -> None:
    """Let a model's outputs by token be those of the tokens that it was given.

    Args:
        model: Of peft, with a learnt prompt; what it computes for the prompt stands at the beginning.
    """
    model.register_forward_hook(_cut, with_kwargs=True)


def _cut(module: nn.Module, arguments: tuple[Any, ...], inputs: Mapping[str, Tensor], output: Any) -> Any:
    length = inputs["input_ids"].size(1)
    for name, dimensions in _SEQUENCES.items():
        value = output.get(name)
        if value is not None and value.dim() == dimensions and value.size(1) > length:
            output[name] = value[:, -length:]
    return output
