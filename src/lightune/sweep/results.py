"""What a study leaves behind: its trials, its best values, and how to run them again."""

import csv
import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from lightune.report import show
from lightune.report.artefacts import write_text, written_whole
from lightune.sweep.pictures import write_picture
from lightune.sweep.report import write_report
from lightune.sweep.shown import as_text, names, shown
from lightune.sweep.study import REASON, WORDS, best_of, folder_of, is_good

RESULTS, TRIALS, BEST = "optimization_results.yaml", "trials.csv", "experiment/best.yaml"
REPORT, PICTURE = "report.html", "study.png"
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
    best = best_of(study)
    command = f"python train.py --config-dir {shlex.quote(str(folder))} experiment=best"
    again = command if best and "experiment" in groups else ""
    with FileLock(folder / ".results.lock"):  # workers of one study end at the same time
        OmegaConf.save(OmegaConf.create(_solutions(study)), folder / RESULTS)
        _write_trials(study, folder / TRIALS)
        if best:
            _write_best(best[0], folder / BEST, fixed, groups)
        if not _is_drawn(folder / REPORT, study):
            with _in_spite_of_failures():
                seen = shown(study)
                write_report(folder / REPORT, seen, fixed, again)
                if best:
                    write_picture(folder / PICTURE, seen)
    _print(study, folder, again)


def _write_best(trial: FrozenTrial, path: Path, fixed: Sequence[str], groups: Collection[str]) -> None:
    write_text(path, as_experiment([*fixed, *trial.user_attrs.get(WORDS, ())], groups))


def _is_drawn(report: Path, study: optuna.Study) -> bool:
    """Return whether a report is there that no trial has ended after: a command that ran none draws none."""
    ended = [trial.datetime_complete.timestamp() for trial in study.trials if trial.datetime_complete]
    return bool(ended) and report.is_file() and report.stat().st_mtime > max(ended)


@contextmanager
def _in_spite_of_failures() -> Iterator[None]:
    """Let no library that draws end a sweep whose results are written."""
    try:
        yield
    except Exception as error:  # of any of them
        show.note(f"No picture of the study: {type(error).__name__}: {error}")


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


def _print(study: optuna.Study, folder: Path, again: str) -> None:
    done = [trial for trial in study.trials if is_good(trial)]
    keys = list(dict.fromkeys(key for trial in done for key in trial.params))
    if len(study.directions) == 1:
        done.sort(key=lambda trial: trial.value or 0.0, reverse=study.direction == StudyDirection.MAXIMIZE)
    rows = [
        (
            folder_of(trial),
            *(f"{value:.6g}" for value in trial.values),
            *(as_text(trial.params[k]) if k in trial.params else "" for k in keys),
        )
        for trial in done[:_SHOWN]
    ]
    counts = Counter(trial.state.name.lower() for trial in study.trials)
    title = f"{study.study_name}: {', '.join(f'{count} {state}' for state, count in counts.items())}"
    show.table(title, ["trial", *names(study), *keys], rows)
    entries = {REPORT: "all that can be seen of it, for a browser", PICTURE: "the same at a glance"}
    entries |= {TRIALS: "every trial", RESULTS: "the best values"}
    entries |= {BEST: "the best trial as an experiment"} if again else {}
    show.lines(f"In {folder}/", {name: what for name, what in entries.items() if (folder / name).is_file()})
    if again:
        show.lines("Next", {"run the best": again})


def _solutions(study: optuna.Study) -> dict[str, Any]:
    """Return the best values, as hydra-optuna-sweeper writes them."""
    if not any(map(is_good, study.trials)):
        return {"name": "optuna", "best_params": None, "best_value": None}
    if len(study.directions) == 1:
        return {"name": "optuna", "best_params": study.best_params, "best_value": study.best_value}
    front = [{"params": dict(trial.params), "values": list(trial.values)} for trial in study.best_trials]
    return {"name": "optuna", "solutions": front}


def _write_trials(study: optuna.Study, path: Path) -> None:
    columns, rows = trial_table(study)
    with written_whole(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


def trial_table(study: optuna.Study) -> tuple[list[str], list[list[Any]]]:
    """Return the columns and rows of all trials: values, parameters, seconds, last validation, and why one failed."""
    keys = list(dict.fromkeys(key for trial in study.trials for key in trial.params))
    values = [f"value_{number}" for number in range(len(study.directions))] if len(study.directions) > 1 else ["value"]
    columns = ["trial", "state", *values, *keys, "seconds", "step", "reason", "log"]
    return columns, [_row(trial, len(values), keys) for trial in study.trials]


def _row(trial: FrozenTrial, objectives: int, keys: list[str]) -> list[Any]:
    values = trial.values or [""] * objectives
    seconds = f"{trial.duration.total_seconds():.1f}" if trial.duration else ""
    return [
        folder_of(trial),
        trial.state.name.lower(),
        *values,
        *(trial.params.get(key, "") for key in keys),
        seconds,
        trial.last_step if trial.last_step is not None else "",
        trial.user_attrs.get(REASON, ""),
        f"{folder_of(trial)}.log",
    ]
