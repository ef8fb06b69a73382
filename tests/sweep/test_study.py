"""A study's trials as workers take them: each has what it drew, whoever died while he took it."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from lightune import overrides
from lightune.errors import ConfigError
from lightune.sweep.owner import Owner
from lightune.sweep.space import Space
from lightune.sweep.storage import claims, opened
from lightune.sweep.study import OWNER, Study

SPACE = Space({"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)})


def _study(folder: Path, n_trials: int = 3, retries: int = 1) -> Study:
    study = optuna.create_study(storage=opened(None, folder), study_name="a", load_if_exists=True)
    return Study(study, claims(None, folder), SPACE, RandomSampler, n_trials, retries)


def _drawn(folder: Path) -> list[dict[str, float]]:
    return [trial.params for trial in _study(folder).trials]


def _take_all(study: Study) -> None:
    while study.claim() is not None:
        pass


class Killed(BaseException):
    """What this process does from here on is not done."""


@pytest.mark.parametrize("reached", range(7))
def test_who_dies_while_he_takes_a_trial_costs_none(
    reached: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dead after so many words to the storage: the trial is taken again, with the values that it would have had."""
    _take_all(_study(tmp_path / "whole"))
    dying, written = _study(tmp_path), 0
    append = type(dying.study._storage)._write_log  # type: ignore[attr-defined]

    def dies(*arguments: object) -> None:
        nonlocal written
        written += 1
        if written > reached:
            raise Killed
        append(*arguments)

    monkeypatch.setattr(type(dying.study._storage), "_write_log", dies)
    with pytest.raises(Killed):
        _take_all(dying)
    monkeypatch.undo()
    study = _study(tmp_path)
    for trial in study.trials:
        if OWNER in trial.user_attrs:  # whose process is gone
            study.study._storage.set_trial_user_attr(trial._trial_id, OWNER, None)
    claimed = [study.claim() for _ in range(3)]
    assert study.claim() is None
    assert sorted(one.trial.number for one in claimed if one is not None) == [0, 1, 2]
    assert _drawn(tmp_path) == _drawn(tmp_path / "whole")
    assert all(Owner.of(trial.user_attrs[OWNER]) == Owner.here() for trial in study.trials)


def test_a_point_that_says_a_part_is_filled_up_by_its_own_number(tmp_path: Path) -> None:
    study = _study(tmp_path)
    for _ in range(2):
        study.study.enqueue_trial({"x": 0.5})
    _take_all(study)
    points = _drawn(tmp_path)
    assert [point["x"] for point in points[:2]] == [0.5, 0.5]
    assert len({point["y"] for point in points}) == 3


def test_a_trial_that_is_killed_too_often_fails_and_its_sweepers_death_is_not_its_own(tmp_path: Path) -> None:
    study = _study(tmp_path, n_trials=1, retries=1)
    for _ in range(5):  # sweepers that were killed
        claimed = study.claim()
        assert claimed is not None
        claimed.trial.set_user_attr(OWNER, None)
    for _ in range(2):
        claimed = study.claim()
        assert claimed is not None
        study.let_go(claimed.trial)
    assert study.claim() is None
    (trial,) = study.trials
    assert (trial.state, trial.user_attrs["reason"]) == (TrialState.FAIL, "its process was killed 2 times")


def test_what_another_worker_has_told_already_stays(tmp_path: Path) -> None:
    study = _study(tmp_path, n_trials=1)
    claimed = study.claim()
    assert claimed is not None
    assert study.tell(claimed.trial, {"values": [1.0]}, "") is None
    assert study.tell(claimed.trial, {"values": [2.0]}, "") is None
    assert study.trials[0].value == 1.0


def test_texts_that_hydra_does_not_read_as_they_stand_are_quoted(tmp_path: Path) -> None:
    study = _study(tmp_path)
    choices: list[Any] = ["${times:3,${peft.lr}}", "a b", "[1,2]", "it's", True, None]
    study.space = Space({f"key{i}": CategoricalDistribution([choice]) for i, choice in enumerate(choices)}, [])
    claimed = study.claim()
    assert claimed is not None
    read = [overrides.parsed(word) for word in claimed.words]
    assert [one and one.value() for one in read] == ["${times:3,${peft.lr}}", "a b", [1, 2], "it's", True, None]


def test_a_function_sees_what_is_fixed_and_may_not_search_it(tmp_path: Path) -> None:
    study = _study(tmp_path)
    study.space = Space(SPACE.searched, ["z=3", "~w"])
    study.extend = lambda trial: trial.set_user_attr("seen", trial.user_attrs["z"])
    claimed = study.claim()
    assert claimed is not None
    assert claimed.trial.user_attrs["seen"] == "3"
    study.extend = lambda trial: trial._suggest("z", FloatDistribution(0, 1))
    with pytest.raises(ConfigError, match="z is suggested, and z=3 was typed"):
        study.claim()
