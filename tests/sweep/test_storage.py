"""A study's storage: nothing that was told is lost, whoever dies while he writes."""

import os
import signal
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.trial import TrialState

from lightune.errors import ConfigError
from lightune.sweep.storage import claims, opened

DISTRIBUTIONS: dict[str, optuna.distributions.BaseDistribution] = {"x": optuna.distributions.FloatDistribution(0, 1)}


def _study(storage: Any, folder: Path) -> optuna.Study:
    return optuna.create_study(storage=opened(storage, folder), study_name="a", load_if_exists=True)


@pytest.mark.parametrize("storage", [None, "{}/x/other.journal", "sqlite:///{}/x/a.db"])
def test_a_study_is_found_again(storage: str | None, tmp_path: Path) -> None:
    place = storage and storage.format(tmp_path)
    study = _study(place, tmp_path / "study")
    trial = study.ask(DISTRIBUTIONS)
    study.tell(trial, 0.5)
    again = _study(place, tmp_path / "study")
    assert [t.params for t in again.trials] == [trial.params]
    assert again.best_value == 0.5
    in_a_journal = not (place and place.startswith("sqlite"))
    assert isinstance(opened(place, tmp_path / "study"), JournalStorage) == in_a_journal


@pytest.mark.parametrize("torn", [b'{"op_code":4,"work', b"\x00\x00", b"{}"])
def test_a_line_that_was_not_finished_is_cut(torn: bytes, tmp_path: Path) -> None:
    study = _study(None, tmp_path)
    study.tell(study.ask(DISTRIBUTIONS), 1.0)
    with (tmp_path / "study.journal").open("ab") as file:
        file.write(torn)
    again = _study(None, tmp_path)
    again.tell(again.ask(DISTRIBUTIONS), 2.0)
    assert [trial.value for trial in _study(None, tmp_path).trials] == [1.0, 2.0]
    assert [trial.value for trial in study.trials] == [1.0, 2.0]  # for a worker that has been there all the time


def _write(folder: Path, count: int) -> None:
    study = _study(None, folder)
    for _ in range(count):
        study.tell(study.ask(DISTRIBUTIONS), 1.0)


def test_workers_write_at_the_same_time(processes: ForkServerContext, tmp_path: Path) -> None:
    workers = [processes.Process(target=_write, args=(tmp_path, 10)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    trials = _study(None, tmp_path).trials
    assert [trial.number for trial in trials] == list(range(40))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}


def test_who_dies_with_the_lock_holds_nobody_up(processes: ForkServerContext, tmp_path: Path) -> None:
    worker = processes.Process(target=_hold, args=(tmp_path,))
    worker.start()
    deadline = time.monotonic() + 60
    while not (tmp_path / "held").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join(timeout=60)
    began = time.monotonic()
    _write(tmp_path, 1)
    assert time.monotonic() - began < 5
    assert len(_study(None, tmp_path).trials) == 1


def _hold(folder: Path) -> None:
    storage = opened(None, folder)
    assert isinstance(storage, JournalStorage)
    backend: Any = storage._backend
    backend._lock.acquire()
    (folder / "held").touch()
    time.sleep(120)


def test_claims_lie_where_all_workers_look(tmp_path: Path) -> None:
    here = Path(claims(None, tmp_path / "study").lock_file)
    assert here == tmp_path / "study" / "study.claims"
    assert claims(f"sqlite:///{tmp_path}/a.db", tmp_path / "one").lock_file == str(tmp_path / "a.db.claims")
    assert claims(f"{tmp_path}/a.journal", tmp_path / "one").lock_file == str(tmp_path / "a.journal.claims")
    assert claims("postgresql://host/a", tmp_path).lock_file == str(tmp_path / "study.claims")


@pytest.mark.parametrize("url", ["nonsense", "postgresql+nodriver://host/a", "sqlite:////proc/no/such/place.db"])
def test_what_cannot_be_opened_is_named(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.storage=") as caught:
        opened(url, tmp_path)
    assert url in caught.value.problem


def test_a_storage_stays_what_it_is(tmp_path: Path) -> None:
    storage = optuna.storages.InMemoryStorage()
    assert opened(storage, tmp_path) is storage
