"""Which texts are negatives of which: of a batch, with the loss that follows, and of a whole split."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from lightune import losses
from lightune.data.table import Row
from lightune.metrics.retrieval import Found, search
from lightune.ranks import from_all_ranks

NOBODY = -1  # the key of no text


class Texts(NamedTuple):
    """Embedded texts and what is known of them.

    Args:
        vectors: ``(n, size)`` float32.
        keys: Equal where texts are equal, ``(n,)`` int64.
        partners: Key of the text that each forms a pair with, ``(n,)``; `NOBODY` for a hard negative.
    """

    vectors: Tensor
    keys: Tensor
    partners: Tensor

    def first(self, count: int) -> Self:
        """Return the first so many texts."""
        return type(self)(*(part[:count] for part in self))


def of_batch(firsts: Tensor, others: Tensor, keys: Tensor) -> tuple[Texts, Texts]:
    """Return a batch's first texts, and its second texts followed by the hard negatives.

    Args:
        firsts: Vectors of the first texts, ``(batch, size)``.
        others: Vectors of the second texts, then of all hard negatives, slot by slot, ``(n, size)``.
        keys: Of each example's texts in their order, `NOBODY` where there are fewer, ``(batch, texts)``.
    """
    there = keys[:, 1:].T.flatten()
    there = there[there != NOBODY]
    nobody = torch.full_like(there[len(firsts) :], NOBODY)
    return Texts(firsts, keys[:, 0], keys[:, 1]), Texts(others, there, torch.cat([keys[:, 0], nobody]))


def no_negatives(queries: Texts, candidates: Texts) -> Tensor:
    """Return True where a candidate is no negative of a query, ``(queries, candidates)``.

    It is none where it is the query's own text, the text that the query forms a pair with, or a text that an equal
    query forms a pair with.
    """
    keys, partners = queries.keys[:, None], queries.partners[:, None]
    return (candidates.keys == keys) | (candidates.keys == partners) | (candidates.partners == keys)


def in_batch(
    queries: Texts, candidates: Texts, temperature: float, counted: Tensor | None = None, symmetric: bool = False
) -> tuple[Tensor, Tensor]:
    """Return the summed contrastive loss over a batch, and the number of its queries that count.

    Candidates of all ranks are compared with, so all ranks have to call it equally often.

    Args:
        queries: First texts of this rank's pairs.
        candidates: Second texts in the same order, then any number of hard negatives.
        temperature: Divides the similarities.
        counted: True where a pair carries a loss, ``(pairs,)``; None for all. The others only serve as negatives.
        symmetric: Whether the second texts have to find the first as well; then the loss is the mean of both ways.
    """
    loss, count = _one_way(queries, candidates, temperature, counted)
    if symmetric:
        back = _one_way(candidates.first(len(queries.keys)), queries, temperature, counted)
        loss = (loss + back[0]) / 2
    return loss, count


def _one_way(queries: Texts, candidates: Texts, temperature: float, counted: Tensor | None) -> tuple[Tensor, Tensor]:
    (vectors, begin), (keys, _), (partners, _) = map(from_all_ranks, candidates)
    targets = torch.arange(begin, begin + len(queries.keys), device=keys.device)
    if counted is not None:
        targets = targets.where(counted, losses.IGNORED)
    excluded = no_negatives(queries, Texts(vectors, keys, partners))
    return losses.contrastive(queries.vectors @ vectors.T / temperature, targets, excluded=excluded)


def searched(vectors: Sequence[np.ndarray], rows: Sequence[Row], temperature: float) -> tuple[list[str], list[Found]]:
    """Return all candidates of a split, and how each example fares among them.

    Every second text and hard negative is a candidate, once. What `no_negatives` says of a batch holds here too.

    Args:
        vectors: Of each example's texts, ``(texts, size)``.
        rows: The examples: text, text_pair, and negative where there are hard negatives.
        temperature: Divides the similarities.
    """
    candidates: dict[str, np.ndarray] = {}
    right: dict[str, set[str]] = {}
    for row, (_, *others) in zip(rows, vectors, strict=True):
        for text, vector in zip([row["text_pair"], *row.get("negative", ())], others, strict=True):
            candidates.setdefault(text, vector)
        right.setdefault(row["text"], {row["text"]}).add(row["text_pair"])
    places = {text: place for place, text in enumerate(candidates)}
    found = search(
        stacked(first for first, *_ in vectors),
        stacked(candidates.values()),
        [places[row["text_pair"]] for row in rows],
        [{places[text] for text in right[row["text"]] - {row["text_pair"]} if text in places} for row in rows],
        temperature,
    )
    return list(candidates), found


def stacked(vectors: Iterable[np.ndarray]) -> Tensor:
    """Return arrays of one shape as a tensor, ``(n, …)``."""
    return torch.from_numpy(np.stack(list(vectors)))
