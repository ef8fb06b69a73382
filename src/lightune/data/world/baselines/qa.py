"""Question answering: spans that look like an answer."""

import random
import re
from collections import Counter

from lightune.data.world.baselines.words import f1, words
from lightune.data.world.examples import Row

CAPITALS = re.compile(r"[A-Z][\w']*(?: (?:(?:&|of|and|the|in|for|a|to|at|on) )*[A-Z][\w']*)*")
NUMBER = re.compile(r"(?:\d+ )?(?:[A-Z][a-z]+ )?\d[\d,]*(?: [a-z]+)?")
YEAR = re.compile(r"(?:\d+ )?(?:[A-Z][a-z]+ )?1\d{3}\b")
PERSON = re.compile(r"[A-Z]\w+ [A-Z]\w+")
SHAPES = (("who", PERSON), ("by whom", PERSON), ("when", YEAR), ("year", YEAR), ("date", YEAR), ("day", YEAR))
SENTENCE = re.compile(r"[^.]+\.")


def shape_of(question: str) -> re.Pattern[str]:
    """Guess from a question's words what its answer looks like."""
    asked = question.lower()
    if "how " in asked:
        return NUMBER
    return next((shape for word, shape in SHAPES if word in asked), CAPITALS)


def spans(shape: re.Pattern[str], text: str, question: str) -> list[str]:
    """Return the spans of a shape that the question does not mention itself; the text's start where there are none."""
    found = [span[0].removeprefix("The ") for span in shape.finditer(text)]
    return [span for span in found if span not in question] or [text.split(".")[0]]


def first_span(train: list[Row], rows: list[Row]) -> list[str]:
    """Answer with the first capitalised name or number of the passage."""
    either = re.compile(f"{CAPITALS.pattern}|{NUMBER.pattern}")
    return [spans(either, row["context"], "")[0] for row in rows]


def first_of_shape(train: list[Row], rows: list[Row]) -> list[str]:
    """Answer with the passage's first span that looks like an answer to the question."""
    return [spans(shape_of(row["question"]), row["context"], row["question"])[0] for row in rows]


def random_of_shape(train: list[Row], rows: list[Row]) -> list[str]:
    """Answer with any span that looks like an answer to the question."""
    rng = random.Random(0)
    return [rng.choice(spans(shape_of(row["question"]), row["context"], row["question"])) for row in rows]


def nearest_sentence(train: list[Row], rows: list[Row]) -> list[str]:
    """Answer with the first fitting span of the sentence that shares most words with the question."""
    return [
        spans(shape_of(row["question"]), closest(row["context"], row["question"]), row["question"])[0] for row in rows
    ]


def closest(context: str, question: str) -> str:
    """Return the sentence of a passage that shares most words with a question."""
    asked = set(words(question))
    return max(SENTENCE.findall(context), key=lambda sentence: len(asked & set(words(sentence))))


def answer_f1(predictions: list[str], rows: list[Row]) -> float:
    """Return the mean F1 of the words of predicted answers; where there is no answer, 1 for saying so."""
    scores = []
    for prediction, row in zip(predictions, rows, strict=True):
        guess, gold = (Counter(words(text)) for text in (prediction, "".join(row["answers"]["text"][:1])))
        scores.append(f1((guess & gold).total(), guess.total(), gold.total()) if gold else float(not guess))
    return sum(scores) / len(scores)


MEASURE = ("F1", answer_f1)
BASELINES = (first_span, first_of_shape, random_of_shape, nearest_sentence)
