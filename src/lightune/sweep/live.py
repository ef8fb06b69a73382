"""What is seen of a study while it runs: a table, or lines where there is no terminal."""

import time
from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate
from types import TracebackType
from typing import Self

from optuna.trial import FrozenTrial, TrialState
from rich.live import Live
from rich.table import Table

from lightune.report import show
from lightune.sweep.study import Study, is_good

_EVERY = 1.0  # seconds between two drawings
_BELOW = 8  # lines of a terminal that are left to what stands above the table
_STATES = {TrialState.COMPLETE: "done", TrialState.PRUNED: "given up", TrialState.FAIL: "failed"}
_STYLES = {TrialState.COMPLETE: "", TrialState.PRUNED: "dim", TrialState.FAIL: "red", TrialState.RUNNING: "cyan"}


class Display:
    """Shows a study.

    Args:
        study: With its trials.
        slots: How many of them run at the same time.
    """

    def __init__(self, study: Study, slots: int) -> None:
        self.study = study
        self.slots = slots
        self._live = (
            Live(console=show.console(), auto_refresh=False, transient=True) if show.console().is_terminal else None
        )
        self._drawn = 0.0

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def ended(self, name: str, words: Sequence[str], outcome: str) -> None:
        """Say how a trial has ended, and how the study stands."""
        show.note(f"{name}  {' '.join(words)}  → {outcome}  ({self._standing()})")

    def refresh(self) -> None:
        """Draw the table, if that was long enough ago."""
        if self._live is None or time.monotonic() - self._drawn < _EVERY:
            return
        self._drawn = time.monotonic()
        rows = max(show.console().height - _BELOW, self.slots)
        title = f"{self.study.study.study_name}: {self._standing()}"
        self._live.update(table(title, self.study.trials, self.study.maximize, rows), refresh=True)

    def _standing(self) -> str:
        trials, now = self.study.trials, datetime.now()
        ended = [trial for trial in trials if trial.state.is_finished()]
        parts = [f"{len(ended)} of {self.study.n_trials}"]
        best = best_so_far(ended, self.study.maximize)
        if best:
            parts.append(f"best {best[-1]:.6g}")
        seconds = remaining(trials, self.study.n_trials, self.slots, now)
        if seconds:
            parts.append(f"about {show.duration(seconds)} left")
        return ", ".join(parts)


def best_so_far(trials: Sequence[FrozenTrial], maximize: bool | None) -> list[float]:
    """Return the best value after each trial that has one.

    Args:
        trials: In their order.
        maximize: Whether a larger value is better; None: there is no best one, since a trial has several.
    """
    if maximize is None:
        return []
    return [*accumulate((trial.values[0] for trial in trials if is_good(trial)), max if maximize else min)]


def remaining(trials: Sequence[FrozenTrial], n_trials: int, slots: int, now: datetime) -> float | None:
    """Return in how many seconds a study will have ended; None before its first trial has.

    Trials that are left take what those before took on average, and those that run have had a part of it.

    Args:
        trials: All so far.
        n_trials: That there will be.
        slots: How many of them run at the same time.
        now: The time.
    """
    took = [trial.duration.total_seconds() for trial in trials if trial.state in _STATES and trial.duration]
    if not took:
        return None
    mean = sum(took) / len(took)
    begun = [trial.datetime_start for trial in trials if trial.state == TrialState.RUNNING and trial.datetime_start]
    spent = sum(min((now - start).total_seconds(), mean) for start in begun)
    left = n_trials - sum(trial.state.is_finished() for trial in trials)
    return max(left * mean - spent, 0.0) / max(min(slots, left), 1)


def table(title: str, trials: Sequence[FrozenTrial], maximize: bool | None, rows: int) -> Table:
    """Return a table of trials: those that run, and the latest of the others.

    Args:
        title: Of the table.
        trials: All so far.
        maximize: Whether a larger value is better; None where a trial has several.
        rows: At most.
    """
    shown = Table(title=title, title_justify="left", title_style="bold")
    keys = list(dict.fromkeys(key for trial in trials for key in trial.params))
    for name in ("trial", "state", "value", "best", "at step", *keys):
        shown.add_column(name, overflow="fold")
    running = [trial for trial in trials if trial.state == TrialState.RUNNING]
    ended = [trial for trial in trials if trial.state.is_finished()]
    latest = ended[max(len(ended) - max(rows - len(running), 0), 0) :]
    for trial in [*latest, *running]:
        before = best_so_far([other for other in ended if other.number <= trial.number], maximize)
        shown.add_row(*_cells(trial, before, keys), style=_STYLES.get(trial.state, ""))
    return shown


def _cells(trial: FrozenTrial, best: Sequence[float], keys: Sequence[str]) -> list[str]:
    values = trial.values or [*trial.intermediate_values.values()][-1:]
    return [
        f"{trial.number:04d}",
        _STATES.get(trial.state, "runs"),
        ", ".join(f"{value:.5g}" for value in values),
        f"{best[-1]:.5g}" if best else "",
        str(trial.last_step) if trial.last_step is not None else "",
        *(show.short(trial.params.get(key, "")) for key in keys),
    ]
