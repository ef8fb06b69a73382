"""Summaries: sentences copied from the passage."""

import re

from lightune.data.world.baselines.qa import SENTENCE
from lightune.data.world.baselines.words import f1
from lightune.data.world.examples import Row

LENGTH = 3  # sentences


def first_sentences(train: list[Row], rows: list[Row]) -> list[str]:
    """Answer with the first sentences."""
    return [" ".join(sentences(row)[:LENGTH]) for row in rows]


def last_sentences(train: list[Row], rows: list[Row]) -> list[str]:
    """Answer with the last sentences."""
    return [" ".join(sentences(row)[-LENGTH:]) for row in rows]


def whole_passage(train: list[Row], rows: list[Row]) -> list[str]:
    """Answer with the passage as it is."""
    return [row["document"] for row in rows]


def sentences(row: Row) -> list[str]:
    """Return the sentences of a passage."""
    return [sentence.strip() for sentence in SENTENCE.findall(row["document"])]


def rouge_l(predictions: list[str], rows: list[Row]) -> float:
    """Return the mean F1 of the longest common subsequence of words (ROUGE-L, without stemming)."""
    pairs = [(tokens(guess), tokens(row["summary"])) for guess, row in zip(predictions, rows, strict=True)]
    return sum(f1(common(guess, gold), len(guess), len(gold)) for guess, gold in pairs) / len(pairs)


def tokens(text: str) -> list[str]:
    """Return a text's lower-case words and numbers."""
    return re.findall(r"[a-z0-9]+", text.lower())


def common(one: list[str], other: list[str]) -> int:
    """Return the length of the longest common subsequence of two lists."""
    best = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for j, candidate in enumerate(other, 1):
            best[j], before = (before + 1 if word == candidate else max(best[j], best[j - 1])), best[j]
    return best[-1]


MEASURE = ("ROUGE-L", rouge_l)
BASELINES = (first_sentences, last_sentences, whole_passage)
