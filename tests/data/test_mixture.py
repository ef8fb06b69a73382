"""Several sources as one: their rows, their columns, how often each comes, and how well each is learnt."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lightune.data import world
from lightune.data.batching import Share
from lightune.data.sources import BuiltIn, Mixture
from lightune.errors import ConfigError, DataError
from lightune.instantiate import build
from tests import running

ALL = ("train", "val", "test")


def _file(folder: Path, name: str, count: int, column: str = "text") -> str:
    rows = [{column: f"{name} {i}", "label": "ab"[i % 2]} for i in range(count)]
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_parts_follow_each_other_under_the_same_columns(tmp_path: Path) -> None:
    news, web = _file(tmp_path, "news", 2), _file(tmp_path, "web", 3, "body")
    (table,) = Mixture({"news": news, "web": {"train": web, "columns": {"text": "body"}}}).load(ALL).values()
    assert [(row["text"], row["part"]) for row in table.rows] == [
        ("news 0", "news"), ("news 1", "news"), ("web 0", "web"), ("web 1", "web"), ("web 2", "web"),
    ]  # fmt: skip
    assert "body" not in table.columns
    assert table.locate(3) == "web.jsonl, line 2"


def test_a_part_may_be_any_source() -> None:
    parts = {"world": {"_target_": "lightune.data.sources.BuiltIn", "task": "qa"}}
    source = build({"_target_": "lightune.data.sources.Mixture", "parts": parts}, "data.source")
    assert isinstance(source.parts["world"], BuiltIn)
    assert {split: len(table) for split, table in source.load(ALL).items()} == {
        split: len(rows) for split, rows in world.generate("qa").items()
    }


@pytest.mark.parametrize(
    ("parts", "error", "says"),
    [
        ({}, ConfigError, "there is nothing to mix"),
        ({"a": {"trian": "a.jsonl"}}, ConfigError, r"data\.parts\.a\.trian: a part has no such key"),
        ({"a": {"train": "a.jsonl", "columns": {"text": "boddy"}}}, DataError, r"columns\.text=boddy: a\.jsonl has no"),
        ({"a": {"train": "a.jsonl", "val": "a.jsonl"}, "b": "a.jsonl"}, DataError, r"data\.parts\.b has no val split"),
    ],
)
def test_what_cannot_be_mixed_is_named(
    parts: dict[str, Any], error: type[Exception], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _file(tmp_path, "a", 3)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=says):
        Mixture(parts).load(ALL)


@pytest.mark.parametrize("name", world.tasks())
def test_every_task_keeps_the_part_of_a_row(name: str) -> None:
    from tests.command import composed

    task = build(composed(f"task={name}").task, "task")
    table = Mixture({"mine": BuiltIn(name)}).load(ALL)["test"]
    assert {row["part"] for row in task.read(table).rows} == {"mine"}


def test_weights_say_how_often_a_part_comes(tmp_path: Path) -> None:
    parts = ", ".join(f"{name}: {_file(tmp_path, name, count)}" for name, count in (("news", 60), ("web", 20)))
    typed = ("task=classification", "data=mix", f"data.parts={{{parts}}}", "data.limit={train: null}")
    experiment = running.assembled(tmp_path / "run", *typed, "data.weights={news: 1, web: 3}")
    split = experiment.data.splits["train"]
    names = [split.examples[example]["part"] for example in split.features["example"]]
    drawn = Counter(names[i] for batch in experiment.data.plan(Share())(0) for i in batch)
    assert drawn["web"] / drawn["news"] == pytest.approx(3, rel=0.05)
    assert drawn.total() == len(split.lengths)


def test_a_run_tells_the_metrics_of_each_part(tmp_path: Path) -> None:
    parts = ", ".join(f"{name}: {_file(tmp_path, name, count)}" for name, count in (("news", 60), ("web", 40)))
    run = running.train(
        tmp_path / "run", "task=classification", "data=mix", f"data.parts={{{parts}}}", "data.limit.test=null"
    )
    rows = json.loads((run / "test_per_part.json").read_text())
    predictions = running.predictions(run)
    assert {row["part"] for row in rows} == {"news", "web"}
    assert sum(row["examples"] for row in rows) == len(predictions)
    right = sum(row["prediction"] == row["target"] for row in predictions)
    assert sum(row["accuracy"] * row["examples"] for row in rows) == pytest.approx(right)
