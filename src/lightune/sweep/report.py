"""The report of a study: a page of all that can be seen of it."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from lightune.numbers import is_number
from lightune.report.artefacts import write_text
from lightune.report.page import Cell, Section, Table, page
from lightune.sweep import figures
from lightune.sweep.shown import Shown, as_text, names
from lightune.sweep.study import REASON, folder_of

_LARGEST = sys.float_info.max


@dataclass(frozen=True)
class Kind:
    """A section of figures.

    Args:
        title: Its heading.
        text: How to read them.
        draw: Makes them, or raises an error that says why not.
    """

    title: str
    text: str
    draw: figures.Draw


FRONT = Kind(
    "Pareto front", "Red: trials that no other surpasses in all objectives. Late trials stand out.", figures.front
)
KINDS = (
    Kind("History", "The value of each completed trial, and the best so far.", figures.history),
    Kind(
        "Intermediate values",
        "What trials reported on their way: a line ends where its trial did.",
        figures.intermediate_values,
    ),
    Kind(
        "Importance",
        "How much each parameter decides on whether a trial is among the best tenth (PED-ANOVA). "
        "Of few trials it says little.",
        figures.importance,
    ),
    Kind(
        "Slices", "The value against each parameter, the most important first; late trials stand out.", figures.slices
    ),
    Kind(
        "Contours",
        "The value between trials, over pairs of the most important parameters; good ones stand out.",
        figures.contours,
    ),
    Kind("Parallel coordinates", "A line a trial; good ones stand out.", figures.parallel_coordinates),
    Kind("Distribution", "Which share of the completed trials has at most this value.", figures.distribution),
    Kind("Timeline", "When each trial ran, and how it ended.", figures.timeline),
)


def write_report(path: Path, seen: Shown, fixed: Sequence[str], again: str) -> None:
    """Write a study's report.

    Args:
        path: Of the HTML file, in the folder of the study: it has links to the trials' folders and logs.
        seen: The study.
        fixed: Overrides that all trials have.
        again: The command that runs the best trial again; empty where there is none.
    """
    write_text(path, report(seen, fixed, again))


def report(seen: Shown, fixed: Sequence[str], again: str) -> str:
    """Return the page; see `write_report`."""
    counts = Counter(trial.state.name.lower() for trial in seen.trials)
    ended = ", ".join(f"{count} {state}" for state, count in counts.items())
    aims = " and ".join(f"{each.study.direction.name.lower()} {each.name}" for each in seen.objectives)
    return page(seen.study.study_name, f"Trials to {aims}: {ended or 'none'}.", sections(seen, fixed, again))


def sections(seen: Shown, fixed: Sequence[str], again: str) -> list[Section]:
    """Return what a study's report consists of; see `write_report`."""
    kinds = KINDS if len(seen.objectives) == 1 else (FRONT, *KINDS)
    return [best(seen, fixed, again), *(drawn(kind, seen) for kind in kinds), trials(seen)]


def drawn(kind: Kind, seen: Shown) -> Section:
    """Return a section with its figures, or with the reason why there are none.

    Whatever happens while one is drawn, the others and the table of trials are worth having.
    """
    try:
        return Section(kind.title, kind.text, drawings=kind.draw(seen))
    except Exception as error:  # of Optuna, plotly, NumPy: a study may hold what none of them expects
        return Section(kind.title, f"Left out: {error}.")


def best(seen: Shown, fixed: Sequence[str], again: str) -> Section:
    """Return what the best trial has, or of several objectives one that none surpasses, and how to run it again."""
    common = {"all trials have": " ".join(fixed)} if fixed else {}
    if not seen.best:
        return Section("Best trial", "No trial has a value that counts.", facts=common)
    first, *others = seen.best
    text = f"One of {len(others) + 1} that no trial surpasses." if others else ""
    values = {name: f"{value:.6g}" for name, value in zip(names(seen.study), first.values, strict=True)}
    parameters = {key: as_text(value) for key, value in first.params.items()}
    return Section("Best trial", text, {"trial": folder_of(first), **values, **parameters, **common}, again)


def trials(seen: Shown) -> Section:
    """Return the table of all trials."""
    keys = list(dict.fromkeys(key for trial in seen.trials for key in trial.params))
    columns = ["trial", "log", "state", *names(seen.study), *keys, "seconds", "pruned at step", "reason of failure"]
    rows = [_row(trial, len(seen.objectives), keys) for trial in seen.trials]
    return Section("Trials", "A click on a column sorts by it.", table=Table(columns, rows))


def _row(trial: FrozenTrial, objectives: int, keys: Sequence[str]) -> list[Cell]:
    name = folder_of(trial)
    pruned = trial.last_step if trial.state == TrialState.PRUNED else None
    began = trial.datetime_start is not None
    return [
        Cell(name, trial.number, f"{name}/" if began else None),
        Cell("log", link=f"{name}.log") if began else Cell(""),
        Cell(trial.state.name.lower()),
        *map(_number, trial.values or [None] * objectives),
        *(_value(trial.params[key]) if key in trial.params else Cell("") for key in keys),
        _number(round(trial.duration.total_seconds(), 1) if trial.duration else None),
        _number(pruned),
        Cell(str(trial.user_attrs.get(REASON, ""))),
    ]


def _number(value: float | None) -> Cell:
    if value is None:
        return Cell("")
    return Cell(f"{value:.6g}", max(-_LARGEST, min(value, _LARGEST)))  # browsers have no word for infinity in common


def _value(value: Any) -> Cell:
    return _number(value) if is_number(value) else Cell(as_text(value))
