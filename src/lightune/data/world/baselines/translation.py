"""Translations: the source itself, or what a similar sentence was translated into."""

from sacrebleu.metrics import BLEU

from lightune.data.world.baselines.words import words
from lightune.data.world.examples import Row


def source(train: list[Row], rows: list[Row]) -> list[str]:
    """Answer with the source: names stay as they are."""
    return [row["en"] for row in rows]


def most_similar(train: list[Row], rows: list[Row]) -> list[str]:
    """Answer with the translation of the training text that shares most words with the source."""
    known = [(set(words(row["en"])), row["de"]) for row in train]
    return [max(known, key=lambda pair: len(pair[0] & asked) / len(pair[0] | asked))[1] for asked in map(_words, rows)]


def _words(row: Row) -> set[str]:
    return set(words(row["en"]))


def bleu(predictions: list[str], rows: list[Row]) -> float:
    """Return sacreBLEU's BLEU of all texts, from 0 to 1."""
    return float(BLEU().corpus_score(predictions, [[row["de"] for row in rows]]).score) / 100


MEASURE = ("BLEU ÷ 100", bleu)
BASELINES = (source, most_similar)
