"""Multiple choice: how the choices look, the words they share with the passage, and the words that went with them."""

import math
from collections import Counter

from lightune.data.world.baselines.words import words
from lightune.data.world.examples import Row


def longest(train: list[Row], rows: list[Row]) -> list[int]:
    """Answer with the longest choice."""
    return [max(range(len(row["choices"])), key=lambda i: len(row["choices"][i])) for row in rows]


def shared_words(train: list[Row], rows: list[Row]) -> list[int]:
    """Answer with the choice of whose words most, as a share, stand in the passage."""
    return [max(range(len(row["choices"])), key=lambda i: overlap(row, row["choices"][i])) for row in rows]


def overlap(row: Row, choice: str) -> float:
    """Return the share of a choice's words that stand in the passage."""
    known, said = set(words(row["context"])), set(words(choice))
    return len(known & said) / len(said)


def word_pairs(train: list[Row], rows: list[Row]) -> list[int]:
    """Answer with the choice whose words went with the passage's words in training, rather than not."""
    right, wrong = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for row in train:
        for i, choice in enumerate(row["choices"]):
            (right if i == row["answer"] else wrong).update(pairs(row, choice))

    def score(row: Row, choice: str) -> float:
        found = [pair for pair in pairs(row, choice) if pair in right or pair in wrong]
        return sum(math.log((3 * right[pair] + 1) / (wrong[pair] + 1)) for pair in sorted(found))

    return [max(range(len(row["choices"])), key=lambda i: score(row, row["choices"][i])) for row in rows]


def pairs(row: Row, choice: str) -> set[tuple[str, str]]:
    """Return every pair of a word of the passage and one of a choice."""
    return {(known, said) for known in set(words(row["context"])) for said in set(words(choice))}


def accuracy(predictions: list[int], rows: list[Row]) -> float:
    """Return the share of right choices."""
    return sum(guess == row["answer"] for guess, row in zip(predictions, rows, strict=True)) / len(rows)


MEASURE = ("accuracy", accuracy)
BASELINES = (longest, shared_words, word_pairs)
