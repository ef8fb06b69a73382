"""Ranks by hand, against a plain sort, and where all candidates look alike."""

import math
import random

import pytest
import torch
from sklearn.metrics import ndcg_score, top_k_accuracy_score

from lightune.metrics.retrieval import retrieval_metrics, search

QUERIES = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
CANDIDATES = torch.tensor([[3.0, 1.0], [2.0, 2.0], [1.0, 4.0]])


def test_by_hand() -> None:
    """Products of 3, 2, 1, of which the second is wanted, and of 1, 2, 4, of which the last is."""
    first, second = search(QUERIES, CANDIDATES, [1, 2], [set(), set()])
    assert (first.best, first.rank) == (0, 2.0)
    assert first.log_loss == pytest.approx(math.log(math.exp(3) + math.exp(2) + math.exp(1)) - 2, rel=1e-6)
    assert (second.best, second.rank) == (2, 1.0)


def test_what_is_excluded_is_not_compared_with() -> None:
    (found,) = search(QUERIES[:1], CANDIDATES, [1], [{0}], temperature=0.5)
    assert (found.best, found.rank) == (1, 1.0)
    assert found.log_loss == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-5)


def test_a_model_that_tells_nothing_apart_gains_nothing() -> None:
    """All candidates equal: the mean of the ranks 1 to 9."""
    found = search(torch.ones(4, 3), torch.ones(9, 3), [0, 3, 5, 8], [set()] * 4)
    assert [one.rank for one in found] == [5.0] * 4
    assert [one.log_loss for one in found] == pytest.approx([math.log(9)] * 4)


def test_many_queries_are_those_of_one_at_a_time() -> None:
    generator = torch.Generator().manual_seed(0)
    queries, candidates = (torch.randn(n, 8, generator=generator) for n in (1100, 50))
    targets = [i % 50 for i in range(1100)]
    excluded = [{(i + 7) % 50} for i in range(1100)]
    together = search(queries, candidates, targets, excluded)
    assert len(together) == 1100
    for i in (0, 511, 512, 1024, 1099):
        (alone,) = search(queries[i : i + 1], candidates, targets[i : i + 1], excluded[i : i + 1])
        assert (together[i].best, together[i].rank) == (alone.best, alone.rank)
        assert together[i].log_loss == pytest.approx(alone.log_loss, rel=1e-5)
        kept = sorted((float(queries[i] @ candidates[j]), j) for j in range(50) if j not in excluded[i])[::-1]
        assert alone.best == kept[0][1]
        assert alone.rank == 1 + [j for _, j in kept].index(targets[i])


def test_metrics_by_hand() -> None:
    metrics = retrieval_metrics([1.0, 2.0, 5.0, 20.0])
    assert metrics["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 5 + 1 / 20) / 4)
    assert [metrics[f"recall_at_{k}"] for k in (1, 5, 10)] == [0.25, 0.75, 0.75]
    assert metrics["ndcg_at_10"] == pytest.approx((1 + 1 / math.log2(3) + 1 / math.log2(6)) / 4)


def test_metrics_agree_with_scikit_learn() -> None:
    rng = random.Random(1)
    scores = torch.tensor([[rng.random() for _ in range(30)] for _ in range(40)])
    targets = [rng.randrange(30) for _ in range(40)]
    found = search(scores, torch.eye(30), targets, [set()] * 40)
    metrics = retrieval_metrics([one.rank for one in found])
    for k in (1, 5, 10):
        theirs = top_k_accuracy_score(targets, scores.numpy(), k=k, labels=range(30))
        assert metrics[f"recall_at_{k}"] == pytest.approx(theirs)
    wanted = torch.nn.functional.one_hot(torch.tensor(targets), 30)
    assert metrics["ndcg_at_10"] == pytest.approx(ndcg_score(wanted.numpy(), scores.numpy(), k=10))


def test_without_queries() -> None:
    assert set(retrieval_metrics([]).values()) == {0.0}
    assert retrieval_metrics([]).keys() == retrieval_metrics([1.0]).keys()
