"""What keeps as many trials running as there are slots, and tells the study how each has ended."""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from statistics import fmean
from typing import Any

from lightune import machine
from lightune.errors import TrainingError
from lightune.repeat.left import numbers_of
from lightune.sweep import told
from lightune.sweep.commands import Words
from lightune.sweep.constraints import NUMBERS, Constraint, missing
from lightune.sweep.live import Display
from lightune.sweep.processes import Command, end, slot_environment, start, was_killed
from lightune.sweep.study import REASON, Claimed, Study, folder_of

RUNS = "runs"  # attribute of a trial: what each of its runs has told, where it has several
_POLL = 0.05  # seconds
_BEATS = 30.0  # seconds between two
_LOOKS = 1.0  # seconds between two, while a slot is free


@dataclass(frozen=True)
class Running:
    """A run of a trial.

    Args:
        claimed: The trial.
        number: Of the run, where the trial has one for each of several seeds.
        process: That does it.
        place: Its run folder.
    """

    claimed: Claimed
    number: int
    process: BaseProcess
    place: Path


@dataclass(frozen=True)
class Plan:
    """How trials are run.

    Args:
        folder: Where each has a folder and a log.
        words: Overrides and run folder of a run → its command line.
        slots: That run at the same time.
        repeats: The override that each run of a trial has besides, such as ``seed=1``; empty: a trial is one run.
        shares: Whether they run on this machine, and have a part of it each.
        storage: Of the study, as it was typed.
        pruner: Its configuration, as plain data; None where no trial is given up.
        constraints: Conditions on a run's numbers.
        until: `time.monotonic` after which no further trial begins.
        max_failure_rate: Share of the trials that may fail.
    """

    folder: Path
    words: Words
    slots: int
    repeats: Sequence[str] = ()
    shares: bool = True
    storage: Any = None
    pruner: Any = None
    constraints: Sequence[Constraint] = ()
    until: float = float("inf")
    max_failure_rate: float = 0.0


class Engine:
    """Runs the trials of a study.

    Args:
        study: Where they come from.
        plan: How they are run.
        display: Shows how they go.
    """

    def __init__(self, study: Study, plan: Plan, display: Display) -> None:
        self.study = study
        self.plan = plan
        self.display = display
        self._running: dict[int, Running] = {}  # by slot
        self._beaten = self._looked = -_BEATS

    def run(self) -> None:
        """Run trials until none is left, and none of them runs any longer.

        Raises:
            TrainingError: More of them failed than may.
        """
        with self._nothing_left_behind(), self.display:
            while True:
                if self._collect() or self._looks_for_more():
                    self._fill()
                    if self._is_done():
                        break
                self._beat()
                self.display.refresh()
                time.sleep(_POLL)
        if self._too_many_failed():
            raise self._failure()

    def _looks_for_more(self) -> bool:
        """Return whether to ask for trials that other workers have left; a storage is not asked all the time."""
        if len(self._running) == self.plan.slots or time.monotonic() - self._looked < _LOOKS:
            return False
        self._looked = time.monotonic()
        return True

    def _is_done(self) -> bool:
        return not self._running and (self._begins_none() or self.study.is_over())

    def _begins_none(self) -> bool:
        """Return whether no further trial begins, although some may be left."""
        return self._too_many_failed() or time.monotonic() > self.plan.until or self.study.enough() is not None

    def _too_many_failed(self) -> bool:
        return self.study.failures > self.plan.max_failure_rate * self.study.n_trials

    def _failure(self) -> TrainingError:
        *_, last = (trial for trial in self.study.trials if REASON in trial.user_attrs)
        return TrainingError(
            f"{self.study.failures} of {len(self.study.trials)} trials failed: {last.user_attrs[REASON]}",
            f"see {self.plan.folder / folder_of(last)}.log; hydra.sweeper.max_failure_rate=0.5 goes on all the same",
        )

    def _fill(self) -> None:
        for slot in range(self.plan.slots):
            if slot in self._running:
                continue
            claimed = None if self._begins_none() else self.study.claim()
            if claimed is None:
                return
            self._begin(slot, claimed, len(claimed.trial.user_attrs.get(RUNS, ())))

    def _begin(self, slot: int, claimed: Claimed, number: int) -> None:
        """Start a run of a trial."""
        own = self.plan.repeats[number : number + 1]
        place = self.plan.folder.joinpath(claimed.name, *(word.replace("=", "_") for word in own))
        self._result(claimed).unlink(missing_ok=True)
        command = Command(
            Path(sys.argv[0]).absolute(),
            self.plan.words([*claimed.words, *own], place),
            self._environment(slot, claimed, number),
            self.plan.folder / f"{claimed.name}.log",
            Path.cwd(),
        )
        self._running[slot] = Running(claimed, number, start(command), place)

    def _environment(self, slot: int, claimed: Claimed, number: int) -> dict[str, str]:
        name = self.study.study.study_name
        share = slot_environment(slot, self.plan.slots) if self.plan.shares else {}
        own = share | {
            told.RESULT: str(self._result(claimed)),
            machine.TRIAL: json.dumps({"study": name, "trial": claimed.name}),
            machine.AGAIN: str(int(claimed.again)),
        }
        if self.plan.pruner is None:
            return own
        trial = claimed.trial.number
        return own | told.described(self.plan.storage, self.plan.folder, name, trial, number, self.plan.pruner)

    def _result(self, claimed: Claimed) -> Path:
        return self.plan.folder / f".{claimed.name}.json"

    def _collect(self) -> bool:
        """Take in runs that have ended; return whether there were any."""
        before = dict(self._running)
        for slot, running in list(self._running.items()):
            if running.process.is_alive():
                continue
            running.process.join()
            end(running.process)  # what it has started and left
            del self._running[slot]
            following = self._ended(running)
            if following is not None:
                self._begin(slot, running.claimed, following)
        return self._running != before

    def _ended(self, running: Running) -> int | None:
        """Tell the study of a run; return the number of the trial's next run, None where it has had all."""
        claimed, status = running.claimed, running.process.exitcode
        result = told.read(self._result(claimed))
        if result is None and was_killed(running.process):
            self.study.let_go(claimed.trial)
            return None
        if result is not None and "values" in result:
            runs = [*claimed.trial.user_attrs.get(RUNS, ()), {**result, NUMBERS: numbers_of(running.place) or {}}]
            if len(runs) < len(self.plan.repeats) and self.study.fault(result) is None:
                claimed.trial.set_user_attr(RUNS, runs)
                return len(runs)
            result = self._concluded(claimed, runs)
        reason = self.study.tell(claimed.trial, result, f"its process ended with status {status}")
        self._result(claimed).unlink(missing_ok=True)
        values = ", ".join(f"{value:.6g}" for value in (result or {}).get("values", ()))
        self.display.ended(claimed.name, claimed.words, reason or values or "given up")
        return None

    def _concluded(self, claimed: Claimed, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the means of a trial's runs, and leave with it what was measured."""
        numbers = _mean([run[NUMBERS] for run in runs])
        unmet = missing(self.plan.constraints, numbers)
        if unmet is not None:
            return {"error": unmet}
        if numbers:
            claimed.trial.set_user_attr(NUMBERS, numbers)
        if len(runs) > 1:
            claimed.trial.set_user_attr(RUNS, [*runs])
        return {"values": [fmean(column) for column in zip(*(run["values"] for run in runs), strict=True)]}

    def _beat(self) -> None:
        if time.monotonic() - self._beaten < _BEATS:
            return
        self._beaten = time.monotonic()
        for running in self._running.values():
            self.study.beat(running.claimed.trial)

    @contextmanager
    def _nothing_left_behind(self) -> Iterator[None]:
        """End all trials where this process is ended: the next command begins them again."""
        try:
            yield
        finally:
            for running in self._running.values():
                end(running.process)


def _mean(numbers: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each number that all runs have."""
    common = [name for name in numbers[0] if all(name in each for each in numbers)]
    return {name: fmean(each[name] for each in numbers) for name in common}
