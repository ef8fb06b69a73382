"""Multi-label classification: each label by itself, from the words of a text."""

import math
from collections import Counter

from lightune.data.world.baselines.words import f1, word_counts, words
from lightune.data.world.examples import Row


def most_frequent(train: list[Row], rows: list[Row]) -> list[list[str]]:
    """Answer with the one label that occurs most."""
    return [[Counter(label for row in train for label in row["label"]).most_common(1)[0][0]]] * len(rows)


def each_naive_bayes(train: list[Row], rows: list[Row]) -> list[list[str]]:
    """Answer with every label that is likelier there than not, given all words."""
    labels = sorted({label for row in train for label in row["label"]})
    answers: list[list[str]] = [[] for _ in rows]
    for label in labels:
        binary = [{"text": row["text"], "label": str(label in row["label"])} for row in train]
        counts = word_counts(binary)
        sizes = Counter(row["label"] for row in binary)
        for answer, row in zip(answers, rows, strict=True):
            odds = math.log(sizes["True"] / sizes["False"]) + sum(
                math.log((counts[word]["True"] + 1) / (sizes["True"] + 2))
                - math.log((counts[word]["False"] + 1) / (sizes["False"] + 2))
                for word in set(words(row["text"]))
                if word in counts
            )
            answer.extend([label] * (odds > 0))
    return answers


def micro_f1(predictions: list[list[str]], rows: list[Row]) -> float:
    """Return F1 over all pairs of an example and a label."""
    shared = sum(len(set(guess) & set(row["label"])) for guess, row in zip(predictions, rows, strict=True))
    return f1(shared, sum(map(len, predictions)), sum(len(row["label"]) for row in rows))


MEASURE = ("micro F1", micro_f1)
BASELINES = (most_frequent, each_naive_bayes)
