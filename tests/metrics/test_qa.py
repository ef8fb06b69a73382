"""Exact match and F1 against hand arithmetic, torchmetrics and the rules of SQuAD's script."""

import random
import subprocess
import sys

import pytest
from torchmetrics.functional.text import squad

from lightune.metrics.qa import exact_match, f1, normalize_answer, qa_metrics


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Quick, brown\tfox!", "quick brown fox"),
        ("U.S.", "us"),
        ("well-known", "wellknown"),
        ("a theme for an ant", "theme for ant"),  # articles go as whole words only
        ("the", ""),
        ("A.", ""),  # punctuation goes first, and what is left is an article
        ("", ""),
        ("ÉCOLE  Normale", "école normale"),
        ("“quoted” — text", "“quoted” — text"),  # only ASCII punctuation goes
        ("東京、the 都", "東京、 都"),  # a word may begin after any punctuation
        ("東京the 都", "東京the 都"),  # but not within a word of another script
        ("$1,000.50", "100050"),
        ("one\u00a0two\u2003three\n", "one two three"),  # every Unicode space
    ],
)
def test_normalisation(text: str, normal: str) -> None:
    assert normalize_answer(text) == normal


@pytest.mark.parametrize(
    ("prediction", "references", "em", "overlap"),
    [
        ("The Eiffel Tower.", ["eiffel tower"], 1.0, 1.0),
        ("Eiffel Tower in Paris", ["the Eiffel Tower"], 0.0, 2 / 3),  # P 2/4, R 2/2
        ("New York", ["York", "New York City"], 0.0, 0.8),  # the better of 2/3 and 4/5
        ("ha ha ha", ["ha ha"], 0.0, 0.8),  # repeated words count as often as both have them
        ("tower eiffel", ["Eiffel Tower"], 0.0, 1.0),  # F1 ignores the order
        ("London", ["Paris"], 0.0, 0.0),
        ("Zürich", ["zürich"], 1.0, 1.0),
        ("Zurich", ["Zürich"], 0.0, 0.0),
        ("", [], 1.0, 1.0),  # no answer, and none predicted
        ("Paris", [], 0.0, 0.0),
        ("", ["Paris"], 0.0, 0.0),
        ("", ["Paris", ""], 1.0, 1.0),
        ("the", [""], 1.0, 1.0),
    ],
)
def test_scores_by_hand(prediction: str, references: list[str], em: float, overlap: float) -> None:
    assert exact_match(prediction, references) == em
    assert f1(prediction, references) == pytest.approx(overlap)


def phrase(source: random.Random) -> str:
    """A few words with articles, punctuation, capitals and other scripts among them, never empty once normalised."""
    words = ["the", "The", "a", "An", "cat", "Cat,", "dog.", "U.S.", "naïve", "東京", "1,000", "--", "ant", "cats"]
    return " ".join(["cat", *source.choices(words, k=source.randrange(5))])


def test_agrees_with_torchmetrics() -> None:
    source = random.Random(3)
    for _ in range(60):
        count = source.randrange(1, 5)
        predictions = [phrase(source) for _ in range(count)]
        references = [[phrase(source) for _ in range(source.randrange(1, 4))] for _ in range(count)]
        theirs = squad(
            [{"id": str(i), "prediction_text": text} for i, text in enumerate(predictions)],
            [{"id": str(i), "answers": {"text": r, "answer_start": [0] * len(r)}} for i, r in enumerate(references)],
        )
        ours = qa_metrics(predictions, references)
        assert {key: 100 * value for key, value in ours.items()} == pytest.approx(
            {key: float(value) for key, value in theirs.items()}, rel=1e-5
        )


def test_means_over_examples() -> None:
    scores = qa_metrics(["red", "red car", "", "x"], [["Red"], ["red"], [], ["y"]])
    assert scores == pytest.approx({"exact_match": 2 / 4, "f1": (1 + 2 / 3 + 1 + 0) / 4})


def test_no_examples() -> None:
    assert qa_metrics([], []) == {"exact_match": 0.0, "f1": 0.0}


def test_as_many_predictions_as_references() -> None:
    with pytest.raises(ValueError, match="shorter"):
        qa_metrics(["a", "b"], [["a"]])


def test_needs_no_torch() -> None:
    code = "import sys, lightune.metrics.qa, lightune.metrics.ner; print('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"
