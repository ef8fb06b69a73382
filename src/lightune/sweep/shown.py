"""A study as pictures show it: in memory, one study for each objective, the parameters that matter most first."""

import copy
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna import importance  # which imports itself, and scikit-learn, where it is used
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from lightune.report import show
from lightune.sweep.study import best_of

# What a bar or a line of a trial is drawn in, by how the trial ended.
COLORS = {"COMPLETE": "#1f77b4", "PRUNED": "#ff7f0e", "FAIL": "#d62728", "RUNNING": "#2ca02c", "WAITING": "#7f7f7f"}
FEW = 5  # completed trials, below which importances are chance: they compare the best tenth, two at least, with all


@dataclass(frozen=True)
class Objective:
    """One value of all trials.

    Args:
        name: Of the value.
        study: With this value alone.
        importances: Of parameters with more than one value among completed trials, the most important first: how much
            each decides on whether a trial is among the best tenth (PED-ANOVA), all together 1; 0 of few trials.
    """

    name: str
    study: optuna.Study
    importances: Mapping[str, float]

    @property
    def keys(self) -> list[str]:
        """Those parameters."""
        return list(self.importances)

    @property
    def done(self) -> list[FrozenTrial]:
        """Trials with a value."""
        return completed(self.study)

    @property
    def given_up(self) -> list[tuple[FrozenTrial, float]]:
        """Trials that were given up, and the last value that each had until then."""
        trials = self.study.get_trials(deepcopy=False, states=(TrialState.PRUNED,))
        return [(trial, trial.intermediate_values[trial.last_step]) for trial in trials if trial.last_step is not None]


@dataclass(frozen=True)
class Shown:
    """A study, and what pictures show of it.

    Args:
        study: Wherever it is kept.
        trials: All of them, whatever their state.
        copy: The study in memory.
        objectives: Each of the study's, in its order.
    """

    study: optuna.Study
    trials: Sequence[FrozenTrial]
    copy: optuna.Study
    objectives: Sequence[Objective]

    @property
    def best(self) -> list[FrozenTrial]:
        """The best trial, or of several objectives those that none surpasses in all; none that breaks a constraint."""
        return best_of(self.study)


def shown(study: optuna.Study) -> Shown:
    """Return a study as pictures show it.

    Optuna takes what it is given as `target` for something to minimise; a study for each objective keeps the direction.
    """
    trials, numbers = study.get_trials(deepcopy=False), range(len(study.directions))
    plain = [_plain(trial) for trial in trials]
    parts = zip(names(study), (kept(study, [number], plain) for number in numbers), strict=True)
    objectives = [Objective(name, part, _importances(part)) for name, part in parts]
    return Shown(study, trials, kept(study, numbers, plain), objectives)


def completed(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that have ended with a value."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def names(study: optuna.Study) -> list[str]:
    """Return what the values of a trial are called."""
    count = len(study.directions)
    return study.metric_names or (["value"] if count == 1 else [f"value {number}" for number in range(count)])


def kept(study: optuna.Study, numbers: Sequence[int], trials: Sequence[FrozenTrial]) -> optuna.Study:
    """Return a study in memory.

    Args:
        study: Wherever it is kept.
        numbers: Of the objectives that are kept.
        trials: That are kept.
    """
    view = optuna.create_study(directions=[study.directions[number] for number in numbers])
    view.add_trials([_kept(trial, numbers) for trial in trials])
    return view


def _kept(trial: FrozenTrial, numbers: Sequence[int]) -> FrozenTrial:
    part = copy.copy(trial)
    if trial.values is not None:
        part.values = [trial.values[number] for number in numbers]
    return part


def _plain(trial: FrozenTrial) -> FrozenTrial:
    """Return a trial whose texts plotly shows as they are: it would read them as HTML."""
    plain = copy.copy(trial)
    plain.user_attrs = {}
    plain.distributions = {key: _escaped(distribution) for key, distribution in trial.distributions.items()}
    plain.params = {key: _unread(value) for key, value in trial.params.items()}
    return plain


def _escaped(distribution: BaseDistribution) -> BaseDistribution:
    if not isinstance(distribution, CategoricalDistribution):
        return distribution
    return CategoricalDistribution([_unread(choice) for choice in distribution.choices])


def _unread(value: Any) -> Any:
    return html.escape(value, quote=False) if isinstance(value, str) else value


def _importances(study: optuna.Study) -> dict[str, float]:
    trials = completed(study)
    keys = dict.fromkeys(key for trial in trials for key in trial.params)
    varied = [key for key in keys if len({trial.params[key] for trial in trials if key in trial.params}) > 1]
    if len(trials) < FEW:
        return dict.fromkeys(varied, 0.0)
    found = importance.get_param_importances(study, evaluator=importance.PedAnovaImportanceEvaluator())
    return dict(sorted(((key, found.get(key, 0.0)) for key in varied), key=lambda pair: -pair[1]))


def as_text(value: Any) -> str:
    """Return a parameter's value as it would be typed, numbers with few digits."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return show.short(value)


def spread(trials: Sequence[FrozenTrial], most: int) -> Sequence[FrozenTrial]:
    """Return every so many-th of many trials, so that at most so many are left."""
    return trials[:: -(-len(trials) // most) or 1]
