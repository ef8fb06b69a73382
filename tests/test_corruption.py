"""Damaged, foreign and hostile checkpoints: recovered from or refused, and never executed."""

import json
import os
import pickle
import resource
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lightune import checkpoint_card
from tests import command, running

TYPED = (
    "task=ner",
    "peft=lora",
    *running.PLAIN,
    "callbacks.last.every_n_steps=3",
    "data.limit={train: 40, val: 6, test: 6}",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of ten steps, which was never interrupted."""
    return running.train(tmp_path_factory.mktemp("whole") / "run", *TYPED)


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """Return a copy of it as it was after nine steps: last.ckpt is of step 9, another one of step 6 or 5."""
    del whole
    return running.train(tmp_path / "run", *TYPED, "trainer.max_steps=9")


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def missing(path: Path) -> None:
    path.unlink()


def foreign(path: Path) -> None:
    torch.save({"state_dict": {"weight": torch.ones(3)}}, path)


def older(path: Path) -> None:
    _with_card(path, lambda card: {key: value for key, value in card.items() if key != "format"})


def newer(path: Path) -> None:
    _with_card(path, lambda card: {**card, "format": checkpoint_card.FORMAT + 1})


def _with_card(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Write a checkpoint anew with another card."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, entry in content.items():
            ours = name.endswith(checkpoint_card.ENTRY)
            archive.writestr(name, json.dumps(change(json.loads(entry))) if ours else entry)


DAMAGES = (flipped, truncated, emptied, missing, foreign, older, newer)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_run_goes_on_from_the_newest_checkpoint_that_is_whole(
    damage: Callable[[Path], None], whole: Path, run: Path
) -> None:
    damage(run / "checkpoints" / "last.ckpt")
    outcome = command.run("train", [f"resume={run}", "trainer.max_steps=-1"], run.parent)
    assert outcome.status == 0, outcome.err
    assert "last.ckpt is missing or damaged; step_6.ckpt takes its place" in outcome.err
    resumed, uninterrupted = running.weights(run), running.weights(whole)
    assert all(torch.equal(resumed[name], uninterrupted[name]) for name in uninterrupted)
    assert running.losses(run) == running.losses(whole)


def test_all_of_them_damaged_is_an_error(run: Path) -> None:
    for path in (run / "checkpoints").glob("*.ckpt"):
        truncated(path)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    outcome = command.run("train", [f"resume={run}"], run.parent)
    assert outcome.status == 1
    assert "last.ckpt: the checkpoint is truncated or damaged" in outcome.err
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("damage", [damage for damage in DAMAGES if damage is not missing], ids=lambda d: d.__name__)
@pytest.mark.parametrize("script", ["eval", "export"])
def test_nothing_stands_in_for_the_best_one(
    script: str, damage: Callable[[Path], None], whole: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    damage(run / "checkpoints" / "best.ckpt")
    outcome = command.run(script, [f"checkpoint={run}"], tmp_path)
    assert outcome.status == 1
    assert "best.ckpt: " in outcome.err
    assert "→" in outcome.err
    assert not [*run.glob("eval_*"), *run.glob("merged")]


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("script", ["train", "eval", "export"])
def test_code_in_a_checkpoint_is_not_run(script: str, whole: Path, tmp_path: Path) -> None:
    run, trace = shutil.copytree(whole, tmp_path / "run"), tmp_path / "executed"
    for path in (run / "checkpoints").glob("*.ckpt"):
        card = checkpoint_card.read(path)
        content = torch.load(path, weights_only=True)
        torch.save({**content, "callbacks": Hostile(trace)}, path)
        checkpoint_card.write(path, card)
    key = "resume" if script == "train" else "checkpoint"
    outcome = command.run(script, [f"{key}={run}"], tmp_path)
    assert outcome.status == 1
    assert "holds more than tensors and plain data, and was not loaded" in outcome.err
    assert not trace.exists()
    with pytest.raises(pickle.UnpicklingError):
        torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    run = running.train(tmp_path / "run", *TYPED, "trainer.max_steps=6")
    room = (run / "checkpoints" / "last.ckpt").stat().st_size // 2
    before = running.weights(run)
    full = subprocess.run(
        [sys.executable, str(command.ROOT / "train.py"), f"resume={run}", "trainer.max_steps=-1"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert full.returncode == 1, full.stderr
    assert "last.ckpt: it could not be written" in full.stderr or "best.ckpt: it could not be written" in full.stderr
    assert "MiB are free there. What was written before is whole: type resume=" in full.stderr
    assert not [path for path in run.rglob("*") if path.name.endswith(".part")]
    after = running.weights(run)
    assert all(torch.equal(before[name], after[name]) for name in before)
    running.resume(run, "trainer.max_steps=-1")
