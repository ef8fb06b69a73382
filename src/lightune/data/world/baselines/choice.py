"""Multiple choice: how the choices look, and where the passage names them."""

from lightune.data.world.baselines.qa import SENTENCE, shape_of
from lightune.data.world.baselines.words import words
from lightune.data.world.examples import Row


def longest(train: list[Row], rows: list[Row]) -> list[int]:
    """Answer with the longest choice."""
    return [max(range(len(row["choices"])), key=lambda i: len(row["choices"][i])) for row in rows]


def first_of_shape(train: list[Row], rows: list[Row]) -> list[int]:
    """Answer with the choice that the passage names first, of those that look like an answer to the question."""
    return [min(of_shape(row), key=lambda i: row["context"].find(row["choices"][i])) for row in rows]


def nearest_sentence(train: list[Row], rows: list[Row]) -> list[int]:
    """Answer with the choice whose sentence shares most words with the question."""
    return [max(range(len(row["choices"])), key=lambda i: shared(row, row["choices"][i])) for row in rows]


def nearest_of_shape(train: list[Row], rows: list[Row]) -> list[int]:
    """The same, of those that look like an answer to the question."""
    return [max(of_shape(row), key=lambda i: shared(row, row["choices"][i])) for row in rows]


def of_shape(row: Row) -> list[int]:
    """Return the choices that look like an answer to the question; all of them where none does."""
    shape = shape_of(row["question"])
    return [i for i, choice in enumerate(row["choices"]) if shape.fullmatch(choice)] or list(range(len(row["choices"])))


def shared(row: Row, choice: str) -> int:
    """Return how many words of the question stand in a sentence that names a choice, at most."""
    asked = set(words(row["question"]))
    named = [sentence for sentence in SENTENCE.findall(row["context"]) if choice in sentence]
    return max(len(asked & set(words(sentence))) for sentence in named)


def accuracy(predictions: list[int], rows: list[Row]) -> float:
    """Return the share of right choices."""
    return sum(guess == row["answer"] for guess, row in zip(predictions, rows, strict=True)) / len(rows)


MEASURE = ("accuracy", accuracy)
BASELINES = (longest, first_of_shape, nearest_sentence, nearest_of_shape)
