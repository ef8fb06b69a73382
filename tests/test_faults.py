"""Where memory or a loader process fails a run: it says so, or goes on with smaller micro-batches."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from torch.utils.data import DataLoader

from lightune import faults
from lightune.checkpoint import AtomicCheckpointIO
from lightune.errors import TrainingError
from lightune.keys import TRAINERS_OWN
from lightune.report.forgiving import Forgiving
from tests import command, running

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits and children are asked of Linux")
# Wide enough for a batch to be felt, nothing random, and evaluations that need little.
WIDE = (
    "task=classification",
    "peft=full",
    "model.config.hidden_size=128",
    "model.config.intermediate_size=8192",
    "data.limit={train: 96, val: 8, test: 8}",
    "data.batch_size=96",
    "data.eval_batch_size=2",
    "trainer.max_epochs=1",
    "data.pad_to_multiple_of=64",
    *running.BERT_WITHOUT_DROPOUT,
    *running.PLAIN,
)
MIB = 600


def _limited(folder: Path, *typed: str) -> subprocess.CompletedProcess[str]:
    """Train with so much memory beside that of the libraries."""
    place = f"run_dir={folder / 'run'}"
    program = [sys.executable, str(command.ROOT / "tests" / "limited.py"), str(MIB)]
    return running.ended([*program, *running.SMALL, *WIDE, *typed, place], folder, timeout=300)


@linux
def test_without_memory_it_says_what_fits(tmp_path: Path) -> None:
    outcome = _limited(tmp_path)
    assert outcome.returncode == 1, outcome.stdout
    assert "step 1: the main memory has no room for a batch of 96 features" in outcome.stderr
    assert "data.batch_size=48 trainer.accumulate_grad_batches=2" in outcome.stderr
    assert "Traceback" not in outcome.stderr


@linux
def test_a_plan_finds_it_out_too(tmp_path: Path) -> None:
    outcome = _limited(tmp_path, "plan=true")
    assert outcome.returncode == 1, outcome.stdout
    assert "has no room for a batch of 96 features" in outcome.stderr


@linux
def test_the_same_steps_are_made_of_smaller_batches(tmp_path: Path) -> None:
    outcome = _limited(tmp_path, "trainer.auto_micro_batch=true")
    assert outcome.returncode == 0, outcome.stderr
    assert "Trying data.batch_size=48 trainer.accumulate_grad_batches=2" in outcome.stdout
    whole = running.train(tmp_path / "whole", *WIDE)
    run = tmp_path / "run"
    assert running.losses(run) == pytest.approx(running.losses(whole), abs=1e-5)
    assert running.metrics(run)["tokens/total"] == running.metrics(whole)["tokens/total"]
    kept = OmegaConf.load(run / "config.yaml")
    assert kept.data.batch_size * kept.trainer.accumulate_grad_batches == 96
    assert kept.data.batch_size < 96
    running.resume(run, "trainer.max_epochs=2")  # with the batches that fitted
    assert OmegaConf.load(run / "config.yaml").data.batch_size == kept.data.batch_size


@pytest.mark.parametrize(
    ("size", "accumulate", "expected"),
    [(16, 1, (8, 2)), (16, 3, (8, 6)), (5, 1, (1, 5)), (6, 2, (3, 4)), (2, 1, (1, 2))],
)
def test_a_step_has_as_many_features_as_before(size: int, accumulate: int, expected: tuple[int, int]) -> None:
    trainer = {"accumulate_grad_batches": accumulate, "limit_train_batches": 1.0, "val_check_interval": 6}
    cfg = OmegaConf.create({"data": {"batch_size": size}, "trainer": trainer})
    changed = faults.smaller(cfg)
    assert (changed.data.batch_size, changed.trainer.accumulate_grad_batches) == expected
    assert changed.trainer.limit_train_batches == 1.0
    assert changed.trainer.val_check_interval == 6 * size / expected[0]
    assert cfg.data.batch_size == size


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["trainer=ddp_cpu"], "a process without memory leaves the others waiting"),
        (["data.tokens_per_batch=1000"], "data.tokens_per_batch decides"),
    ],
)
def test_what_cannot_try_again_is_refused(typed: list[str], said: str, tmp_path: Path) -> None:
    options = ["trainer.auto_micro_batch=true", f"run_dir={tmp_path / 'run'}", "check=true"]
    outcome = command.run("train", [*typed, *options], tmp_path)
    assert outcome.status == 1
    assert said in outcome.err


def test_it_is_a_key_of_our_own() -> None:
    assert "auto_micro_batch" in TRAINERS_OWN


def test_another_error_stays_what_it_is(tmp_path: Path) -> None:
    experiment = running.assembled(tmp_path / "run", "task=classification")
    with pytest.raises(RuntimeError, match="a fault of ours"), faults.told(OmegaConf.create(), experiment.trainer):
        raise RuntimeError("a fault of ours")


def test_the_gpus_own_error_is_understood(tmp_path: Path) -> None:
    experiment = running.assembled(tmp_path / "run", "task=classification")
    cfg = OmegaConf.create(
        {
            "run_dir": str(tmp_path / "run"),
            "data": {"batch_size": 1, "tokens_per_batch": None},
            "trainer": {"accumulate_grad_batches": 1},
        }
    )
    with pytest.raises(faults.OutOfMemoryError, match=r"data\.max_length"), faults.told(cfg, experiment.trainer):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def _loader_processes(process: "subprocess.Popen[str]") -> list[int]:
    file = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(child) for child in file.read_text(encoding="ascii").split()]


def _a_loader_process_dies(*_: object) -> None:
    """Kill one, and be where torch's handler raises."""
    batches = iter(DataLoader([0], num_workers=1))  # type: ignore[arg-type]
    os.kill(batches._workers[0].pid, signal.SIGKILL)  # type: ignore[attr-defined]
    time.sleep(60)


@linux
def test_a_loader_process_dies_while_a_checkpoint_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "save", _a_loader_process_dies)
    experiment = running.assembled(tmp_path / "run", "task=classification")
    cfg = OmegaConf.create({"run_dir": str(tmp_path / "run")})
    with pytest.raises(TrainingError, match=r"data\.num_workers=0"), faults.told(cfg, experiment.trainer):
        AtomicCheckpointIO().save_checkpoint({}, tmp_path / "last.ckpt")
    assert not list(tmp_path.iterdir())


@linux
def test_a_loader_process_dies_while_a_logger_writes() -> None:
    with pytest.raises(RuntimeError, match="DataLoader worker"), Forgiving("mine")():
        _a_loader_process_dies()


@linux
def test_a_loader_process_that_dies_ends_the_run(tmp_path: Path) -> None:
    typed = (
        "task=classification",
        "data.num_workers=1",
        "data.limit={train: 400, val: 4, test: 4}",
        "trainer.max_epochs=50",
        "callbacks.last.every_n_steps=2",
        f"run_dir={tmp_path / 'run'}",
    )
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    with running.started("train", tmp_path, *running.SMALL, *typed) as process:
        deadline = time.monotonic() + 200
        while not last.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        while process.poll() is None and time.monotonic() < deadline:  # a new one each epoch
            for child in _loader_processes(process):
                os.kill(child, signal.SIGKILL)
            time.sleep(0.05)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert "DataLoader worker" in said
    assert "data.num_workers=0" in said
    assert f"resume={tmp_path / 'run'}" in said
    assert "Traceback" not in said
    running.resume(tmp_path / "run", "data.num_workers=0", "trainer.max_epochs=1")
