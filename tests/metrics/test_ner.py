"""Entity scores against seqeval and hand arithmetic."""

import os
import random
import subprocess
import sys
import warnings

import pytest
from seqeval import metrics as seqeval
from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support

from lightune.errors import DataError
from lightune.metrics.ner import entities, ner_metrics, per_type_table, split_tag

TAGS = ["O", *(f"{prefix}-{kind}" for prefix in "BIES" for kind in ("PER", "LOC", "MISC-X"))]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-PER I-PER O B-LOC", [("PER", 0, 2), ("LOC", 3, 4)]),  # IOB2
        ("I-PER I-PER B-PER O", [("PER", 0, 2), ("PER", 2, 3)]),  # IOB1: B only between neighbours of one type
        ("B-PER I-LOC I-LOC", [("PER", 0, 1), ("LOC", 1, 3)]),  # a change of type ends an entity
        ("O I-PER", [("PER", 1, 2)]),  # I without B begins one
        ("S-PER B-LOC I-LOC E-LOC E-LOC", [("PER", 0, 1), ("LOC", 1, 4), ("LOC", 4, 5)]),  # BIOES
        ("S-PER I-PER", [("PER", 0, 1), ("PER", 1, 2)]),
        ("B-PER O I-PER", [("PER", 0, 1), ("PER", 2, 3)]),
        ("B I", [("_", 0, 2)]),
        ("B-a-b I-a-b", [("a-b", 0, 2)]),
        ("O O", []),
        ("", []),
    ],
)
def test_entities_by_hand(tags: str, expected: list[tuple[str, int, int]]) -> None:
    assert entities(tags.split()) == expected


def test_entities_are_those_of_seqeval() -> None:
    source = random.Random(0)
    for _ in range(2000):
        tags = source.choices(TAGS, k=source.randrange(12))
        assert entities(tags) == [(kind, first, last + 1) for kind, first, last in get_entities(tags)], tags


def draw(source: random.Random, tags: list[str]) -> tuple[list[list[str]], list[list[str]]]:
    """Random targets, and predictions that keep most of them."""
    target = [source.choices(tags, k=source.randrange(1, 9)) for _ in range(source.randrange(1, 5))]
    predicted = [[tag if source.random() < 0.7 else source.choice(tags) for tag in row] for row in target]
    return predicted, target


@pytest.mark.parametrize("tags", [TAGS, TAGS[:7], TAGS[:3], ["O"]], ids=["BIOES", "BIO", "B only", "O only"])
def test_scores_are_those_of_seqeval(tags: list[str]) -> None:
    source = random.Random(1)
    for _ in range(200):
        predicted, target = draw(source, tags)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ours = ner_metrics(predicted, target)
        theirs = {
            "f1": seqeval.f1_score(target, predicted, zero_division=0),
            "precision": seqeval.precision_score(target, predicted, zero_division=0),
            "recall": seqeval.recall_score(target, predicted, zero_division=0),
            "accuracy": seqeval.accuracy_score(target, predicted),
        }
        if any(entities(row) for row in predicted + target):  # else seqeval's macro average is the mean of nothing
            theirs["f1_macro"] = seqeval.f1_score(target, predicted, average="macro", zero_division=0)
        assert ours == pytest.approx({"f1_macro": 0.0} | theirs), (predicted, target)


def test_table_of_types_is_that_of_seqeval() -> None:
    source = random.Random(2)
    for _ in range(100):
        predicted, target = draw(source, TAGS)
        rows = per_type_table(predicted, target)
        theirs = precision_recall_fscore_support(target, predicted, average=None, zero_division=0)
        for key, column in zip(("precision", "recall", "f1", "support"), theirs, strict=True):
            assert [row[key] for row in rows] == pytest.approx(list(column)), key


def test_scores_by_hand() -> None:
    target = ["B-PER I-PER O B-LOC".split(), "B-PER O B-ORG".split()]
    predicted = ["B-PER I-PER O B-PER".split(), "B-PER I-PER B-ORG".split()]
    # Found: PER 0-2 (right), PER 3-4, PER 0-2, ORG 2-3 (right); four wanted. Tokens: 5 of 7.
    assert ner_metrics(predicted, target) == pytest.approx(
        {"f1": 0.5, "precision": 0.5, "recall": 0.5, "f1_macro": (0 + 1 + 2 / 5) / 3, "accuracy": 5 / 7}
    )
    assert per_type_table(predicted, target) == [
        {"type": "LOC", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1},
        {"type": "ORG", "precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1},
        {"type": "PER", "precision": pytest.approx(1 / 3), "recall": 0.5, "f1": pytest.approx(0.4), "support": 2},
    ]


@pytest.mark.parametrize(("predicted", "target"), [([], []), ([[]], [[]]), ([["O"]], [["B-PER"]])])
def test_nothing_to_count_is_zero(predicted: list[list[str]], target: list[list[str]]) -> None:
    assert set(ner_metrics(predicted, target).values()) == {0.0}


def test_entities_do_not_run_on_into_the_next_sequence() -> None:
    assert ner_metrics([["B-PER"], ["I-PER"]], [["B-PER"], ["I-PER"]])["f1"] == 1.0
    assert per_type_table([["B-PER"], ["I-PER"]], [["B-PER"], ["I-PER"]])[0]["support"] == 2


@pytest.mark.parametrize("tag", ["PER", "L-PER", "b-PER", "BPER", "", "O-PER", "-PER"])
def test_other_tags_are_refused(tag: str) -> None:
    with pytest.raises(DataError, match="neither O nor begins with B-, I-, E- or S-"):
        split_tag(tag)


@pytest.mark.parametrize(("predicted", "target"), [([["O"]], []), ([["O", "O"]], [["O"]])])
def test_lengths_must_fit(predicted: list[list[str]], target: list[list[str]]) -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        ner_metrics(predicted, target)


def test_every_process_finds_the_same_digits() -> None:
    """Sets of strings have another order in each process."""
    program = """
import random
from lightune.metrics.ner import ner_metrics
source = random.Random(0)
tags = [f"B-{kind}" for kind in "abcdefghijklmnopqrstuvwxyz"]
target = [source.choices(tags, k=9) for _ in range(99)]
print(ner_metrics([[tag if source.random() < 0.7 else "O" for tag in row] for row in target], target))
"""
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(6)
    }
    assert len(said) == 1
