"""Instructions: the answer without any reading, by the baselines of question answering."""

from lightune.data.world.baselines import qa
from lightune.data.world.examples import Row


def first_of_shape(train: list[Row], rows: list[Row]) -> list[str]:
    """Answer with the passage's first span that looks like an answer to the question."""
    return qa.first_of_shape([], [_as_question(row) for row in rows])


def nearest_sentence(train: list[Row], rows: list[Row]) -> list[str]:
    """Answer with the first fitting span of the sentence that shares most words with the question."""
    return qa.nearest_sentence([], [_as_question(row) for row in rows])


def _as_question(row: Row) -> Row:
    return {"context": row["input"], "question": row["instruction"]}


def exact_match(predictions: list[str], rows: list[Row]) -> float:
    """Return the share of answers that are right, letter by letter."""
    right = [row["output"].partition("#### ")[2] for row in rows]
    return sum(guess == answer for guess, answer in zip(predictions, right, strict=True)) / len(right)


MEASURE = ("exact match", exact_match)
BASELINES = (first_of_shape, nearest_sentence)
