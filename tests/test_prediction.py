"""Rows without targets are predicted: the same predictions as with them, and nothing that pretends to be measured."""

import json
from pathlib import Path
from typing import Any

import pytest

from lightune.data import world
from lightune.tasks.chat import awaits_response
from tests import command, running

ROWS = 7
# Task → what is typed, its target columns, and the scores that are there without them.
TASKS: dict[str, tuple[tuple[str, ...], set[str], set[str]]] = {
    "qa": (("model=tiny",), {"answers"}, {"score"}),
    "qa_v2": (("model=tiny",), {"answers"}, {"score", "no_answer_score"}),
    "classification": (("model=tiny",), {"label"}, {"confidence"}),
    "multilabel": (("model=tiny",), {"label"}, set()),
    "regression": (("model=tiny",), {"score"}, set()),
    "ner": (("model=tiny",), {"tags"}, set()),
    "choice": (("model=tiny",), {"answer"}, {"confidence"}),
    "translation": (("model=tiny-decoder", "task.max_target_length=16"), {"de"}, set()),
    "instruct": (("model=tiny-decoder", "task.max_target_length=16"), {"output"}, set()),
}


def _written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _evaluated(run: Path, folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    file = _written(folder / f"{name}.jsonl", rows)
    best = run / "checkpoints" / "best.ckpt"
    return running.evaluate(best, folder / name, "data=files", f"data.test={file}", "data.limit.test=null")


@pytest.mark.parametrize("task", TASKS)
def test_rows_without_targets_are_predicted(task: str, tmp_path: Path) -> None:
    typed, targets, scores = TASKS[task]
    run = running.train(tmp_path / "run", f"task={task}", *typed, "trainer.max_epochs=1", "data.max_length=96")
    rows = world.generate(task)["test"][:ROWS]
    assert targets & rows[0].keys()
    whole = _evaluated(run, tmp_path, "whole", rows)
    bare = _evaluated(run, tmp_path, "bare", [{k: v for k, v in row.items() if k not in targets} for row in rows])
    ours, theirs = running.predictions(bare), running.predictions(whole)
    assert [row["id"] for row in ours] == [row["id"] for row in rows]
    assert [row["prediction"] for row in ours] == [row["prediction"] for row in theirs]
    for row, other in zip(ours, theirs, strict=True):
        assert row["target"] is None
        assert row.keys() == {"id", "prediction", "target"} | scores
        assert {name: row[name] for name in scores} == pytest.approx({name: other[name] for name in scores})
    assert not running.metrics(bare, "test/")
    assert running.metrics(bare)["time/test_s"] > 0
    assert {path.name for path in bare.iterdir()} == {"metrics.json", "predictions.jsonl"}


def test_conversations_that_await_a_response_are_given_one(tmp_path: Path) -> None:
    typed, _, _ = TASKS["instruct"]
    run = running.train(tmp_path / "run", "task=instruct", *typed, "trainer.max_epochs=1", "data.max_length=96")
    asked = [{"messages": [{"role": "user", "content": f"Say {word}."}]} for word in ("one", "two")]
    bare = _evaluated(run, tmp_path, "bare", asked)
    assert [row["target"] for row in running.predictions(bare)] == [None, None]
    answered = [{"messages": [*row["messages"], {"from": "gpt", "value": "Well."}]} for row in asked]
    whole = _evaluated(run, tmp_path, "whole", answered)
    assert [row["target"] for row in running.predictions(whole)] == [["Well."], ["Well."]]
    ours, theirs = running.predictions(bare), running.predictions(whole)
    assert [row["prediction"] for row in ours] == [row["prediction"] for row in theirs]


@pytest.mark.parametrize(
    ("messages", "awaits"),
    [
        ([{"role": "user", "content": "a"}], True),
        ([{"from": "human", "value": "a"}], True),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], False),
        ([{"from": "gpt", "value": "a"}], False),
        ([], False),
        (["a"], False),
        ("a", False),
        ([{"content": "a"}], False),
    ],
)
def test_what_awaits_a_response(messages: Any, awaits: bool) -> None:
    assert awaits_response(messages) is awaits


def test_some_rows_without_a_target_are_a_mistake(tmp_path: Path) -> None:
    run = running.train(tmp_path / "run", "task=classification", "model=tiny", "trainer.max_epochs=1")
    rows = world.generate("classification")["test"][:2]
    file = _written(tmp_path / "some.jsonl", [rows[0], {"id": "x", "text": "a", "label": None}])
    best = run / "checkpoints" / "best.ckpt"
    outcome = command.run("eval", [f"checkpoint={best}", "data=files", f"data.test={file}"], tmp_path)
    assert outcome.status == 1
    assert "some.jsonl, line 2: column 'label' has no value" in outcome.err


def test_training_needs_targets(tmp_path: Path) -> None:
    file = _written(tmp_path / "bare.jsonl", [{"text": "a"}, {"text": "b"}])
    outcome = command.run("train", ["task=classification", "data=files", f"data.train={file}"], tmp_path)
    assert outcome.status == 1
    assert "there is no column 'label' for the task's 'label'" in outcome.err
