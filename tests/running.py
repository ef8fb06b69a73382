"""Small whole runs, for tests that look at what a run leaves behind: started, and read back."""

import copy
import csv
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from filelock import FileLock
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from torch import Tensor

from lightune import assemble, cli
from lightune.assemble import Experiment
from lightune.instantiate import plain
from tests import command

# Seconds, on one core. Batches of 8 make 5 steps of 40 examples.
SMALL = (
    "model=tiny",
    "trainer=cpu",
    "trainer.max_epochs=2",
    "trainer.log_every_n_steps=1",
    "data.batch_size=8",
    "data.limit={train: 40, val: 13, test: 11}",
    "callbacks.progress_bar=null",
)
# The same weights from the same gradients: nothing random but the first draw and the data order, and no optimiser that
# would blow a rounding error up to the size of a step.
PLAIN = ("optimizer=sgd", "optimizer.lr=0.1", "scheduler=constant")
BERT_WITHOUT_DROPOUT = ("+model.config.hidden_dropout_prob=0.0", "+model.config.attention_probs_dropout_prob=0.0")
ADAPTER_WITHOUT_DROPOUT = "peft.config.lora_dropout=0.0"


def train(run_dir: Path, *overrides: str) -> Path:
    """Train a small run in this process and return its folder."""
    place = f"run_dir={run_dir}"
    outcome = command.run("train", [*SMALL, *overrides, place], run_dir.parent)
    assert outcome.status == 0, outcome.err
    return run_dir


def resume(run_dir: Path, *overrides: str) -> Path:
    """Continue a run in this process and return its folder."""
    outcome = command.run("train", [f"resume={run_dir}", *overrides], run_dir.parent)
    assert outcome.status == 0, outcome.err
    return run_dir


def evaluate(checkpoint: Path, run_dir: Path, *overrides: str) -> Path:
    """Evaluate a checkpoint in this process and return the evaluation's folder."""
    outcome = command.run("eval", [f"checkpoint={checkpoint}", f"run_dir={run_dir}", *overrides], run_dir.parent)
    assert outcome.status == 0, outcome.err
    return run_dir


@lru_cache(maxsize=4)  # a run and its repetition
def _composed(*overrides: str) -> DictConfig:
    cli.register_resolvers()
    with initialize_config_dir(str(command.ROOT / "conf"), version_base="1.3"):
        return compose("train", [*SMALL, *overrides])


def assembled(run_dir: Path, *overrides: str) -> Experiment:
    """Return a small run's parts, before its first step: ``experiment.trainer`` can fit them."""
    cfg = copy.deepcopy(_composed(*overrides))
    cfg.run_dir = str(run_dir)
    lightning.seed_everything(cfg.seed, verbose=False)
    return assemble.experiment(cfg, {"config": plain(cfg), "overrides": []})


def start(script: str, folder: Path, *overrides: str) -> subprocess.Popen[str]:
    """Start ``python <script>.py <overrides>`` in a folder, as a process that leads its own group."""
    return subprocess.Popen(
        [sys.executable, str(command.ROOT / f"{script}.py"), *overrides],
        cwd=folder,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@contextmanager
def started(script: str, folder: Path, *overrides: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command as `start` does, and leave none of its processes behind."""
    process = start(script, folder, *overrides)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        if process.stdout and not process.stdout.closed:  # nobody has read it yet
            process.communicate()


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that `make` filled, once for all processes that test at the same time."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "once" / name
    made = folder.with_name(f"{name}.made")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{name}.lock")):
        if not made.exists():
            make(folder)
            made.touch()
    return folder


def weights(run_dir: Path, which: str = "last") -> dict[str, Tensor]:
    """Return the tensors of a run's checkpoint."""
    content = torch.load(run_dir / "checkpoints" / f"{which}.ckpt", weights_only=True)
    return content["state_dict"]


def history(run_dir: Path) -> list[dict[str, str]]:
    """Return the rows of history.csv, empty cells left out."""
    with (run_dir / "history.csv").open(newline="", encoding="utf-8") as file:
        return [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]


def losses(run_dir: Path) -> list[float]:
    """Return the training loss of each step that history.csv holds."""
    return [float(row["train/loss"]) for row in history(run_dir) if "train/loss" in row]


ALL_LOGGERS = (
    "task=classification",
    "logger=[csv,wandb,tensorboard,mlflow]",
    "optimizer.lr=5e-4",
    "data.max_length=48",
    "data.limit={train: 24, val: 6, test: 6}",
)


def followed(factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that all loggers followed, made once for all tests."""
    return once(factory, "loggers", _follow) / "run"


def _follow(folder: Path) -> None:
    train(folder / "run", *ALL_LOGGERS, f"paths.runs={folder}", "logger.mlflow.registered_model_name=topics")


def gradient_norms(run_dir: Path) -> dict[str, dict[str, float]]:
    """Return the norms of gradients of each step that history.csv holds: step → part → norm, that of all under ""."""
    name = "train/grad_norm"
    return {
        row["step"]: {key.removeprefix(name): float(value) for key, value in row.items() if key.startswith(name)}
        for row in history(run_dir)
        if name in row
    }


def metrics(run_dir: Path, prefix: str = "") -> dict[str, Any]:
    """Return the numbers of metrics.json whose names begin so."""
    content = json.loads((run_dir / "metrics.json").read_text(encoding="utf-8"))
    return {key: value for key, value in content.items() if key.startswith(prefix)}


def predictions(run_dir: Path) -> list[dict[str, Any]]:
    """Return the rows of predictions.jsonl."""
    return [json.loads(line) for line in (run_dir / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


def wandb_records(run_dir: Path) -> list[list[Any]]:
    """Return the records of each W&B run file below a folder, oldest file first."""
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]

    files = sorted((run_dir / "wandb").glob("offline-run-*/run-*.wandb"))
    return [[Record.FromString(content) for content in _scanned(file.read_bytes())] for file in files]


def _scanned(log: bytes) -> Iterator[bytes]:
    """Return the records of a log in LevelDB's format, which W&B begins with seven bytes of its own.

    A record's pieces lie in blocks of 32 KiB; before each stand a checksum (4 bytes), its length (2) and its kind (1):
    whole, first, middle or last.
    """
    assert log.startswith(b":W&B")
    place, record = 7, b""
    while place < len(log):
        left = 32768 - place % 32768
        if left < 7:  # no room for another head: zeros up to the next block
            place += left
            continue
        length, kind = struct.unpack_from("<HB", log, place + 4)
        record += log[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            yield record
            record = b""


def ended(arguments: list[str], folder: Path, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder to its end, with one thread and without a GPU."""
    return subprocess.run(
        arguments,
        cwd=folder,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def run_in_ranks(folder: Path, ranks: int, commands: list[tuple[str, list[str]]]) -> None:
    """Let processes of one group run commands, each a verb of `lightune.run` and its overrides, one after the other."""
    file = folder / "commands.json"
    file.write_text(json.dumps(commands), encoding="utf-8")
    job = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    outcome = ended([*job, str(command.ROOT / "tests" / "in_ranks.py"), str(file)], folder, timeout=600)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
