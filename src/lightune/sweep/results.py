"""What a study leaves behind: its trials, its best values, and how to run them again."""

import csv
import shlex
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import optuna
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from lightune.report import show
from lightune.sweep.study import REASON, WORDS

RESULTS, TRIALS, BEST = "optimization_results.yaml", "trials.csv", "experiment/best.yaml"
_NOT_OF_A_RUN = ("hparams_search", "run_dir")
_SHOWN = 10  # trials


def write_results(study: optuna.Study, folder: Path, fixed: Sequence[str], groups: Collection[str]) -> None:
    """Write the files of a study, and print its best trials.

    Args:
        study: With its trials.
        folder: Of the study.
        fixed: Overrides that all trials have.
        groups: Names of the config groups.
    """
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(OmegaConf.create(_solutions(study)), folder / RESULTS)
    _write_trials(study, folder / TRIALS)
    best = study.best_trials if any(trial.state == TrialState.COMPLETE for trial in study.trials) else []
    if best:
        path = folder / BEST
        path.parent.mkdir(exist_ok=True)
        path.write_text(as_experiment([*fixed, *best[0].user_attrs.get(WORDS, ())], groups), encoding="utf-8")
    _print(study, folder, again=bool(best) and "experiment" in groups)


def as_experiment(words: Sequence[str], groups: Collection[str]) -> str:
    """Return overrides as a file of the group ``experiment``.

    Args:
        words: ``key=value``, as typed.
        groups: Names of the config groups.
    """
    pairs = [word.lstrip("+").partition("=") for word in words if not word.startswith("~")]
    kept = [(key, value) for key, _, value in pairs if key not in _NOT_OF_A_RUN and not key.startswith("hydra")]
    chosen = {key: value for key, value in kept if key in groups}
    earlier = [chosen.pop("experiment")] if "experiment" in chosen else []
    defaults = [*earlier, *({f"override /{group}": _read(option)} for group, option in chosen.items()), "_self_"]
    values = OmegaConf.create({})
    for key, value in kept:
        if key not in groups:
            OmegaConf.update(values, key, _read(value))
    content = OmegaConf.to_yaml(OmegaConf.create({"defaults": defaults})) + (
        OmegaConf.to_yaml(values) if values else ""
    )
    return f"# @package _global_\n# The best trial of a study.\n{content}"


def _read(value: str) -> Any:
    """Return what stands behind an override's ``=`` as the value that Hydra makes of it."""
    return OverridesParser.create().parse_override(f"key={value}").value()


def _print(study: optuna.Study, folder: Path, again: bool) -> None:
    done = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    keys = list(dict.fromkeys(key for trial in done for key in trial.params))
    if len(study.directions) == 1:
        done.sort(key=lambda trial: trial.value or 0.0, reverse=study.direction == StudyDirection.MAXIMIZE)
    rows = [
        (
            f"trial_{trial.number:04d}",
            *(f"{value:.6g}" for value in trial.values),
            *(show.short(trial.params.get(k)) for k in keys),
        )
        for trial in done[:_SHOWN]
    ]
    names = ["value"] if len(study.directions) == 1 else [f"value {n}" for n in range(len(study.directions))]
    counts = Counter(trial.state.name.lower() for trial in study.trials)
    title = f"{study.study_name}: {', '.join(f'{count} {state}' for state, count in counts.items())}"
    show.table(title, ["trial", *names, *keys], rows)
    entries = {TRIALS: "every trial", RESULTS: "the best values"}
    show.lines(f"In {folder}/", entries | ({BEST: "the best trial as an experiment"} if again else {}))
    if again:
        show.lines("Next", {"run the best": f"python train.py --config-dir {shlex.quote(str(folder))} experiment=best"})


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
