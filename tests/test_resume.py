"""A run that was killed and resumed is the run that was never interrupted: same weights, same history, same result."""

import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from lightune import checkpoint_card
from lightune.callbacks import BestCheckpoint, LastCheckpoint
from tests import command, running

LORA = ("task=ner", "peft=lora", "data.batch_size=4", "trainer.accumulate_grad_batches=2", "scheduler=cosine")
FULL = ("task=classification", "peft=full", "data.num_workers=2", "scheduler=linear")
HEAD = ("task=classification", "peft=head", "scheduler=linear")
MID = ("task=qa", "peft=lora", "data.tokens_per_batch=400", "trainer.val_check_interval=2", "scheduler=constant")
# Every validation lowers the rate but the first: losses of so few steps at such a rate do not get better.
PLATEAU = ("task=ner", "scheduler=reduce_on_plateau", "scheduler.patience=0", "trainer.val_check_interval=1")
# 3 steps an epoch, the last of them smaller; two epochs.
SHORT = ("data.limit={train: 19, val: 6, test: 6}", "data.max_length=48", "callbacks.last.every_n_steps=1")


def _steps(run_dir: Path) -> list[dict[str, str]]:
    """Return what history.csv says of the training itself, without the final test and the summary's times."""
    rows = running.history(run_dir)[:-1]
    return [{key: v for key, v in row.items() if key.startswith(("step", "train/", "val/", "lr-"))} for row in rows]


def _step(run_dir: Path) -> int:
    return checkpoint_card.read(run_dir / "checkpoints" / "last.ckpt")["step"]


def _assert_same(resumed: Path, whole: Path) -> None:
    for which in ("last", "best"):
        ours, theirs = running.weights(resumed, which), running.weights(whole, which)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert _steps(resumed) == _steps(whole)
    ours, theirs = running.metrics(resumed), running.metrics(whole)
    for number in theirs:
        if not number.startswith(("time/", "memory/")):
            assert ours[number] == theirs[number], number
    assert (resumed / "predictions.jsonl").read_bytes() == (whole / "predictions.jsonl").read_bytes()


@contextmanager
def _snapshots(folder: Path) -> Iterator[list[Path]]:
    """Keep a copy of the run folder as it is whenever a checkpoint has just been written."""
    kept: list[Path] = []
    save = LastCheckpoint._save

    def save_and_copy(self: LastCheckpoint, trainer: Any) -> None:
        save(self, trainer)
        run_dir = self.path.parent.parent
        kept.append(shutil.copytree(run_dir, folder / f"{len(kept)}_step{trainer.global_step}" / run_dir.name))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LastCheckpoint, "_save", save_and_copy)
        yield kept


@pytest.mark.parametrize("typed", [LORA, FULL, HEAD, MID, PLATEAU], ids=["lora", "full", "head", "mid", "plateau"])
def test_from_every_checkpoint_the_same_run_follows(typed: tuple[str, ...], tmp_path: Path) -> None:
    with _snapshots(tmp_path / "at") as kept:
        whole = running.train(tmp_path / "whole", *typed, *SHORT)
    steps = [_step(run) for run in kept]
    assert steps == list(range(1, len(_steps(whole)) + 1))  # each of them once, after the validation that is due
    # Each where steps are made of several batches or validations come between them; else of each kind of place one.
    for run in kept if typed in (LORA, MID) else [kept[1], kept[2], kept[-1]]:
        running.resume(run)
        _assert_same(run, whole)


@pytest.mark.parametrize("typed", [LORA, FULL], ids=["lora", "full"])
def test_a_killed_run_goes_on_where_it_was(typed: tuple[str, ...], tmp_path: Path) -> None:
    options = (
        *typed,
        "data.limit={train: 240, val: 6, test: 6}",
        "data.max_length=48",
        "callbacks.last.every_n_steps=1",
    )
    runs = tmp_path / "runs"
    with running.started("train", tmp_path, *running.SMALL, *options, f"paths.runs={runs}") as process:
        last = _when_step_is_written(5, runs, process)
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    run = last.parent.parent
    killed_at = _step(run)
    assert 5 <= killed_at < 30  # the first of two epochs
    assert not (run / "metrics.json").exists()
    with running.started("train", tmp_path, "resume=latest", f"paths.runs={runs}") as process:
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
    assert [*runs.glob("*/*")] == [run]
    _assert_same(run, running.train(tmp_path / "whole", *options))


def _when_step_is_written(step: int, runs: Path, process: Any) -> Path:
    """Wait until a run's last.ckpt has got so far, and return it."""
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        for path in runs.glob("*/*/checkpoints/last.ckpt"):
            if _step(path.parent.parent) >= step:
                return path
        time.sleep(0.02)
    raise AssertionError(process.communicate()[0] if process.poll() is not None else "it takes too long")


def test_a_job_that_is_queued_again_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same command, as a cluster repeats it."""
    with _snapshots(tmp_path / "at") as kept:
        whole = running.train(tmp_path / "whole", "task=ner", *SHORT)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    running.train(kept[3], "task=ner", *SHORT)
    _assert_same(kept[3], whole)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "0")
    outcome = command.run("train", [*running.SMALL, "task=ner", *SHORT, f"run_dir={kept[3]}"], tmp_path)
    assert outcome.status == 1
    assert "a run lies there already" in outcome.err


def test_patience_is_not_renewed(tmp_path: Path) -> None:
    """With a gain that cannot be had, the third validation is the last."""
    early = ("callbacks.early_stopping.patience=2", "callbacks.early_stopping.min_delta=2", "trainer.max_epochs=6")
    with _snapshots(tmp_path / "at") as kept:
        whole = running.train(tmp_path / "whole", "task=ner", *SHORT, *early)
    assert _step(whole) == 9  # 3 epochs of 3 steps
    for run in kept[4:6] + kept[8:]:  # in the second epoch, after its validation, and when patience has run out
        running.resume(run)
        _assert_same(run, whole)
    running.resume(whole, "callbacks.early_stopping.patience=3")
    assert _step(whole) == 12


def test_a_finished_run_can_be_trained_on(tmp_path: Path) -> None:
    options = ("task=ner", "scheduler=constant", *SHORT)
    longer = running.train(tmp_path / "longer", *options, "trainer.max_epochs=3")
    run = running.train(tmp_path / "run", *options, "trainer.max_epochs=2")
    running.resume(run, "trainer.max_epochs=3")
    for name, tensor in running.weights(longer).items():
        assert torch.equal(running.weights(run)[name], tensor)
    assert running.losses(run)[:9] == running.losses(longer)[:9]
    assert running.metrics(run, "best/") == running.metrics(longer, "best/")


@pytest.mark.parametrize("stop", [5, 7])
def test_a_run_that_a_number_of_steps_ended_goes_on(stop: int, tmp_path: Path) -> None:
    typed = ("task=classification", "trainer.max_epochs=3", "scheduler=constant", "callbacks.best=null")
    part = running.train(tmp_path / "part", *typed, f"trainer.max_steps={stop}")
    running.resume(part, "trainer.max_steps=15")
    assert running.losses(part) == running.losses(running.train(tmp_path / "whole", *typed))


def test_what_is_typed_with_a_resume_wins(tmp_path: Path) -> None:
    run = running.train(tmp_path / "run", "task=ner", *SHORT, "trainer.max_epochs=1", "optimizer.lr=1e-3")
    running.resume(run, "trainer.max_epochs=2", "data.eval_batch_size=2", "seed=3")
    config = checkpoint_card.read(run / "checkpoints" / "last.ckpt")["config"]
    assert (config["trainer"]["max_epochs"], config["data"]["eval_batch_size"], config["seed"]) == (2, 2, 3)
    assert config["optimizer"]["lr"] == 1e-3  # what was typed before stays
    assert (config["task"]["name"], config["data"]["max_length"]) == ("ner", 48)


def test_a_run_moved_elsewhere_is_resumed_there(tmp_path: Path) -> None:
    run = running.train(tmp_path / "run", "task=ner", *SHORT, "trainer.max_epochs=1")
    moved = run.rename(tmp_path / "moved")
    running.resume(moved, "trainer.max_epochs=2")
    assert _step(moved) == 6
    assert not run.exists()


def test_the_best_value_moves_with_its_folder(tmp_path: Path) -> None:
    def best(folder: str) -> BestCheckpoint:
        return BestCheckpoint(dirpath=tmp_path / folder / "checkpoints", filename="best", monitor="val/f1", mode="max")

    before, after = best("run"), best("moved")
    path = f"{before.dirpath}/best.ckpt"
    before.best_model_score = before.kth_value = torch.tensor(0.5)
    before.best_model_path = before.kth_best_model_path = path
    before.best_k_models = {path: before.best_model_score}
    after.load_state_dict(before.state_dict())
    there = f"{tmp_path}/moved/checkpoints/best.ckpt"
    assert (after.best_model_path, after.kth_best_model_path, [*after.best_k_models]) == (there, there, [there])
    assert after.best_model_score == after.kth_value == 0.5


# 5 steps an epoch with the 40 rows of running.SMALL; nothing random but the data order.
ELASTIC = ("task=classification", "peft=full", *running.BERT_WITHOUT_DROPOUT, *running.PLAIN)
STOPPED = "trainer.max_steps=3"
GO_ON = "trainer.max_steps=-1"


def test_the_same_steps_follow_from_batches_of_half_the_size(tmp_path: Path) -> None:
    whole = running.train(tmp_path / "whole", *ELASTIC)
    halves = ("data.batch_size=4", "trainer.accumulate_grad_batches=2")
    run = running.train(tmp_path / "run", *ELASTIC, *halves, STOPPED)
    running.resume(run, GO_ON, "data.batch_size=8", "trainer.accumulate_grad_batches=1")
    assert running.losses(run) == pytest.approx(running.losses(whole), abs=1e-5)
    ours, theirs = running.weights(run), running.weights(whole)
    assert max((ours[name] - theirs[name]).abs().max().item() for name in ours) < 1e-5


def test_larger_batches_take_what_is_left_of_the_epoch(tmp_path: Path) -> None:
    options = ("trainer.max_epochs=2", "scheduler=linear")
    whole = running.train(tmp_path / "whole", *ELASTIC, *options)
    run = running.train(tmp_path / "run", *ELASTIC, *options, STOPPED)
    running.resume(run, GO_ON, "data.batch_size=12")
    # 40 - 3 x 8 = 16 rows are 2 steps of the epoch, and the next one has 4.
    assert _step(run) == 3 + 2 + 4
    assert running.metrics(run)["tokens/total"] == running.metrics(whole)["tokens/total"]
    rates = [float(row["lr-SGD/backbone"]) for row in running.history(run) if "lr-SGD/backbone" in row]
    assert len(rates) == 9
    assert rates[-1] - (rates[-2] - rates[-1]) == pytest.approx(0, abs=1e-9)  # a step later, where the run ends
