"""Regression: the words that two texts share."""

import math
from collections import Counter
from statistics import correlation

from lightune.data.world.baselines.words import words
from lightune.data.world.examples import Row


def shared_words(train: list[Row], rows: list[Row]) -> list[float]:
    """Answer with the share of the two texts' words that both have."""
    return [overlap(row, dict.fromkeys(words(f"{row['text']} {row['text_pair']}"), 1.0)) for row in rows]


def shared_rare_words(train: list[Row], rows: list[Row]) -> list[float]:
    """The same, each word counting the less the more training examples have it."""
    known = Counter(word for row in train for word in set(words(f"{row['text']} {row['text_pair']}")))
    return [
        overlap(row, {word: 1 / (1 + known[word]) for word in words(f"{row['text']} {row['text_pair']}")})
        for row in rows
    ]


def overlap(row: Row, weights: dict[str, float]) -> float:
    """Return the weight of the words that both texts have, as a share of all words' weight."""
    one, other = set(words(row["text"])), set(words(row["text_pair"]))
    return math.fsum(weights[word] for word in one & other) / math.fsum(weights[word] for word in one | other)


def pearson(predictions: list[float], rows: list[Row]) -> float:
    """Return Pearson's correlation with the true scores."""
    return correlation(predictions, [row["score"] for row in rows])


MEASURE = ("Pearson", pearson)
BASELINES = (shared_words, shared_rare_words)
