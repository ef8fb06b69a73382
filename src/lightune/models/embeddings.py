"""Rows of the embeddings for tokens that no weights know yet."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from lightune.errors import ConfigError


def make_room(model: Any, size: int, new: Sequence[int]) -> None:
    """Give the embeddings, and a head over the vocabulary, a row for each new token: the mean of the others.

    Args:
        model: Of transformers.
        size: Tokens there are with the new ones.
        new: Their ids.

    Raises:
        ConfigError: Its embeddings cannot be enlarged.
    """
    unknown = set(new)
    means = [weight[[row for row in range(len(weight)) if row not in unknown]].mean(0) for weight in _rows(model)]
    try:
        if size > len(_rows(model)[0]):
            model.resize_token_embeddings(size, mean_resizing=False)
    except NotImplementedError as error:
        raise ConfigError(
            f"model.new_tokens: the embeddings of {type(model).__name__} cannot be enlarged", "type model.new_tokens=[]"
        ) from error
    for weight, mean in zip(_rows(model), means, strict=True):
        weight[list(new)] = mean


def _rows(model: Any) -> list[Tensor]:
    """Return the embeddings of a model, and the weights of its head over the vocabulary where it has one."""
    modules = (model.get_input_embeddings(), model.get_output_embeddings())
    return [module.weight.detach() for module in modules if module is not None]
