"""Metrics as functions of sums: those of the tasks, on all examples and on any others."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sacrebleu.metrics import BLEU
from sklearn.metrics import f1_score

from lightune.metrics.ner import ner_metrics
from lightune.metrics.perplexity import perplexity_metrics
from lightune.report.runs.folder import Run
from lightune.report.runs.measures import is_right, measure

Rows = Sequence[dict[str, Any]]
RANDOM = np.random.default_rng(0)
SIZE = 30
LABELS = ["a", "b", "c"]
WORDS = "the cat sat on a mat and saw the dog".split()


def _columns(rows: Rows) -> tuple[list[Any], list[Any]]:
    return [row["prediction"] for row in rows], [row["target"] for row in rows]


def _classes() -> Rows:
    return [{"prediction": str(p), "target": str(t)} for p, t in RANDOM.choice(LABELS, (SIZE, 2))]


def _sets() -> Rows:
    return [
        {
            "prediction": [x for x in LABELS if RANDOM.random() < 0.5],
            "target": [x for x in LABELS if RANDOM.random() < 0.5],
        }
        for _ in range(SIZE)
    ]


def _tags() -> Rows:
    kinds = ["O", "O", "B-PER", "I-PER", "B-LOC"]
    return [
        dict(zip(("prediction", "target"), RANDOM.choice(kinds, (2, 8)).tolist(), strict=True)) for _ in range(SIZE)
    ]


def _texts() -> Rows:
    texts = [" ".join(RANDOM.choice(WORDS, 9)) for _ in range(SIZE)]
    return [{"prediction": " ".join([*text.split()[:7], "mat"]), "target": text} for text in texts]


def _numbers() -> Rows:
    return [{"prediction": p, "target": p + e} for p, e in RANDOM.normal(3, 1, (SIZE, 2)).tolist()]


def _losses() -> Rows:
    drawn = RANDOM.uniform(1, 9, (SIZE, 2)).tolist()
    return [
        {"loss": loss, "tokens": int(n), "bytes": 5 * int(n), "prediction": None, "target": None} for loss, n in drawn
    ]


def _ranks() -> Rows:
    return [{"rank": int(rank), "prediction": "x", "target": "y"} for rank in RANDOM.integers(1, 9, SIZE)]


def _indicators(rows: Rows) -> list[Any]:
    return [[[label in found for label in LABELS] for found in column] for column in reversed(_columns(rows))]


def _correlation(rows: Rows) -> float:
    return float(np.corrcoef(*_columns(rows))[0, 1])


def _bleu(rows: Rows) -> float:
    found, right = _columns(rows)
    return BLEU().corpus_score(found, [right]).score


def _f1(average: str) -> Callable[[Rows], float]:
    return lambda rows: float(f1_score(*reversed(_columns(rows)), average=average))


@pytest.mark.parametrize(
    ("metric", "make", "expected"),
    [
        ("f1_macro", _classes, _f1("macro")),
        ("f1_micro", _classes, _f1("micro")),
        ("f1_weighted", _classes, _f1("weighted")),
        ("accuracy", _classes, lambda rows: np.mean([row["prediction"] == row["target"] for row in rows])),
        ("f1_micro", _sets, lambda rows: f1_score(*_indicators(rows), average="micro")),
        ("f1_macro", _sets, lambda rows: f1_score(*_indicators(rows), average="macro")),
        ("accuracy", _sets, lambda rows: np.mean([set(row["prediction"]) == set(row["target"]) for row in rows])),
        ("f1", _tags, lambda rows: ner_metrics(*_columns(rows))["f1"]),
        ("precision", _tags, lambda rows: ner_metrics(*_columns(rows))["precision"]),
        ("recall", _tags, lambda rows: ner_metrics(*_columns(rows))["recall"]),
        ("f1_macro", _tags, lambda rows: ner_metrics(*_columns(rows))["f1_macro"]),
        ("bleu", _texts, _bleu),
        ("pearson", _numbers, _correlation),
        ("mse", _numbers, lambda rows: np.mean([(row["prediction"] - row["target"]) ** 2 for row in rows])),
        ("mae", _numbers, lambda rows: np.mean([abs(row["prediction"] - row["target"]) for row in rows])),
        ("perplexity", _losses, lambda rows: _perplexity(rows)["perplexity"]),
        ("byte_perplexity", _losses, lambda rows: _perplexity(rows)["byte_perplexity"]),
        ("bits_per_byte", _losses, lambda rows: _perplexity(rows)["bits_per_byte"]),
        ("mrr", _ranks, lambda rows: np.mean([1 / row["rank"] for row in rows])),
        ("recall_at_5", _ranks, lambda rows: np.mean([row["rank"] <= 5 for row in rows])),
    ],
)
def test_metrics_are_those_of_the_tasks(
    metric: str, make: Callable[[], Rows], expected: Callable[[Rows], float]
) -> None:
    rows = make()
    found = measure(run_with(rows, metric, float(expected(rows))), metric)
    assert found is not None
    assert found.value == pytest.approx(expected(rows))
    drawn = RANDOM.integers(SIZE, size=(5, SIZE))
    assert found(drawn) == pytest.approx([expected([rows[i] for i in row]) for row in drawn])


def _perplexity(rows: Rows) -> dict[str, float]:
    return perplexity_metrics(*([row[key] for row in rows] for key in ("loss", "tokens", "bytes")))


def run_with(rows: Rows, metric: str, value: float) -> Run:
    run = Run("a", Path(), {}, [], {}, {f"test/{metric}": value})
    run.__dict__["predictions"] = rows  # where it keeps what it has read
    return run


def test_scores_of_examples_are_kept() -> None:
    rows = [{"f1": 0.5, "exact_match": 0.0}, {"f1": 1.0, "exact_match": 1.0}]
    found = measure(run_with(rows, "f1", 0.75), "f1")
    assert found is not None
    assert found.scores is not None
    assert found.scores.tolist() == [0.5, 1.0]


@pytest.mark.parametrize("metric", ["f1_macro", "spearman", "chrf", "recall_at_x"])
def test_another_number_is_not_taken_for_the_metric(metric: str) -> None:
    assert measure(run_with(_classes(), metric, 0.123), metric) is None
    assert measure(run_with([], metric, 0.123), metric) is None


def test_a_metric_of_one_example() -> None:
    rows = [
        {"prediction": ["B-PER", "O"], "target": ["B-PER", "B-LOC"]},
        {"prediction": ["O", "B-LOC"], "target": ["O", "B-LOC"]},
    ]
    found = measure(run_with(rows, "f1", ner_metrics(*_columns(rows))["f1"]), "f1")
    assert found is not None
    assert found.alone == pytest.approx([2 / 3, 1])


def test_what_is_right() -> None:
    assert is_right({"prediction": "a", "target": "a"})
    assert not is_right({"prediction": "a", "target": "b"})
    assert is_right({"prediction": "an a", "target": ["a"], "exact_match": 1.0})
    assert is_right({"prediction": ["a", "b"], "target": ["b", "a"]})
    assert not is_right({"prediction": ["O", "O", "B-X"], "target": ["B-X", "O", "O"]})
    assert math.isclose(is_right({"prediction": None, "target": None}), 1)
