"""Exact match and F1 against hand arithmetic, torchmetrics and the rules of SQuAD's script."""

import random
import subprocess
import sys

import numpy as np
import pytest
from torchmetrics.functional.text import squad

from lightune.metrics.qa import (
    best_threshold,
    exact_match,
    f1,
    no_answer_metrics,
    normalize_answer,
    qa_metrics,
    worded,
)


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


def _questions(source: random.Random, grid: float) -> tuple[list[float], list[float], list[float], list[bool]]:
    """Return exact matches, F1s, no-answer scores on a grid (so that some are equal), and which have an answer."""
    answerable = [source.random() < 0.6 for _ in range(source.randrange(1, 30))]
    f1s = [source.choice([0.0, 0.25, 0.5, 1.0]) * has for has in answerable]
    scores = [round(source.gauss(0.0 if has else 2.0, 3.0) / grid) * grid for has in answerable]
    return [float(score == 1.0) for score in f1s], f1s, scores, answerable


def _with_threshold(scores: list[float], na: list[float], answerable: list[bool], threshold: float) -> list[float]:
    """Return the scores as the official script changes them for a threshold: none is predicted above it."""
    return [float(not has) if n > threshold else s for s, n, has in zip(scores, na, answerable, strict=True)]


def _sweep(scores: list[float], na: list[float], answerable: list[bool]) -> tuple[float, float | None]:
    """Return the best sum of scores and its threshold by the official script's rule, None where none is to be given.

    It begins with no answer anywhere and gives one answer after the other, from the lowest no-answer score on: an
    answerable question gains its score, another loses 1.
    """
    best = now = float(answerable.count(False))
    threshold = None
    for n, score, has in sorted(zip(na, scores, answerable, strict=True)):
        now += score if has else -1
        if now > best:
            best, threshold = now, n
    return best, threshold


def test_no_answer_metrics_by_hand() -> None:
    # Answerable: right and answered, half right and withheld, wrong and answered. Others: withheld, answered.
    exact, f1s, na = [1.0, 0.0, 0.0, 0.0, 0.0], [1.0, 0.5, 0.0, 0.0, 0.0], [-3.0, 1.0, -1.0, 2.0, 0.0]
    found = no_answer_metrics(exact, f1s, na, [True, True, True, False, False], threshold=0.0)
    assert found == pytest.approx(
        {
            "exact_match": 2 / 5,
            "has_answer_exact_match": 1 / 3,
            "f1": 2 / 5,
            "has_answer_f1": 1 / 3,
            "no_answer_accuracy": 1 / 2,
            "best_exact_match": 3 / 5,  # the first alone is answered
            "best_exact_match_threshold": -2.0,  # between -3 and -1
            "best_f1": 3 / 5,
            "best_threshold": -2.0,
        }
    )


@pytest.mark.parametrize("grid", [2.0, 0.5, 1e-9])
@pytest.mark.parametrize("threshold", [-2.0, 0.0, 0.3, 100.0])
def test_no_answer_metrics_are_the_official_ones(grid: float, threshold: float) -> None:
    source = random.Random(f"{grid}{threshold}")
    for _ in range(60):
        exact, f1s, na, answerable = _questions(source, grid)
        found = no_answer_metrics(exact, f1s, na, answerable, threshold)
        for key, scores in (("exact_match", exact), ("f1", f1s)):
            final = _with_threshold(scores, na, answerable, threshold)
            parts = {has: [s for s, a in zip(final, answerable, strict=True) if a is has] for has in (True, False)}
            assert found[key] == pytest.approx(sum(final) / len(final))
            assert found[f"has_answer_{key}"] == pytest.approx(sum(parts[True]) / max(len(parts[True]), 1))
            assert found["no_answer_accuracy"] == pytest.approx(sum(parts[False]) / max(len(parts[False]), 1))


@pytest.mark.parametrize("grid", [2.0, 0.5, 1e-9])
def test_the_best_threshold_is_the_best_of_all(grid: float) -> None:
    source = random.Random(f"{grid}")
    for _ in range(200):
        _, f1s, na, answerable = _questions(source, grid)
        threshold, best = best_threshold(f1s, na, answerable)
        reached = {t: sum(_with_threshold(f1s, na, answerable, t)) / len(na) for t in [min(na) - 1, *na, threshold]}
        assert best == pytest.approx(max(reached.values()))
        assert best == pytest.approx(reached[threshold])
        # No rounding of the scores tips an example over.
        assert min(abs(n - threshold) for n in na) >= min(grid / 2, 1) * 0.99


def test_the_best_threshold_is_that_of_the_official_sweep() -> None:
    source, higher = random.Random(7), 0
    for _ in range(200):
        _, f1s, na, answerable = _questions(source, 1e-9)
        assert len(set(na)) == len(na)  # among equal scores the sweep stops in mid-air
        ours, best = best_threshold(f1s, na, answerable)
        total, theirs = _sweep(f1s, na, answerable)
        assert best * len(na) == pytest.approx(total)
        if theirs is None:
            assert ours < min(na)
        else:
            assert theirs < ours < min([n for n in na if n > theirs], default=float("inf"))
            higher += 1
    assert 50 < higher < 200


def test_answered_questions_count_as_torchmetrics_counts_them() -> None:
    source = random.Random(5)
    references = [[phrase(source) for _ in range(source.randrange(4))] for _ in range(60)]
    predictions = [phrase(source) for _ in references]
    pairs = list(zip(predictions, references, strict=True))
    ours = no_answer_metrics(
        [exact_match(*pair) for pair in pairs], [f1(*pair) for pair in pairs], [0.0] * 60, [*map(bool, references)], 1.0
    )
    answered = [(str(i), text, found) for i, (text, found) in enumerate(pairs) if found]
    theirs = squad(
        [{"id": i, "prediction_text": text} for i, text, _ in answered],
        [{"id": i, "answers": {"text": found, "answer_start": [0] * len(found)}} for i, _, found in answered],
    )
    assert 20 < len(answered) < 60
    for key, value in theirs.items():
        assert 100 * ours[f"has_answer_{key}"] == pytest.approx(float(value), rel=1e-5)
        assert ours[key] == pytest.approx(ours[f"has_answer_{key}"] * len(answered) / 60)
    assert ours["no_answer_accuracy"] == 0.0


def test_neither_the_order_nor_a_shift_of_all_scores_matters() -> None:
    source = random.Random(9)
    exact, f1s, na, answerable = _questions(source, 0.5)
    found = no_answer_metrics(exact, f1s, na, answerable, 0.25)
    order = source.sample(range(len(na)), len(na))
    mixed = [np.array(column)[order] for column in (exact, f1s, na, answerable)]
    assert no_answer_metrics(mixed[0], mixed[1], mixed[2], mixed[3], 0.25) == pytest.approx(found)
    shifted = no_answer_metrics(exact, f1s, [n + 8 for n in na], answerable, 8.25)
    assert shifted.pop("best_threshold") == found.pop("best_threshold") + 8
    assert shifted.pop("best_exact_match_threshold") == found.pop("best_exact_match_threshold") + 8
    assert shifted == found


def test_one_kind_of_question_or_none() -> None:
    empty = no_answer_metrics([], [], [], [], 0.0)
    assert set(empty.values()) == {0.0}
    no_answers = no_answer_metrics([0.0] * 2, [0.0] * 2, [-1.0, 1.0], [False] * 2, 0.0)
    assert (no_answers["f1"], no_answers["has_answer_f1"], no_answers["no_answer_accuracy"]) == (0.5, 0.0, 0.5)
    assert (no_answers["best_f1"], no_answers["best_threshold"]) == (1.0, -2.0)  # below all: none is answered
    answers = no_answer_metrics([1.0] * 2, [1.0] * 2, [-1.0, 1.0], [True] * 2, 0.0)
    assert (answers["f1"], answers["has_answer_f1"], answers["no_answer_accuracy"]) == (0.5, 0.5, 0.0)
    assert (answers["best_f1"], answers["best_threshold"]) == (1.0, 2.0)  # above all
    assert empty.keys() == no_answers.keys() == answers.keys()


def test_references_without_a_word_do_not_count() -> None:
    assert worded(["The", "the Who", "--", ""]) == ["the Who"]
    assert worded(["a"]) == []
