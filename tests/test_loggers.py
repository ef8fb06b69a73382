"""What is logged is the same in history.csv, in a W&B run file and in TensorBoard's events."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from lightune.report.history import HistoryLogger
from tests import command, running

RUN = (
    "task=classification",
    "logger=[csv,wandb,tensorboard]",
    "optimizer.lr=5e-4",
    "data.max_length=48",
    "data.limit={train: 24, val: 6, test: 6}",
)


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def _wandb_history(records: list[Any]) -> dict[int, dict[str, float]]:
    """Return step → what was logged at it."""
    rows: dict[int, dict[str, float]] = {}
    for record in records:
        if record.WhichOneof("record_type") == "history":
            row = _items(record.history.item)
            if "trainer/global_step" in row:
                rows.setdefault(row["trainer/global_step"], {}).update(row)
    return rows


def _wandb_summary(records: list[Any]) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    for record in records:
        if record.WhichOneof("record_type") == "summary":
            summary.update(_items(record.summary.update))
    return summary


def _tensorboard(run_dir: Path) -> dict[str, dict[int, float]]:
    """Return name → step → value."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run_dir / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: {e.step: e.value for e in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def _columns(run_dir: Path) -> dict[str, dict[int, float]]:
    """Return history.csv as name → step → value."""
    table: dict[str, dict[int, float]] = {}
    for row in running.history(run_dir):
        for name in row.keys() - {"step"}:
            table.setdefault(name, {})[int(row["step"])] = float(row[name])
    return table


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that all three loggers followed."""
    return running.once(tmp_path_factory, "loggers", _train) / "run"


def _train(folder: Path) -> None:
    running.train(folder / "run", *RUN)


def test_the_final_numbers_are_the_same_everywhere(run: Path) -> None:
    found = running.metrics(run)
    (records,) = running.wandb_records(run)
    summary, events = _wandb_summary(records), _tensorboard(run)
    last = running.history(run)[-1]
    assert {"test/f1_macro", "val/loss", "train/loss", "best/step", "time/train_s"} <= found.keys()
    for name, value in found.items():
        assert float(last[name]) == value
        assert summary[name] == value
        assert [*events[name].values()][-1] == pytest.approx(value, rel=1e-6)  # its files hold float32


def test_each_step_is_the_same_everywhere(run: Path) -> None:
    table, events = _columns(run), _tensorboard(run)
    (records,) = running.wandb_records(run)
    history = _wandb_history(records)
    assert [*table["train/loss"]] == [0, 1, 2, 3, 4, 5, 6]  # two epochs of three steps, and the final numbers
    for name in ("train/loss", "val/f1_macro", "lr-AdamW/backbone"):
        theirs = {step: row[name] for step, row in history.items() if name in row}
        assert theirs == pytest.approx(table[name])
        assert events[name] == pytest.approx(table[name])


def test_wandb_holds_the_configuration(run: Path) -> None:
    (records,) = running.wandb_records(run)
    kept: dict[str, Any] = {}
    for record in records:
        if record.WhichOneof("record_type") == "config":
            kept.update(_items(record.config.update))
        elif record.WhichOneof("record_type") == "run":
            kept.update(_items(record.run.config.update))
            assert (record.run.project, record.run.run_group) == ("lightune", "classification")
    assert kept["task.monitor"] == "f1_macro"
    assert kept["optimizer.lr"] == 5e-4
    assert kept["data.limit.train"] == 24


def test_a_resumed_run_goes_on_in_each_logger(tmp_path: Path) -> None:
    run = running.train(tmp_path / "run", *RUN, "scheduler=constant", "trainer.max_epochs=1")
    before = running.history(run)[:3]
    running.resume(run, "trainer.max_epochs=2")
    assert running.history(run)[:3] == before
    table, events = _columns(run), _tensorboard(run)
    assert [*table["train/loss"]] == [0, 1, 2, 3, 4, 5, 6]
    assert events["train/loss"] == pytest.approx(table["train/loss"])
    ids = [
        r.run.run_id for records in running.wandb_records(run) for r in records if r.WhichOneof("record_type") == "run"
    ]
    assert len(ids) >= 2
    assert len(set(ids)) == 1


def test_each_job_of_a_multirun_has_a_wandb_run_of_its_own(tmp_path: Path) -> None:
    command.run("train", ["-m", *running.SMALL, *RUN, "seed=1,2", f"run_dir={tmp_path}/both"], tmp_path)
    files = [[*(tmp_path / "both" / f"trial_000{n}").glob("wandb/offline-run-*/run-*.wandb")] for n in (0, 1)]
    assert [len(found) for found in files] == [1, 1]
    assert len({file.name for found in files for file in found}) == 2


def test_a_long_history_is_not_written_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr("lightune.report.history.time.perf_counter", lambda: next(ticks) / 100)
    history = HistoryLogger(str(tmp_path))

    def log(steps: range) -> int:
        for step in steps:
            history.log_metrics({"train/loss": 1.0}, step)
            history.save()
        return len(running.history(tmp_path))

    assert log(range(400)) == 400  # a short one is
    assert log(range(400, 1000)) in range(900, 1000)
    history.finalize("success")
    assert len(running.history(tmp_path)) == 1000
