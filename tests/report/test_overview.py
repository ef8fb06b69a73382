"""What a run says of itself: the numbers are its own, and the commands work as they stand."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.command import SMALL_RUN, Outcome, run

NAME = "my run, lr=3"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def outcome(home: Path) -> Outcome:
    """Train a small run in a folder whose name needs quotes, by a command without a list of choices left out."""
    outcome = run("train", [*SMALL_RUN, "task=classification", f'run_dir="{NAME}"', "data.max_length=16"], home)
    assert outcome.status == 0, outcome.err
    return outcome


@pytest.fixture(scope="module")
def metrics(home: Path, outcome: Outcome) -> dict[str, float]:
    return json.loads((home / NAME / "metrics.json").read_text(encoding="utf-8"))


def after(outcome: Outcome, label: str) -> str:
    """Return what stands behind a label."""
    (found,) = re.findall(rf"^  {label} {{2,}}(.+)$", outcome.out, re.MULTILINE)
    return str(found)


def test_the_composed_choices_are_shown(outcome: Outcome) -> None:
    for group, option in {"task": "classification", "model": "tiny", "peft": "lora", "trainer": "cpu"}.items():
        assert re.search(rf"│ {group} +│ {option} +│", outcome.out)


def test_what_will_happen_is_counted(outcome: Outcome, metrics: dict[str, float]) -> None:
    assert re.search(r"│ train +│ +16 │ +16 │ 100.0% +│ +256 │", outcome.out)  # 16 texts of 16 tokens, all cut
    assert re.search(r"│ val +│ +8 │ +8 │", outcome.out)
    assert "Warning: 16 of 16 train examples lose tokens at data.max_length=16." in outcome.out
    assert after(outcome, "steps") == "2 (1 epochs of 2)"
    trained, total = int(metrics["params/trainable"]), int(metrics["params/total"])
    assert after(outcome, "parameters") == f"{trained:,} of {total:,} trained ({100 * trained / total:.2f} %)"
    assert after(outcome, "best by") == "val/f1_macro"


def test_the_results_are_those_of_metrics_json(outcome: Outcome, metrics: dict[str, float]) -> None:
    for name, value in metrics.items():
        if name.startswith("test/"):
            assert re.search(rf"│ {name.removeprefix('test/')} +│ +{re.escape(f'{value:.4f}')} │", outcome.out)
    assert f"step 2, val/f1_macro {metrics['val/f1_macro']:.4f}" in after(outcome, "best")


def test_every_artefact_that_is_named_is_there(home: Path, outcome: Outcome) -> None:
    assert f"In {NAME}/" in outcome.out
    for name in ("metrics.json", "predictions.jsonl", "history.csv", "config.yaml", "checkpoints/", "model/"):
        assert after(outcome, name)
        assert (home / NAME / name).exists()


def test_the_command_to_evaluate_works_as_it_stands(home: Path, outcome: Outcome, metrics: dict[str, float]) -> None:
    _, script, *arguments = shlex.split(after(outcome, "evaluate"))
    assert script == "eval.py"
    evaluated = run("eval", arguments, home)
    assert evaluated.status == 0, evaluated.err
    (written,) = re.findall(r"^Written to (.+)/: metrics.json", evaluated.out, re.MULTILINE)
    found = json.loads((home / written / "metrics.json").read_text(encoding="utf-8"))
    tested = {name: value for name, value in metrics.items() if name.startswith("test/")}
    assert {name: value for name, value in found.items() if name.startswith("test/")} == tested


def test_the_command_to_train_on_works_as_it_stands(home: Path, outcome: Outcome) -> None:
    _, script, *arguments = shlex.split(after(outcome, "train on"))
    assert script == "train.py"
    resumed = run("train", arguments, home)
    assert resumed.status == 0, resumed.err
    assert after(resumed, "steps") == "4 (2 epochs of 2)"
    assert (home / NAME / "metrics.json").is_file()


@pytest.mark.parametrize(
    ("typed", "steps"),
    [
        (["trainer.max_steps=3", "trainer.max_epochs=5"], "3 (2 an epoch)"),
        (["trainer.max_steps=30"], "2 (2 an epoch)"),  # the epoch ends first
        (["trainer.accumulate_grad_batches=2"], "1 (1 epochs of 1)"),
        (["trainer.limit_train_batches=1", "trainer.max_epochs=3"], "3 (3 epochs of 1)"),
        (["trainer.limit_train_batches=0.5"], "1 (1 epochs of 1)"),
    ],
)
def test_the_steps_that_are_announced_are_made(typed: list[str], steps: str, tmp_path: Path) -> None:
    overrides = [*SMALL_RUN, "task=classification", "data.max_length=16", "run_dir=run", *typed]
    outcome = run("train", overrides, tmp_path)
    assert outcome.status == 0, outcome.err
    assert after(outcome, "steps") == steps
    made = json.loads((tmp_path / "run/metrics.json").read_text(encoding="utf-8"))["best/step"]
    assert made <= int(steps.split()[0])
    if "max_epochs" not in " ".join(typed):
        assert made == int(steps.split()[0])
