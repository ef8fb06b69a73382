"""A study as its workers share it: who takes which trial, what it told, and what is left to do."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import optuna
from filelock import FileLock
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from lightune import overrides
from lightune.errors import ConfigError
from lightune.sweep.owner import Owner
from lightune.sweep.space import Space

OWNER, BEAT, KILLED, REASON, WORDS = "owner", "beat", "killed", "reason", "overrides"

Suggest = Callable[[Trial], None]


@dataclass(frozen=True)
class Claimed:
    """A trial that this worker runs.

    Args:
        trial: Optuna's.
        words: Its overrides, those of the whole study left out.
        again: Whether an earlier process has begun with it.
    """

    trial: Trial
    words: Sequence[str]
    again: bool

    @property
    def name(self) -> str:
        """Name of its folder."""
        return folder_of(self.trial)


def folder_of(trial: Trial | FrozenTrial) -> str:
    """Return the name of a trial's folder."""
    return f"trial_{trial.number:04d}"


class Study:
    """Optuna's study with trials that workers claim, and that outlive them.

    Args:
        study: Optuna's.
        lock: Held by the worker that takes a trial.
        space: What trials differ in.
        sampler: Number of a trial → its sampler.
        n_trials: Of all workers and commands together.
        retries: How often a trial is begun again whose process was killed.
        extend: Suggests more of a trial, where the space depends on what was drawn.
        enough: Says why no further trial is worth its time, from the values of those that have ended.
    """

    def __init__(
        self,
        study: optuna.Study,
        lock: FileLock,
        space: Space,
        sampler: Callable[[int], BaseSampler],
        n_trials: int,
        retries: int = 2,
        extend: Suggest | None = None,
        enough: Callable[[Sequence[float | None]], str | None] = lambda values: None,
    ) -> None:
        self.study = study
        self.lock = lock
        self.space = space
        self.sampler = sampler
        self.n_trials = n_trials
        self.retries = retries
        self.extend = extend
        self._enough = enough
        self.me = Owner.here()

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials, as they are now."""
        return self.study.get_trials(deepcopy=False)

    @property
    def failures(self) -> int:
        """Trials that failed."""
        return sum(trial.state == TrialState.FAIL for trial in self.trials)

    @property
    def maximize(self) -> bool | None:
        """Whether a larger value is better; None where a trial has several values."""
        directions = self.study.directions
        return directions[0] == StudyDirection.MAXIMIZE if len(directions) == 1 else None

    def enough(self) -> str | None:
        """Return why no further trial is worth its time, None where one is."""
        ended = [trial for trial in self.trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        ended.sort(key=lambda trial: trial.datetime_complete or datetime.max)
        return self._enough([trial.values[0] if is_good(trial) else None for trial in ended])

    def is_over(self) -> bool:
        """Return whether all trials have ended, whoever ran them."""
        trials = self.trials
        return len(trials) >= self.n_trials and all(trial.state.is_finished() for trial in trials)

    def claim(self) -> Claimed | None:
        """Take a trial whose process is gone, or else a new one; None where none is left to take."""
        with self.lock:
            trials = self.trials
            for left in (trial for trial in trials if trial.state == TrialState.RUNNING and not _is_alive(trial)):
                claimed = self._again(left)
                if claimed is not None:
                    return claimed
            waiting = [trial.number for trial in trials if trial.state == TrialState.WAITING]
            if waiting or len(trials) < self.n_trials:
                self.study.sampler = self.sampler(min(waiting, default=len(trials)))
                return self._taken(self.study.ask(), again=False)
            return None

    def _again(self, left: FrozenTrial) -> Claimed | None:
        self.study.sampler = self.sampler(left.number)
        trial, killed = Trial(self.study, left._trial_id), left.user_attrs.get(KILLED, 0)
        if killed > self.retries:
            self.fail(trial, f"its process was killed {killed} times")
            return None
        begun = WORDS in left.user_attrs
        if not begun:
            self._draw_again(left)
        return self._taken(trial, again=begun)

    def _draw_again(self, left: FrozenTrial) -> None:
        """Go on drawing where a worker was killed while he drew: what is there already is drawn, and thrown away."""
        for key in left.params:
            self.study.sampler.sample_independent(self.study, left, key, left.distributions[key])

    def _taken(self, trial: Trial, again: bool) -> Claimed:
        """Let a trial be this worker's; what it has drawn before, whoever asked, it draws again."""
        for key, distribution in self.space.searched.items():
            trial._suggest(key, distribution)
        if self.extend is not None:
            self._extended(trial, self.extend)
        words = [_override(key, value) for key, value in trial.params.items()]
        trial.set_user_attr(WORDS, words)
        self.beat(trial)
        trial.set_user_attr(OWNER, self.me.state())
        return Claimed(trial, words, again)

    def _extended(self, trial: Trial, extend: Suggest) -> None:
        """Let a function suggest more; what is fixed it finds among the trial's attributes, and may not search."""
        fixed = {key: value for key, _, value in (word.partition("=") for word in self.space.fixed)}
        for key, value in fixed.items():
            trial.set_user_attr(key, value)
        extend(trial)
        if both := sorted(trial.params.keys() & fixed.keys()):
            raise ConfigError(
                f"hydra.sweeper.custom_search_space: {both[0]} is suggested, and {both[0]}={fixed[both[0]]} was typed",
                f"leave {both[0]} out of one of them",
            )

    def beat(self, trial: Trial) -> None:
        """Say that this worker still runs a trial; those of other machines have no other way to know."""
        trial.set_user_attr(BEAT, time.time())

    def tell(self, trial: Trial, result: Mapping[str, Any] | None, otherwise: str) -> str | None:
        """Finish a trial.

        Args:
            trial: One that this worker has claimed.
            result: What it told; None where it ended without a word.
            otherwise: Why, in that case.

        Returns:
            Why it failed; None where it did not.
        """
        if result is not None and result.get("pruned"):
            self.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
            return None
        reason = self.fault(result) if result is not None else otherwise
        if reason is not None:
            self.fail(trial, reason)
            return reason
        assert result is not None
        try:
            self.study.tell(trial, result["values"], skip_if_finished=True)
        except RuntimeError as error:  # from a grid that has no point left, once the trial has been told
            if "Study.stop" not in str(error):
                raise
        return None

    def fault(self, result: Mapping[str, Any]) -> str | None:
        """Return why a result is none, None where it is one."""
        if "error" in result:
            return str(result["error"])
        values, objectives = result["values"], len(self.study.directions)
        if len(values) != objectives:
            return f"it returned {len(values)} values, and the study has {objectives} directions"
        return "it returned no number" if any(value != value for value in values) else None  # NaN is not itself

    def let_go(self, trial: Trial) -> None:
        """Give a trial back whose process was killed; it is claimed again, by whoever has a slot free."""
        trial.set_user_attr(KILLED, trial.user_attrs.get(KILLED, 0) + 1)
        trial.set_user_attr(OWNER, None)

    def fail(self, trial: Trial, reason: str) -> None:
        """Let a trial have failed."""
        trial.set_user_attr(REASON, reason)
        self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)


def _is_alive(trial: FrozenTrial) -> bool:
    owner = Owner.of(trial.user_attrs.get(OWNER))
    return owner is not None and owner.is_alive(trial.user_attrs.get(BEAT))


def is_good(trial: FrozenTrial) -> bool:
    """Return whether a trial has a value that counts: it went to its end, and breaks no constraint."""
    beyond = trial.system_attrs.get("constraints") or ()  # where Optuna's samplers keep it
    return trial.state == TrialState.COMPLETE and all(by <= 0 for by in beyond)


def best_of(study: optuna.Study) -> list[FrozenTrial]:
    """Return the best trial, or of several objectives those that none surpasses in all; none breaks a constraint."""
    return study.best_trials if any(map(is_good, study.get_trials(deepcopy=False))) else []


def _override(key: str, value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)
    # Hydra's grammar does not take every text as it stands, such as an interpolation in an interpolation.
    return f"{key}={text if overrides.parsed(f'{key}={text}') else overrides.quoted(text)}"
