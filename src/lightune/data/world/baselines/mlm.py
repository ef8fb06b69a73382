"""Masked words: guesses from the neighbours. Scored over words, where a model is scored over pieces of words."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from lightune.data.world.examples import Row

_WORD = re.compile(r"\w+|[^\w\s]")


def most_frequent_word(train: list[Row], rows: list[Row]) -> list[list[str]]:
    """Guess the most frequent word everywhere."""
    (word, _), *_ = Counter(word for row in train for word in split(row)).most_common(1)
    return [[word] * len(split(row)) for row in rows]


def word_before(train: list[Row], rows: list[Row]) -> list[list[str]]:
    """Guess the word that most often followed the one before."""
    followers: dict[str, Counter[str]] = defaultdict(Counter)
    for before, word, _ in triples(train):
        followers[before][word] += 1
    fallback = most_frequent_word(train, rows[:1])[0][0]
    return [[likeliest(followers[before], fallback) for before, _, _ in triples([row])] for row in rows]


def words_around(train: list[Row], rows: list[Row]) -> list[list[str]]:
    """Guess the word that most often stood between its two neighbours; where they are new together, `word_before`."""
    between: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for before, word, after in triples(train):
        between[before, after][word] += 1
    fallbacks = word_before(train, rows)
    return [
        [likeliest(between[b, a], other) for (b, _, a), other in zip(triples([row]), guesses, strict=True)]
        for row, guesses in zip(rows, fallbacks, strict=True)
    ]


def likeliest(counts: Counter[str], fallback: str) -> str:
    """Return the most frequent word, or the fallback where none was counted."""
    return counts.most_common(1)[0][0] if counts else fallback


def split(row: Row) -> list[str]:
    """Return a text's words and punctuation marks, lower-case."""
    return _WORD.findall(row["text"].lower())


def triples(rows: list[Row]) -> Iterator[tuple[str, str, str]]:
    """Yield each word between the one before and the one after it."""
    for row in rows:
        words = split(row)
        yield from zip(["", *words[:-1]], words, [*words[1:], ""], strict=True)


def accuracy(predictions: list[list[str]], rows: list[Row]) -> float:
    """Return the share of words that were guessed."""
    pairs = [pair for guess, row in zip(predictions, rows, strict=True) for pair in zip(guess, split(row), strict=True)]
    return sum(guess == word for guess, word in pairs) / len(pairs)


MEASURE = ("accuracy over words", accuracy)
BASELINES = (most_frequent_word, word_before, words_around)
