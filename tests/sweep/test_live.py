"""The table of a study that runs."""

from datetime import datetime, timedelta
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from lightune.sweep.live import best_so_far, remaining, table

NOW = datetime(2026, 1, 1, 12)
SPACE: dict[str, optuna.distributions.BaseDistribution] = {"lr": optuna.distributions.FloatDistribution(0, 1)}


def _trial(number: int, state: TrialState, seconds: float, value: float | None = None, **more: Any) -> FrozenTrial:
    trial = optuna.trial.create_trial(state=state, value=value, params={"lr": 0.123456}, distributions=SPACE, **more)
    trial.number = number
    trial.datetime_start = NOW - timedelta(seconds=seconds)
    trial.datetime_complete = NOW if state.is_finished() else None
    return trial


TRIALS = [
    _trial(0, TrialState.COMPLETE, 10, 0.5),
    _trial(1, TrialState.PRUNED, 20, 0.2, intermediate_values={50: 0.3, 100: 0.2}),
    _trial(2, TrialState.COMPLETE, 30, 0.75),
    _trial(3, TrialState.FAIL, 1),
    _trial(4, TrialState.RUNNING, 5, intermediate_values={50: 0.625}),
]


def test_the_best_value_after_each_trial() -> None:
    assert best_so_far(TRIALS, maximize=True) == [0.5, 0.75]
    assert best_so_far(TRIALS, maximize=False) == [0.5, 0.5]
    assert best_so_far(TRIALS, maximize=None) == []


@pytest.mark.parametrize(
    ("n_trials", "slots", "seconds"),
    # Those that ended took (10 + 20 + 30 + 1) / 4 = 15.25 s; of the one that runs 5 s are over.
    [(10, 1, 6 * 15.25 - 5), (10, 2, (6 * 15.25 - 5) / 2), (5, 1, 10.25), (5, 2, 10.25), (4, 1, 0.0)],
)
def test_the_time_that_is_left(n_trials: int, slots: int, seconds: float) -> None:
    assert remaining(TRIALS, n_trials, slots, NOW) == pytest.approx(seconds)


def test_nothing_is_known_of_the_time_before_a_trial_has_ended() -> None:
    assert remaining(TRIALS[4:], 10, 1, NOW) is None


@pytest.mark.parametrize(("rows", "shown"), [(99, [0, 1, 2, 3, 4]), (3, [2, 3, 4]), (1, [4])])
def test_the_latest_are_shown_and_those_that_run(rows: int, shown: list[int]) -> None:
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(table("study", TRIALS, True, rows))
    lines = console.export_text().splitlines()
    assert [int(line.split("│")[1]) for line in lines if line.startswith("│")] == shown


def test_a_row_says_how_a_trial_stands() -> None:
    drawn = table("study", TRIALS, True, 99)
    cells = {column.header: [*column.cells] for column in drawn.columns}
    assert cells == {
        "trial": ["0000", "0001", "0002", "0003", "0004"],
        "state": ["done", "given up", "done", "failed", "runs"],
        "value": ["0.5", "0.2", "0.75", "", "0.625"],
        "best": ["0.5", "0.5", "0.75", "0.75", "0.75"],
        "at step": ["", "100", "", "", "50"],
        "lr": ["0.1235"] * 5,
    }
