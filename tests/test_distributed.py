"""Two processes take the steps of one, count every example once, and end together."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests import running

# Passages are cut into windows, so that the windows of one example lie on both ranks; and every number is odd, so
# that the ranks' shares are not equal.
RUN = (
    "task=qa",
    "peft=lora",
    "data.limit={train: 9, val: 7, test: 21}",
    "data.max_length=64",
    "task.stride=16",
    "data.eval_batch_size=5",
    "+model.config.initializer_range=0.2",
    *running.BERT_WITHOUT_DROPOUT,
    running.ADAPTER_WITHOUT_DROPOUT,
    *running.PLAIN,
)


def _train_on_two(folder: Path) -> None:
    with running.started("train", folder, *running.SMALL, *RUN, "data.batch_size=4", "trainer=ddp") as process:
        said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    (folder / "said.txt").write_text(said, encoding="utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which ``python train.py trainer=ddp`` was typed."""
    return running.once(tmp_path_factory, "ddp", _train_on_two)


@pytest.fixture
def run(place: Path) -> Path:
    """Return its run folder, of which there has to be one."""
    (found,) = place.glob("runs/*/*")
    return found


def test_it_says_what_it_uses_instead_of_gpus(place: Path) -> None:
    said = (place / "said.txt").read_text(encoding="utf-8")
    assert said.count("two CPU processes (gloo)") == 1
    assert said.count("Test, best checkpoint") == 1  # one rank speaks


def test_the_run_folder_is_written_once(place: Path, run: Path) -> None:
    assert sorted(entry.name for entry in place.iterdir()) == ["runs", "said.txt"]
    assert {entry.name for entry in run.iterdir()} == {
        *("config.yaml", "overrides.yaml", "environment.json", "metrics.json", "history.csv", "predictions.jsonl"),
        *("checkpoints", "model"),
    }
    steps = [int(row["step"]) for row in running.history(run)]
    assert steps == list(range(len(steps)))


def test_each_example_counts_once(run: Path) -> None:
    ids = [row["id"] for row in running.predictions(run)]
    assert len(ids) == len(set(ids)) == 21


@pytest.mark.parametrize("split", ["test", "val"])
def test_one_process_finds_the_same_metrics(run: Path, split: str, tmp_path: Path) -> None:
    best = run / "checkpoints" / "best.ckpt"
    found = running.evaluate(best, tmp_path / "eval", f"split={split}", "trainer=cpu")
    assert running.metrics(found, f"{split}/") == pytest.approx(running.metrics(run, f"{split}/"), abs=1e-6)
    if split == "test":
        ours, theirs = running.predictions(found), running.predictions(run)
        assert [row["prediction"] for row in ours] == [row["prediction"] for row in theirs]


def test_the_steps_are_those_of_one_process(run: Path, tmp_path: Path) -> None:
    alone = running.train(tmp_path / "alone", *RUN, "data.batch_size=8")
    ours, theirs = running.weights(run), running.weights(alone)
    assert ours.keys() == theirs.keys()
    assert max((ours[name] - theirs[name]).abs().max().item() for name in ours) < 1e-5
    assert running.losses(run) == pytest.approx(running.losses(alone), abs=1e-5)
    norms = running.gradient_norms(alone)
    assert all(running.gradient_norms(run)[step] == pytest.approx(norms[step], rel=1e-3, abs=1e-6) for step in norms)
    for found, known in zip(running.history(run), running.history(alone), strict=True):
        assert found.get("train/tokens") == known.get("train/tokens")
        if "data/padding" in known:  # a half of a batch needs no more of it than the whole
            assert 0 <= float(found["data/padding"]) <= float(known["data/padding"])
    for number in ("tokens/total", "best/step", "best/epoch", "params/trainable"):
        assert running.metrics(run)[number] == running.metrics(alone)[number]


@contextmanager
def training(folder: Path, *typed: str) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """Start an endless run on two ranks, and yield it and its second rank once it trains."""
    options = (*RUN, "trainer=ddp", "trainer.max_epochs=10000", "callbacks.last.every_n_steps=1", *typed)
    with running.started("train", folder, *running.SMALL, *options) as process:
        deadline = time.monotonic() + 300
        while not [*folder.glob("runs/*/*/checkpoints/last.ckpt")]:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        (rank,) = [p for p in psutil.Process(process.pid).children() if p.environ().get("LOCAL_RANK") == "1"]
        yield process, rank


def test_a_job_whose_rank_dies_ends(tmp_path: Path) -> None:
    with training(tmp_path) as (process, rank):
        rank.kill()
        assert process.wait(60) != 0
        said = process.communicate()[0]
        assert "Traceback" in said or f"PID {rank.pid} terminated with code -9" in said


def test_a_job_whose_rank_hangs_ends_within_the_time_that_was_set(tmp_path: Path) -> None:
    with training(tmp_path, "trainer.strategy.timeout.minutes=0.3") as (process, rank):
        rank.suspend()
        began = time.monotonic()
        out, _ = process.communicate(timeout=90)
        assert process.returncode == 1
        assert 10 < time.monotonic() - began < 60
        assert "Timed out" in out
        assert not psutil.pid_exists(rank.pid)
