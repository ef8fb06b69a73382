"""What is a copy is no negative, and the loss over a batch is the cross entropy over what is left."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from lightune.tasks.negatives import NOBODY, Texts, in_batch, no_negatives, of_batch, searched

A, B, C, D, E, F = range(1, 7)


def _batch(keys: list[list[int]], size: int = 6) -> tuple[Texts, Texts]:
    """Return random unit vectors for the texts of a batch."""
    known = torch.tensor(keys)
    generator = torch.Generator().manual_seed(0)
    firsts = torch.randn(len(keys), size, generator=generator)
    others = torch.randn(int((known[:, 1:] != NOBODY).sum()), size, generator=generator)
    return of_batch(functional.normalize(firsts, dim=1), functional.normalize(others, dim=1), known)


def test_second_texts_come_first_then_negatives() -> None:
    queries, candidates = _batch([[A, B, NOBODY, NOBODY], [C, D, E, F]])
    assert queries.keys.tolist() == [A, C]
    assert queries.partners.tolist() == [B, D]
    assert candidates.keys.tolist() == [B, D, E, F]
    assert candidates.partners.tolist() == [A, C, NOBODY, NOBODY]


@pytest.mark.parametrize(
    ("keys", "masked"),
    [
        ([[A, B], [C, D]], [[True, False], [False, True]]),  # only one's own, which the loss keeps
        ([[A, B], [C, B]], [[True, True], [True, True]]),  # the same second text
        ([[A, B], [A, D]], [[True, True], [True, True]]),  # the same first text has two pairs
        ([[A, B], [C, A]], [[True, True], [False, True]]),  # a first text stands among the second ones
    ],
)
def test_copies_are_no_negatives(keys: list[list[int]], masked: list[list[bool]]) -> None:
    assert no_negatives(*_batch(keys)).tolist() == masked


def test_hard_negatives_are_negatives_unless_they_are_right() -> None:
    queries, candidates = _batch([[A, B, E], [C, D, B]])
    assert no_negatives(queries, candidates).tolist() == [[True, False, False, True], [False, True, False, False]]


def test_without_copies_it_is_torchs_cross_entropy() -> None:
    queries, candidates = _batch([[A, B, E], [C, D, F]])
    scores = queries.vectors @ candidates.vectors.T / 0.1
    loss, count = in_batch(queries, candidates, 0.1)
    assert loss.item() == pytest.approx(functional.cross_entropy(scores, torch.tensor([0, 1])).item() * 2, rel=1e-5)
    assert int(count) == 2


def test_both_ways_by_torch() -> None:
    queries, candidates = _batch([[A, B, E], [C, D, F]])
    scores = queries.vectors @ candidates.vectors.T / 0.1
    ways = [functional.cross_entropy(part, torch.tensor([0, 1])) for part in (scores, scores[:, :2].T)]
    loss, count = in_batch(queries, candidates, 0.1, symmetric=True)
    assert (loss / count).item() == pytest.approx(float(sum(ways)) / 2, rel=1e-5)


def test_a_copied_pair_is_not_its_own_negative() -> None:
    """Only other queries see it twice."""
    queries, candidates = _batch([[A, B], [C, D]])
    vectors = torch.cat([queries.vectors, queries.vectors[1:]]), torch.cat([candidates.vectors, candidates.vectors[1:]])
    double = of_batch(*vectors, torch.tensor([[A, B], [C, D], [C, D]]))
    loss, count = in_batch(*double, 0.1)
    assert int(count) == 3
    scores = queries.vectors @ candidates.vectors.T / 0.1
    second = functional.cross_entropy(scores[1:], torch.tensor([1]))
    first = torch.cat([scores[0], scores[0, 1:]]).log_softmax(0)[0]
    assert loss.item() == pytest.approx((2 * second - first).item(), rel=1e-5)


def test_pairs_that_do_not_count_are_still_negatives() -> None:
    queries, candidates = _batch([[A, B], [C, D], [E, F]])
    scores = queries.vectors @ candidates.vectors.T / 0.1
    loss, count = in_batch(queries, candidates, 0.1, counted=torch.tensor([True, False, False]))
    assert int(count) == 1
    assert loss.item() == pytest.approx(functional.cross_entropy(scores[:1], torch.tensor([0])).item(), rel=1e-5)
    none, nothing = in_batch(queries, candidates, 0.1, counted=torch.zeros(3, dtype=torch.bool))
    assert (none.item(), int(nothing)) == (0.0, 0)


def _row(text: str, pair: str, *negatives: str) -> dict[str, Any]:
    return {"text": text, "text_pair": pair, "negative": list(negatives)}


def test_a_split_is_searched_through_once_for_each_text() -> None:
    rows = [_row("a", "b", "x"), _row("c", "d", "x"), _row("a", "e")]
    at = {"a": (1.0, 0.0), "b": (0.8, 0.6), "c": (0.0, 1.0), "d": (0.6, 0.8), "e": (1.0, 0.0), "x": (0.9, 0.1)}
    vectors = [
        np.array([at[t] for t in (row["text"], row["text_pair"], *row["negative"])], dtype="float32") for row in rows
    ]
    texts, found = searched(vectors, rows, temperature=1.0)
    assert texts == ["b", "x", "d", "e"]
    # "e" is right for "a" as well and is no rival of "b"; "x" is one, once.
    assert [(texts[one.best], one.rank) for one in found] == [("x", 2.0), ("d", 1.0), ("e", 1.0)]
    share = math.exp(0.8) / (math.exp(0.8) + math.exp(0.9) + math.exp(0.6))
    assert found[0].log_loss == pytest.approx(-math.log(share), rel=1e-5)


def test_the_text_itself_is_no_candidate_of_its_own() -> None:
    rows = [_row("a", "b"), _row("b", "a")]
    vectors = [np.array([[1.0, 0.0], [0.0, 1.0]], dtype="float32"), np.array([[0.0, 1.0], [1.0, 0.0]], dtype="float32")]
    texts, found = searched(vectors, rows, temperature=1.0)
    assert [(texts[one.best], one.rank) for one in found] == [("b", 1.0), ("a", 1.0)]
