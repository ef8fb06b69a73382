"""Multiple choice: the words of question and choice, and which of them go together."""

import math
from collections import Counter
from itertools import product

from lightune.data.world.baselines.words import words
from lightune.data.world.examples import Row

Pairs = list[tuple[str, str]]


def longest(train: list[Row], rows: list[Row]) -> list[int]:
    """Answer with the longest choice."""
    return [max(range(len(row["choices"])), key=lambda i: len(row["choices"][i])) for row in rows]


def shared_words(train: list[Row], rows: list[Row]) -> list[int]:
    """Answer with the choice that has most of the question's words."""
    asked = [set(words(row["question"])) for row in rows]
    shares = [
        [len(said & set(words(choice))) for choice in row["choices"]] for said, row in zip(asked, rows, strict=True)
    ]
    return [counts.index(max(counts)) for counts in shares]


def shared(row: Row, number: int) -> int:
    """Return how many words a question shares with a choice."""
    return len(set(words(row["question"])) & set(words(row["choices"][number])))


def word_pairs(train: list[Row], rows: list[Row]) -> list[int]:
    """Answer with the choice whose words went with the question's in right choices rather than in wrong ones."""
    right: Counter[tuple[str, str]] = Counter()
    wrong: Counter[tuple[str, str]] = Counter()
    for row in train:
        for number, choice in enumerate(row["choices"]):
            (right if number == row["answer"] else wrong).update(pairs(row["question"], choice))
    odds = {pair: math.log((3 * right[pair] + 1) / (wrong[pair] + 1)) for pair in right | wrong}
    scores = [
        [math.fsum(odds.get(pair, 0.0) for pair in pairs(row["question"], choice)) for choice in row["choices"]]
        for row in rows
    ]
    return [found.index(max(found)) for found in scores]


def pairs(question: str, choice: str) -> Pairs:
    """Return each word of a question with each of a choice, and the words that are in both as a pair of their own."""
    asked, said = sorted(set(words(question))), sorted(set(words(choice)))
    return [*product(asked, said), *(("", "") for _ in set(asked) & set(said))]


def accuracy(predictions: list[int], rows: list[Row]) -> float:
    """Return the share of right choices."""
    return sum(guess == row["answer"] for guess, row in zip(predictions, rows, strict=True)) / len(rows)


MEASURE = ("accuracy", accuracy)
BASELINES = (longest, shared_words, word_pairs)
