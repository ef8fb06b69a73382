"""Sentence embeddings: the words that two texts share."""

import math
from collections import Counter
from collections.abc import Callable

from lightune.data.world.baselines.words import words
from lightune.data.world.examples import Row


def shared_words(train: list[Row], rows: list[Row]) -> list[str]:
    """Answer with the candidate whose word counts have the highest cosine with those of the text."""
    return nearest(rows, lambda word: 1.0)


def tf_idf(train: list[Row], rows: list[Row]) -> list[str]:
    """The same, each word counting the less the more of the candidates have it."""
    texts = candidates(rows)
    known = Counter(word for text in texts for word in set(words(text)))
    return nearest(rows, lambda word: math.log(len(texts) / known[word]) if known[word] else 0.0)


def nearest(rows: list[Row], weight: Callable[[str], float]) -> list[str]:
    """Return the candidate with the highest cosine of weighted word counts, for each row."""
    texts = candidates(rows)
    vectors = [vector(text, weight) for text in texts]
    found = []
    for row in rows:
        asked = vector(row["text"], weight)
        scores = [math.fsum(asked[word] * other[word] for word in asked.keys() & other.keys()) for other in vectors]
        found.append(texts[scores.index(max(scores))])
    return found


def candidates(rows: list[Row]) -> list[str]:
    """Return every text that could be the answer, once."""
    return list(dict.fromkeys(text for row in rows for text in (row["text_pair"], row["negative"])))


def vector(text: str, weight: Callable[[str], float]) -> dict[str, float]:
    """Return a text's weighted word counts, at length 1."""
    counts = {word: count * weight(word) for word, count in Counter(words(text)).items()}
    length = math.sqrt(math.fsum(value**2 for value in counts.values()))
    return {word: value / length for word, value in counts.items()}


def recall(predictions: list[str], rows: list[Row]) -> float:
    """Return the share of texts whose pair was found."""
    return sum(guess == row["text_pair"] for guess, row in zip(predictions, rows, strict=True)) / len(rows)


MEASURE = ("recall at 1", recall)
BASELINES = (shared_words, tf_idf)
