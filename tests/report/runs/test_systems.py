"""Which runs are draws of one experiment, what tells experiments apart, and lines of curves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lightune.report.artefacts import flat
from lightune.report.runs import examples
from lightune.report.runs import tested as test_set
from lightune.report.runs.curves import points
from lightune.report.runs.folder import Run
from lightune.report.runs.systems import differing, labels, systems


def run(name: str, typed: str = "", **config: Any) -> Run:
    content = {"run_dir": f"/runs/{name}", "callbacks.best.dirpath": f"/runs/{name}/checkpoints", **config}
    return Run(name, Path("nowhere") / name, content, typed.split(), {}, {})


def test_folders_and_seeds_make_no_other_experiment() -> None:
    runs = [run("a", seed=1, lr=1e-3), run("b", seed=2, lr=1e-3), run("c", seed=1, lr=1e-2)]
    assert [[each.name for each in system.runs] for system in systems(runs)] == [["a", "b"], ["c"]]
    assert differing(runs) == {"lr": [1e-3, 1e-3, 1e-2]}


def test_a_key_that_one_run_lacks_differs() -> None:
    assert differing([run("a", r=8), run("b")]) == {"r": [8, ""]}


def test_labels_say_no_more_than_is_needed() -> None:
    typed = [
        "peft=lora seed=1 optimizer.lr=0.1 data.x=1",
        "peft=lora optimizer.lr=0.2 data.x=2",
        "peft=full optimizer.lr=0.1 data.x=3",
    ]
    runs = [
        run(str(i), words, **{"optimizer.lr": float(words.split()[-2][-3:]), "data.x": i})
        for i, words in enumerate(typed)
    ]
    assert labels(runs) == ["peft=lora, lr=0.1", "peft=lora, lr=0.2", "peft=full, lr=0.1"]
    assert labels(runs[:1]) == ["0"]
    assert labels([run("a", lr=1), run("b", lr=2)]) == ["a", "b"]  # nothing was typed that tells them apart


def test_dotted_keys() -> None:
    assert flat({"a": {"b": 1, "c": {}}, "d": [1]}) == {"a.b": 1, "a.c": {}, "d": [1]}


def test_tokens_between_logged_steps_are_read_off_the_line() -> None:
    history = [
        {"step": 1.0, "train/tokens": 100.0},
        {"step": 2.0, "val/f1": 0.5},
        {"step": 3.0, "train/tokens": 300.0, "val/f1": 0.6},
    ]
    assert points(history, "val/f1", "step") == ([3, 4], [0.5, 0.6])
    assert points(history, "val/f1", "train/tokens") == ([200, 300], [0.5, 0.6])
    assert points([{"step": 1.0, "val/f1": 0.5}], "val/f1", "train/tokens") == ([], [])
    assert points(history, "val/loss", "step") == ([], [])


def test_long_histories_are_thinned_out() -> None:
    history = [{"step": float(i), "train/loss": float(i)} for i in range(10_000)]
    x, y = points(history, "train/loss", "step")
    assert 500 <= len(x) == len(y) <= 600
    assert x[0] == y[0] + 1 == 1


def test_folds_are_draws_of_their_seed() -> None:
    values = {(1, 1): 0.2, (1, 2): 0.4, (2, 1): 0.4, (2, 2): 0.8}
    runs = [
        replace(run(f"{seed}{fold}", "", **{"seed": seed, "data.fold": fold}), metrics={"test/f1": value})
        for (seed, fold), value in values.items()
    ]
    (both,), (one,) = systems(runs), systems(runs[:2])
    assert both.seeds == "1 (folds 1 2), 2 (folds 1 2)"
    assert both.draws("test/f1") == pytest.approx([0.3, 0.6])
    assert one.draws("test/f1") == [0.2, 0.4]
    assert [each.draw for each in one.runs] == ["1, fold 1", "1, fold 2"]


def test_a_seed_that_differs_in_type_is_shown() -> None:
    assert systems([run("a", seed=3), run("b", seed=None)])[0].seeds == "3, None"


@pytest.mark.parametrize("monitor", ["f1", "loss"])
def test_the_best_run_is_the_best_on_val(monitor: str) -> None:
    values = (0.1, 0.9)
    runs = [Run(str(v), Path(), {"task.monitor": monitor, "seed": v}, [], {}, {f"val/{monitor}": v}) for v in values]
    (system,) = systems(runs)
    assert system.best.name == ("0.1" if monitor == "loss" else "0.9")


def test_differing_scores_are_the_largest_first_and_readable() -> None:
    """Of a regression the errors are compared."""
    found = []
    for name, predictions in (("a", (1.0123456789, 3.0)), ("b", (1.5, 2.98765432109))):
        each = replace(run(name, f"x={name}", x=name), metrics={"test/pearson": 0.5, "val/loss": 1.0})
        each.config.update({"headline": ["pearson"]})  # type: ignore[attr-defined]
        each.__dict__["predictions"] = [
            {"id": str(i), "target": target, "prediction": value}
            for i, (target, value) in enumerate(zip((1.0, 2.5), predictions, strict=True))
        ]
        found.append(each)
    tested = test_set.Tested("regression", systems(found), 2)
    table = examples.section(tested).table  # type: ignore[union-attr]
    shown = [[cell.text for cell in row][2:] for row in table.rows]  # type: ignore[union-attr]
    assert shown == [
        ["0", "1", "1.01235", "1.5", "0.0123", "0.5"],
        ["1", "2.5", "2.98765", "3", "0.488", "0.5"],
    ]
