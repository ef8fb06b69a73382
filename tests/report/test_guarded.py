"""Whatever happens to a logger, the run goes on, and says once what failed."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lightning.pytorch.loggers import TensorBoardLogger

from lightune.errors import ConfigError
from lightune.report.guarded import Guarded, guarded
from lightune.report.history import HistoryLogger
from tests import command, running
from tests.broken import Broken

METHODS = ("experiment", "log_metrics", "log_hyperparams", "after_save_checkpoint", "save", "finalize")
RUN = ("task=classification", "data.max_length=48", "data.limit={train: 24, val: 6, test: 6}")
FULL = Path("/dev/full")  # a write to it ends as on a full disk
disk_full = pytest.mark.skipif(not FULL.exists(), reason="Linux has /dev/full")
# The thread in which TensorBoard writes ends so.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@pytest.fixture(autouse=True)
def none_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Broken, "asked", 0)


@pytest.mark.parametrize("at", METHODS)
def test_a_failure_is_said_once_and_no_more(at: str, capsys: pytest.CaptureFixture[str]) -> None:
    logger = guarded(Broken(at), "mine")
    for step in range(3):
        logger.log_hyperparams({"a": 1})
        assert logger.experiment is not None
        logger.log_metrics({"loss": 0.5}, step)
        logger.after_save_checkpoint(None)  # type: ignore[arg-type]
        logger.save()
    logger.finalize("success")
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1
    assert f"logger=mine failed, and the run goes on. It may lack something: no way to the server in {at}" in said[0]
    assert Broken.asked


def test_a_logger_that_cannot_be_made_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    logger = Guarded("mine", lambda: (Broken("__init__"), None))
    logger.log_hyperparams({"a": 1})
    logger.experiment.whatever("is asked of it")
    logger.save()
    logger.finalize("success")
    assert capsys.readouterr().out.count("logger=mine failed") == 1


def test_ctrl_c_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Broken, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        guarded(Broken(""), "mine").save()


def test_who_took_long_to_fail_is_not_asked_at_every_step() -> None:
    logger = guarded(Broken("log_metrics", seconds=0.1), "mine")
    for step in range(100):
        logger.log_metrics({"loss": 0.5}, step)
        logger.save()
    assert Broken.asked == 1  # and again after 5 s


def test_the_numbers_of_a_step_are_logged_together() -> None:
    own = Broken("")
    logger = guarded(own, "mine")
    logger.log_metrics({"lr": 1.0}, 0)
    logger.log_metrics({"loss": 2.0}, 0)
    logger.log_metrics({"lr": 0.5}, 1)
    logger.save()
    logger.log_metrics({"val/loss": 3.0}, 1)
    logger.finalize("success")
    assert own.logged == [(0, {"lr": 1.0, "loss": 2.0}), (1, {"lr": 0.5}), (1, {"val/loss": 3.0})]


def test_a_run_with_broken_loggers_ends_as_one_without(tmp_path: Path) -> None:
    nodes = [
        f"+logger.{at}={{_target_: tests.broken.Broken, at: {at}}}" for at in ("log_metrics", "experiment", "finalize")
    ]
    place = f"run_dir={tmp_path / 'run'}"
    outcome = command.run("train", [*running.SMALL, *RUN, *nodes, place], tmp_path)
    assert outcome.status == 0, outcome.err
    assert outcome.out.count("failed, and the run goes on") == 3
    plain = running.train(tmp_path / "plain", *RUN)
    assert running.losses(tmp_path / "run") == running.losses(plain)
    assert running.metrics(tmp_path / "run", "test/") == running.metrics(plain, "test/")
    assert "lr-AdamW/backbone" in running.history(tmp_path / "run")[0]


@disk_full
def test_a_full_disk_does_not_end_a_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / ".history.csv.part").symlink_to(FULL)
    outcome = command.run("train", [*running.SMALL, *RUN, f"run_dir={run}"], tmp_path)
    assert outcome.status == 0, outcome.err
    assert outcome.out.count("logger=csv failed") == 1
    assert "No space left on device" in outcome.out
    assert running.metrics(run, "test/")
    assert not (run / "history.csv").exists()


@disk_full
def test_the_history_is_whole_when_there_is_room_again(tmp_path: Path) -> None:
    history = HistoryLogger(str(tmp_path))
    history.log_metrics({"loss": 2.0}, 0)
    history.save()
    unfinished = tmp_path / ".history.csv.part"
    unfinished.symlink_to(FULL)
    for step in (1, 2):
        history.log_metrics({"loss": 1.0 / step}, step)
        history.save()
    assert running.losses(tmp_path) == []
    assert [row["loss"] for row in running.history(tmp_path)] == ["2.0"]
    unfinished.unlink()
    history.log_metrics({"loss": 0.25}, 3)
    history.save()
    assert [row["loss"] for row in running.history(tmp_path)] == ["2.0", "1.0", "0.5", "0.25"]


@contextmanager
def _no_file_larger_than(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_tensorboard_may_run_out_of_room(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logger = guarded(TensorBoardLogger(tmp_path), "tensorboard")
    logger.log_metrics({"loss": 1.0}, 0)
    logger.save()
    with _no_file_larger_than(1_000):
        for step in range(1, 300):
            logger.log_metrics({"loss": 1.0}, step)
            logger.save()
    logger.finalize("success")
    assert capsys.readouterr().out.count("logger=tensorboard failed") == 1


@pytest.mark.parametrize("name", ["mlflow", "tensorboard", "wandb"])
def test_what_is_not_installed_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=rf"{name} is not installed\n.*pip install 'lightune\[{name}\]'"):
        running.assembled(tmp_path / "run", "task=classification", f"logger={name}")
