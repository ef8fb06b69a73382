"""What a trial's process and the sweeper that started it tell each other."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from filelock import FileLock
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from lightune import machine

RESULT = "LIGHTUNE_TRIAL_RESULT"  # names the file
STUDY = "LIGHTUNE_TRIAL_STUDY"  # what a trial has to know of its study, as JSON
PRUNED = "LIGHTUNE_TRIAL_PRUNED"  # set by a trial that was given up


def described(storage: Any, folder: Path, name: str, number: int, run: int, pruner: Any) -> dict[str, str]:
    """Return the variables by which a trial finds its study.

    Args:
        storage: What the study is kept in, as it was typed.
        folder: Of the study.
        name: Of the study.
        number: Of the trial.
        run: How many runs of the trial, with other seeds, came before.
        pruner: The pruner's configuration, as plain data.
    """
    place = {"storage": storage, "folder": str(folder), "name": name}
    return {STUDY: json.dumps({**place, "number": number, "run": run, "pruner": pruner})}


class Told(Callback):
    """Writes what Hydra's job returned, or how it failed, into the file that the environment names."""

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Wait until no earlier process works on this trial: a cluster's job outlives the sweeper that started it."""
        path = os.environ.get(RESULT)
        if path and machine.is_first_process():
            self._lock = FileLock(f"{path}.lock")
            self._lock.acquire()
            if Path(path).exists():  # and that one has just told it
                sys.exit(0)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Write it, once for all ranks of a trial."""
        path = os.environ.get(RESULT)
        if path and machine.is_first_process():
            write(Path(path), _told(job_return))


def _told(job_return: JobReturn) -> dict[str, Any]:
    if job_return.status != JobStatus.COMPLETED:
        error = job_return._return_value
        return {"error": f"{type(error).__name__}: {error}"}
    if os.environ.get(PRUNED):
        return {"pruned": True}
    try:
        return {"values": [float(value) for value in _as_list(job_return.return_value)]}
    except (TypeError, ValueError):
        return {"error": f"it returned {job_return.return_value!r}, and a number was expected"}


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a result so that nobody reads half of it."""
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(content), encoding="utf-8")
    unfinished.replace(path)


def read(path: Path) -> dict[str, Any] | None:
    """Return a result; None where the process ended without one."""
    if not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
