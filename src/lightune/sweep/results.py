"""What a study leaves behind: its trials, its best values, and how to run them again."""

import csv
from pathlib import Path
from typing import Any

import optuna
from omegaconf import OmegaConf
from optuna.trial import FrozenTrial, TrialState

from lightune.sweep.study import REASON

RESULTS, TRIALS, BEST = "optimization_results.yaml", "trials.csv", "best.yaml"


def write_results(study: optuna.Study, folder: Path) -> None:
    """Write the files of a study.

    Args:
        study: With its trials.
        folder: Of the study.
    """
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(OmegaConf.create(_solutions(study)), folder / RESULTS)
    _write_trials(study, folder / TRIALS)


def _solutions(study: optuna.Study) -> dict[str, Any]:
    """Return the best values, as hydra-optuna-sweeper writes them."""
    done = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    if not done:
        return {"name": "optuna", "best_params": None, "best_value": None}
    if len(study.directions) == 1:
        return {"name": "optuna", "best_params": study.best_params, "best_value": study.best_value}
    front = [{"params": dict(trial.params), "values": list(trial.values)} for trial in study.best_trials]
    return {"name": "optuna", "solutions": front}


def _write_trials(study: optuna.Study, path: Path) -> None:
    keys = list(dict.fromkeys(key for trial in study.trials for key in trial.params))
    values = [f"value_{number}" for number in range(len(study.directions))] if len(study.directions) > 1 else ["value"]
    unfinished = path.with_suffix(".part")
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["trial", "state", *values, *keys, "seconds", "reason"])
        writer.writerows(_row(trial, len(values), keys) for trial in study.trials)
    unfinished.replace(path)


def _row(trial: FrozenTrial, objectives: int, keys: list[str]) -> list[Any]:
    values = trial.values or [""] * objectives
    seconds = f"{trial.duration.total_seconds():.1f}" if trial.duration else ""
    return [
        f"trial_{trial.number:04d}",
        trial.state.name.lower(),
        *values,
        *(trial.params.get(key, "") for key in keys),
        seconds,
        trial.user_attrs.get(REASON, ""),
    ]
