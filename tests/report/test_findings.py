"""What loggers are given in the end: the worst predictions first, curves, and a row to predict from."""

from dataclasses import replace
from typing import Any

import pytest

from lightune.report.findings import curves, lineage, request, worst_first
from lightune.report.mlflow import as_csv
from lightune.report.tensorboard import markdown
from lightune.tasks.base import Prediction
from lightune.tasks.classification import Classification
from lightune.tasks.multilabel import MultiLabelClassification


def _predicted(*answers: tuple[Any, Any, dict[str, float]]) -> list[Prediction]:
    return [Prediction(i, f"{i}", found, true, scores) for i, (found, true, scores) in enumerate(answers)]


@pytest.mark.parametrize(
    ("answers", "order"),
    [
        # Labels: sure mistakes, other mistakes, unsure right ones, sure right ones.
        (
            [
                ("a", "a", {"confidence": 0.9}),
                ("a", "b", {"confidence": 0.6}),
                ("a", "a", {"confidence": 0.5}),
                ("a", "b", {"confidence": 0.99}),
            ],
            [3, 1, 2, 0],
        ),
        # Choices, which say themselves whether they are right.
        ([("x", ["x", "y"], {"accuracy": 1.0, "confidence": 0.8}), ("z", ["x"], {"accuracy": 0.0})], [1, 0]),
        (
            [("x", ["y"], {"f1": 0.5, "exact_match": 0.0}), ("x", ["x"], {"f1": 1.0}), ("q", ["r"], {"f1": 0.0})],
            [2, 0, 1],
        ),
        # Losses for each token.
        ([(9.0, None, {"loss": 10.0, "tokens": 10}), (3.0, None, {"loss": 8.0, "tokens": 2})], [1, 0]),
        ([(1.0, 1.5, {}), (4.0, 1.0, {}), (2.0, 2.1, {})], [1, 0, 2]),  # errors of numbers
        ([(["O", "B"], ["O", "O"], {}), (["O"], ["O"], {}), (["B"], ["O"], {})], [2, 0, 1]),  # tags
        ([(["a", "b"], ["a"], {}), ([], ["a"], {}), (["a", "b", "c"], ["a"], {})], [1, 2, 0]),  # sets of labels
    ],
)
def test_the_worst_come_first(answers: Any, order: list[int]) -> None:
    assert [p.example for p in worst_first(_predicted(*answers))] == order


def test_curves_have_a_truth_and_a_score_for_each_label() -> None:
    single = [
        replace(p, probabilities=q)
        for p, q in zip(_predicted(("a", "a", {}), ("a", "b", {})), ([0.7, 0.3], [0.6, 0.4]), strict=True)
    ]
    task: Any = Classification(labels=("a", "b"), columns={"text": "text", "label": "label"})
    first, second = curves(task, single)
    assert (first.label, first.truth.tolist(), first.scores.tolist()) == ("a", [True, False], [0.7, 0.6])
    assert (second.label, second.truth.tolist(), second.scores.tolist()) == ("b", [False, True], [0.3, 0.4])
    several: Any = MultiLabelClassification(labels=("a", "b"), columns={"text": "text", "label": "label"})
    (first, second) = curves(several, [replace(p, target=["a", "b"][: i + 1]) for i, p in enumerate(single)])
    assert (first.truth.tolist(), second.truth.tolist()) == ([True, True], [False, True])
    assert curves(task, _predicted(("a", "a", {}))) == []


def test_a_row_to_predict_from_lacks_its_target() -> None:
    task: Any = Classification(
        labels=("a", "b"), columns={"text": "review", "label": "stars", "text_pair": None, "id": "key"}
    )
    assert request(task, {"id": "1", "text": "good", "label": "a"}) == {"review": "good"}


def test_where_a_model_came_from() -> None:
    config = {
        "task": {"name": "qa"},
        "data": {"source": {"train": "a.json"}},
        "model": {"path": "org/model"},
        "peft": {"_target_": "lightune.adapt.Adapter"},
        "seed": 3,
    }
    assert lineage(config, {"best/step": 7}) == {
        "task": "qa",
        "data": '{"train": "a.json"}',
        "base_model": "org/model",
        "method": "adapter",  # what a class is called: no command chose an option
        "seed": "3",
        "step": "7",
    }


def test_tables_as_text() -> None:
    rows = [{"label": "a|b", "f1": 0.123456}, {"label": "c\nd", "support": 3}]
    assert markdown(rows).splitlines() == [
        "| label | f1 | support |",
        "| --- | --- | --- |",
        "| a\\|b | 0.1235 |  |",
        "| c d |  | 3 |",
    ]
    assert as_csv(rows).splitlines() == ["label,f1,support", "a|b,0.123456,", '"c', 'd",,3']
