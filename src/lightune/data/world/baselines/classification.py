"""Classification: the words of a text, one by one."""

import math
from collections import Counter

from lightune.data.world.baselines.words import word_counts, words
from lightune.data.world.examples import Row


def majority(train: list[Row], rows: list[Row]) -> list[str]:
    """Answer with the most frequent label."""
    return [Counter(row["label"] for row in train).most_common(1)[0][0]] * len(rows)


def keyword(train: list[Row], rows: list[Row]) -> list[str]:
    """Answer with the label of the single word of the text that was most telling in training."""
    counts = word_counts(train)
    purity = {word: max(seen.values()) / (seen.total() + 2) for word, seen in counts.items()}
    best = {word: (purity[word], max(seen, key=seen.__getitem__)) for word, seen in counts.items()}
    fallback = (0.0, majority(train, rows[:1])[0])
    return [max((best.get(word, fallback) for word in words(row["text"])), key=lambda pair: pair[0])[1] for row in rows]


def naive_bayes(train: list[Row], rows: list[Row]) -> list[str]:
    """Answer with the label that is likeliest given all words (multinomial, add-one smoothing)."""
    counts = word_counts(train)
    labels = sorted({row["label"] for row in train})
    totals = {label: sum(seen[label] for seen in counts.values()) + len(counts) for label in labels}

    def score(row: Row, label: str) -> float:
        return sum(math.log((counts[word][label] + 1) / totals[label]) for word in words(row["text"]) if word in counts)

    return [max(labels, key=lambda label: score(row, label)) for row in rows]


def accuracy(predictions: list[str], rows: list[Row]) -> float:
    """Return the share of right labels."""
    return sum(guess == row["label"] for guess, row in zip(predictions, rows, strict=True)) / len(rows)


MEASURE = ("accuracy", accuracy)
BASELINES = (majority, keyword, naive_bayes)
