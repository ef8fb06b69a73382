"""history.csv: a row for each logging step, whole at any moment, cut where a run is resumed."""

import csv
from pathlib import Path

import pytest

from lightune.report.history import NAME, HistoryLogger


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / NAME).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_values_of_one_step_share_a_row(tmp_path: Path) -> None:
    history = HistoryLogger(str(tmp_path))
    history.log_metrics({"train/loss": 2.5}, 9)
    history.log_metrics({"lr": 0.001}, 9)
    history.log_metrics({"train/loss": 1.25, "lr": 0.0}, 19)
    history.save()
    assert rows(tmp_path) == [
        {"step": "9", "train/loss": "2.5", "lr": "0.001"},
        {"step": "19", "train/loss": "1.25", "lr": "0.0"},
    ]


def test_columns_may_come_later_and_steps_in_any_order(tmp_path: Path) -> None:
    history = HistoryLogger(str(tmp_path))
    history.log_metrics({"train/loss": 1.0}, 20)
    history.save()
    history.log_metrics({"val/f1": 0.5}, 10)
    history.log_metrics({"lr": 0.1})
    history.save()
    assert rows(tmp_path) == [
        {"step": "0", "train/loss": "", "val/f1": "", "lr": "0.1"},
        {"step": "10", "train/loss": "", "val/f1": "0.5", "lr": ""},
        {"step": "20", "train/loss": "1.0", "val/f1": "", "lr": ""},
    ]


def test_numbers_come_back_to_the_last_digit(tmp_path: Path) -> None:
    history = HistoryLogger(str(tmp_path))
    history.log_metrics({"loss": 0.1 + 0.2}, 1)
    history.save()
    assert float(rows(tmp_path)[0]["loss"]) == 0.1 + 0.2


@pytest.mark.parametrize(("step", "kept"), [(0, []), (10, ["9"]), (20, ["9", "19"]), (21, ["9", "19", "20"])])
def test_a_resumed_run_keeps_the_steps_that_were_made(step: int, kept: list[str], tmp_path: Path) -> None:
    before = HistoryLogger(str(tmp_path))
    for at in (9, 19, 20):
        before.log_metrics({"loss": at / 10, "lr": 0.5}, at)
    before.save()
    after = HistoryLogger(str(tmp_path))
    after.resume(step)
    after.log_metrics({"loss": 7.0, "val/f1": 0.25}, 30)
    after.save()
    assert [row["step"] for row in rows(tmp_path)] == [*kept, "30"]
    assert [row["loss"] for row in rows(tmp_path)] == [*(str(int(at) / 10) for at in kept), "7.0"]
    assert rows(tmp_path)[-1]["val/f1"] == "0.25"


def test_an_empty_cell_is_not_a_value_after_a_resume(tmp_path: Path) -> None:
    before = HistoryLogger(str(tmp_path))
    before.log_metrics({"loss": 1.0}, 1)
    before.log_metrics({"lr": 0.5}, 2)
    before.save()
    after = HistoryLogger(str(tmp_path))
    after.resume(2)
    after.save()
    assert rows(tmp_path) == [{"step": "1", "loss": "1.0"}]  # the column of the step that is gone is gone as well


def test_a_new_run_has_nothing_to_resume(tmp_path: Path) -> None:
    history = HistoryLogger(str(tmp_path))
    history.resume(5)
    history.finalize("success")
    assert list(tmp_path.iterdir()) == []  # and what logged nothing writes nothing


def test_the_end_of_a_run_writes_what_is_left(tmp_path: Path) -> None:
    history = HistoryLogger(str(tmp_path / "run"))
    history.log_metrics({"loss": 1.0}, 1)
    history.finalize("failed")
    assert rows(tmp_path / "run") == [{"step": "1", "loss": "1.0"}]


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = HistoryLogger(str(tmp_path))
    history.log_metrics({"loss": 1.0}, 1)
    history.save()
    history.log_metrics({"loss": 2.0}, 2)

    def fail(self: object, rows: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(csv.DictWriter, "writerows", fail)
        history.save()
    assert [row["step"] for row in rows(tmp_path)] == ["1"]
    history.save()
    assert [row["step"] for row in rows(tmp_path)] == ["1", "2"]
