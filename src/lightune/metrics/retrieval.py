"""Finding the right text among many: ranks by similarity, and what they say on average."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

CUTOFFS = (1, 5, 10)
_KEYS = ("mrr", *(f"recall_at_{k}" for k in CUTOFFS), "ndcg_at_10")
_CHUNK = 512  # queries that are compared with all candidates at a time


@dataclass(frozen=True)
class Found:
    """How a query's own candidate fares among all.

    Args:
        best: Position of the most similar candidate.
        rank: Of the query's own candidate, counted from 1; among equals it is the mean of their ranks, so that a model
            to which all texts look alike gains nothing.
        log_loss: Minus the logarithm of the own candidate's share in the softmax of the similarities.
    """

    best: int
    rank: float
    log_loss: float


def search(
    queries: Tensor,
    candidates: Tensor,
    targets: Sequence[int],
    excluded: Sequence[Collection[int]],
    temperature: float = 1.0,
) -> list[Found]:
    """Compare each query with all candidates by the product of their vectors.

    Args:
        queries: ``(queries, size)``.
        candidates: ``(candidates, size)``.
        targets: Position of each query's own candidate.
        excluded: Positions that a query is not compared with: further right answers, and itself.
        temperature: Divides the similarities before the softmax.

    Returns:
        One result for each query.
    """
    found: list[Found] = []
    for start in range(0, len(queries), _CHUNK):
        part = slice(start, start + _CHUNK)
        scores = queries[part].float() @ candidates.float().T
        for row, left_out in zip(scores, excluded[part], strict=True):
            row[list(left_out)] = -math.inf
        found += _of_scores(scores, torch.tensor(targets[part]), temperature)
    return found


def _of_scores(scores: Tensor, targets: Tensor, temperature: float) -> list[Found]:
    own = scores.gather(1, targets[:, None])
    ranks = 0.5 + (scores > own).sum(1) + 0.5 * (scores == own).sum(1)
    losses = (scores / temperature).logsumexp(1) - own.squeeze(1) / temperature
    columns = scores.argmax(1).tolist(), ranks.tolist(), losses.tolist()
    return [Found(best, rank, loss) for best, rank, loss in zip(*columns, strict=True)]


def retrieval_metrics(ranks: Sequence[float]) -> dict[str, float]:
    """Return the summary metrics over queries that have one right candidate each.

    Args:
        ranks: Of the right candidate of each query, counted from 1.

    Returns:
        ``mrr``, the mean of 1 / rank; ``recall_at_k`` for k of 1, 5 and 10, the share of ranks up to k; and
        ``ndcg_at_10``, the mean of 1 / log2(1 + rank) with 0 beyond 10 (Järvelin & Kekäläinen 2002, with one right
        candidate). From 0 to 1, and all 0.0 where there are no queries.
    """
    if not ranks:
        return dict.fromkeys(_KEYS, 0.0)
    return {
        "mrr": _mean([1 / rank for rank in ranks]),
        **{f"recall_at_{k}": _mean([float(rank <= k) for rank in ranks]) for k in CUTOFFS},
        "ndcg_at_10": _mean([1 / math.log2(1 + rank) if rank <= 10 else 0.0 for rank in ranks]),
    }


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
