"""Perplexity by hand: per token, per byte, and where there is nothing."""

import math

import pytest

from lightune.metrics.perplexity import perplexity_metrics


def test_by_hand() -> None:
    # Two documents that cost 3 and 1 bits per token, 2 and 6 tokens: 12 bits in 8 tokens and 24 bytes.
    found = perplexity_metrics([2 * 3 * math.log(2), 6 * 1 * math.log(2)], [2, 6], [10, 14])
    assert found == pytest.approx({"perplexity": 2**1.5, "byte_perplexity": 2**0.5, "bits_per_byte": 0.5})


def test_it_is_no_mean_of_documents() -> None:
    whole = perplexity_metrics([5.0, 1.0], [1, 9])["perplexity"]
    assert whole == pytest.approx(math.exp(6 / 10))
    assert whole != pytest.approx((math.exp(5) + math.exp(1 / 9)) / 2)


def test_without_sizes_and_without_documents() -> None:
    assert perplexity_metrics([1.0], [1]) == pytest.approx({"perplexity": math.e})
    assert perplexity_metrics([], [], []) == {"perplexity": 0.0, "byte_perplexity": 0.0, "bits_per_byte": 0.0}


def test_a_huge_loss_stays_a_number() -> None:
    assert math.isfinite(perplexity_metrics([1e6], [1])["perplexity"])
