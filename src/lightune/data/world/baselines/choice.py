"""Multiple choice: how the choices look, and where the passage names them."""

import re

from lightune.data.world.baselines.words import words
from lightune.data.world.examples import Row

SENTENCE = re.compile(r"[^.]+\.")


def longest(train: list[Row], rows: list[Row]) -> list[int]:
    """Answer with the longest choice."""
    return [max(range(len(row["choices"])), key=lambda i: len(row["choices"][i])) for row in rows]


def first_named(train: list[Row], rows: list[Row]) -> list[int]:
    """Answer with the choice that the passage names first."""
    return [min(range(len(row["choices"])), key=lambda i: row["context"].find(row["choices"][i])) for row in rows]


def nearest_sentence(train: list[Row], rows: list[Row]) -> list[int]:
    """Answer with the choice whose sentence shares most words with the question."""
    return [max(range(len(row["choices"])), key=lambda i: shared(row, row["choices"][i])) for row in rows]


def shared(row: Row, choice: str) -> int:
    """Return how many words of the question stand in a sentence that names a choice, at most."""
    asked = set(words(row["question"]))
    return max(len(asked & set(words(sentence))) for sentence in SENTENCE.findall(row["context"]) if choice in sentence)


def accuracy(predictions: list[int], rows: list[Row]) -> float:
    """Return the share of right choices."""
    return sum(guess == row["answer"] for guess, row in zip(predictions, rows, strict=True)) / len(rows)


MEASURE = ("accuracy", accuracy)
BASELINES = (longest, first_named, nearest_sentence)
