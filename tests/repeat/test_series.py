"""Several real runs: broken off and gone on with, one of them failing, on folds, with ranks, inside a multirun."""

import json
import shutil
import signal
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from lightune import checkpoint_card
from lightune.examples import read_examples
from lightune.multirun import Job
from lightune.report.runs.found import find
from lightune.report.runs.systems import systems
from tests import running
from tests.command import Outcome, composed, run

STEPS = 20
SEEDS = (
    "task=classification",
    "trainer.max_epochs=4",
    "callbacks.last.every_n_steps=1",
    "callbacks.early_stopping=null",
)
LABELS = ("sport", "music")


def _summary(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return content


def _same(folder: Path, other: Path) -> None:
    """Assert that two runs measured the same, time and memory aside."""
    ours, theirs = (
        {name: value for name, value in running.metrics(each).items() if not name.startswith(("time/", "memory/"))}
        for each in (folder, other)
    )
    assert ours == theirs


def test_ctrl_c_ends_all_and_the_same_command_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    typed = (*running.SMALL, *SEEDS, "seeds=[7,8]", "run_dir=several")
    folder = tmp_path / "several"
    last = folder / "seed_8" / "checkpoints" / "last.ckpt"
    with running.started("train", tmp_path, *typed) as process:
        deadline = time.monotonic() + 600
        while not last.exists():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)  # to this one alone: the runs are in groups of their own
        said, _ = process.communicate(timeout=300)
    assert process.returncode == 130, said
    assert "The same command with run_dir=" in said
    assert not (folder / "seed_8" / "metrics.json").exists()
    assert _summary(folder)["metrics"]["val/loss"]["values"].keys() == {"seed_7"}
    step = checkpoint_card.read(last)["step"]
    assert 0 < step < STEPS
    before = (folder / "seed_7" / "metrics.json").stat().st_mtime_ns

    outcome = run("train", typed, tmp_path)
    assert outcome.status == 0, outcome.err
    assert "Finished before: seed_7." in outcome.out
    assert "== seed_8, 2 of 2 ==" in outcome.out
    assert (folder / "seed_7" / "metrics.json").stat().st_mtime_ns == before
    alone = running.train(tmp_path / "alone", *SEEDS, "seed=8")
    assert running.losses(folder / "seed_8") == running.losses(alone)
    _same(folder / "seed_8", alone)
    (system,) = systems(find([folder]).runs)
    assert system.seeds == "7, 8"


def _files(folder: Path) -> tuple[str, ...]:
    """Write two labels' texts: 15 rows to train and validate on, 6 to test on."""
    for name, count in (("train", 15), ("test", 6)):
        rows = [f"{name}{i},the text number {i} is of {LABELS[i % 2]},{LABELS[i % 2]}" for i in range(count)]
        (folder / f"{name}.csv").write_text("\n".join(["id,text,label", *rows]) + "\n", encoding="utf-8")
    small = [word for word in running.SMALL if not word.startswith("data.limit")]
    return (
        *small,
        "task=classification",
        "task.columns.text_pair=null",
        "task.columns.id=id",
        "data=files",
        *(f"data.{name}={folder / name}.csv" for name in ("train", "test")),
        "data.folds=3",
        f"run_dir={folder}/folds",
        "trainer.max_epochs=1",
    )


def _ended(outcome: Outcome, status: int, said: str) -> None:
    assert outcome.status == status, outcome.err
    assert said in outcome.out + outcome.err


def test_folds_are_validated_on_in_turn_and_a_run_that_fails_keeps_none_from_ending(tmp_path: Path) -> None:
    typed, folder = _files(tmp_path), tmp_path / "folds"
    (folder / "fold_2").mkdir(parents=True)
    (folder / "fold_2" / "checkpoints").write_text("in the way", encoding="utf-8")
    outcome = run("train", typed, tmp_path)
    _ended(outcome, 1, "1 of 3 runs failed (fold_2). fold_2:")
    assert "2 of 3 runs, best checkpoints" in outcome.out
    assert [*_summary(folder)["failed"]] == ["fold_2"]
    assert "Error" in _summary(folder)["failed"]["fold_2"]
    shutil.rmtree(folder / "fold_2")
    _ended(run("train", typed, tmp_path), 0, "Finished before: fold_1, fold_3.")

    runs = [folder / f"fold_{number}" for number in (1, 2, 3)]
    found = _summary(folder)
    assert found["failed"] == {}
    for name in ("val/loss", "test/accuracy"):
        values = {each.name: running.metrics(each)[name] for each in runs}
        assert found["metrics"][name]["values"] == values
        assert found["metrics"][name]["mean"] == pytest.approx(fmean(values.values()))
    assert all([row["id"] for row in running.predictions(each)] == [f"test{i}" for i in range(6)] for each in runs)
    (system,) = systems(find([folder]).runs)
    assert len(system.runs) == 3
    _evaluation_sees_the_fold(runs[1], tmp_path)


def _evaluation_sees_the_fold(run_dir: Path, folder: Path) -> None:
    """Assert that eval.py finds a run's own fold again."""
    place = running.evaluate(run_dir / "checkpoints" / "best.ckpt", folder / "eval", "split=val")
    assert running.metrics(place, "val/") == pytest.approx(running.metrics(run_dir, "val/"), abs=1e-6)
    ids = [row["id"] for row in running.predictions(place)]
    assert len(ids) == 5
    assert all(name.startswith("train") for name in ids)


def test_all_folds_know_the_same_labels_and_leave_test_as_it_is(tmp_path: Path) -> None:
    rows = [f"text {i},{label}" for i, label in enumerate([*"aaaaaaaabbbbbbbb", "rare"])]
    (tmp_path / "train.csv").write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    typed = ("task=classification", "task.columns.text_pair=null", "data=files", f"data.train={tmp_path}/train.csv")
    splits = ("train", "val", "test")
    without = read_examples(composed(*typed), splits).tables["test"].rows
    folds = [read_examples(composed(*typed, "data.folds=3", f"data.fold={i}"), splits) for i in (1, 2, 3)]
    assert [each.task.labels for each in folds] == [("a", "b", "rare")] * 3  # type: ignore[attr-defined]
    assert all(each.tables["test"].rows == without for each in folds)
    held = [row["text"] for each in folds for row in each.tables["val"].rows]
    assert sorted(held + [row["text"] for row in without]) == sorted(f"text {i}" for i in range(17))
    first = read_examples(composed(*typed, "data.folds=3"), {"val"}).tables["val"].rows
    assert first == folds[0].tables["val"].rows  # what plan=true looks at, and an evaluation of val alone


def test_nothing_is_tried_again_and_again_that_no_run_can_do(tmp_path: Path) -> None:
    typed = ("model=tiny", "trainer=cpu", "task=classification", "task.monitor=nope", "seeds=3", "run_dir=several")
    outcome = run("train", typed, tmp_path)
    _ended(outcome, 1, "task.monitor=nope")
    assert outcome.out.count("==") == 2  # one headline
    assert [entry.name for entry in (tmp_path / "several").glob("[!.]*")] == ["seed_42.log"]


def test_a_job_of_a_multirun_may_be_several_runs_of_several_processes(tmp_path: Path) -> None:
    typed = ("-m", *running.SMALL, "task=classification", "trainer=ddp_cpu", "trainer.max_epochs=1", "seeds=[5]")
    outcome = run("train", [*typed, "run_dir=out"], tmp_path)
    assert outcome.status == 0, outcome.err + outcome.out
    folder = tmp_path / "out" / "trial_0000"
    assert len(running.predictions(folder / "seed_5")) == 11
    assert (folder / "seed_5.log").read_text(encoding="utf-8").count("two CPU processes") == 1
    cfg = OmegaConf.create({"run_dir": str(folder), "task": {"monitor": "f1_macro"}})
    job = Job.ended(JobReturn(cfg=cfg, overrides=["seeds=[5]"], status=JobStatus.COMPLETED))
    assert job is not None
    assert job.metrics == pytest.approx(running.metrics(folder / "seed_5"))
    elsewhere = Job.found(folder)  # as after a launcher that does not tell of its jobs
    assert elsewhere is not None
    assert (elsewhere.metrics, elsewhere.headline) == (job.metrics, job.headline)
    assert elsewhere.typed["task"] == "classification"
