"""Systems: runs that differ in nothing but seed and fold are draws of one; and what tells systems from each other."""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightune.objective import metric_mode
from lightune.report.page import COLORS
from lightune.report.runs.folder import Run
from lightune.report.show import short
from lightune.statistics.intervals import independent

# Of a run alone, not of what was tried: where things lie, and how it was started.
_OWN = frozenset("seed seeds data.fold run_dir resume reproduce check plan plots trust name headline objective".split())
_OWN_GROUPS = ("paths.", "logger.")
_LONGEST = 60  # characters of a label


@dataclass(frozen=True)
class System:
    """One experiment, run once or with several seeds and folds.

    Args:
        label: What tells it from the others beside it.
        color: In figures.
        runs: At least one.
    """

    label: str
    color: str
    runs: Sequence[Run]

    @property
    def marked(self) -> str:
        """The label as plotly reads it, which takes markup."""
        return html.escape(self.label)

    @property
    def best(self) -> Run:
        """The run that is best on val, by the task's own metric."""
        sign = -1 if metric_mode(self.runs[0].monitor) == "min" else 1
        return max(self.runs, key=lambda run: sign * run.metrics.get(f"val/{run.monitor}", -sign * float("inf")))

    def values(self, metric: str) -> list[float]:
        """Return a number of each run that has it."""
        return [run.metrics[metric] for run in self.runs if metric in run.metrics]

    def draws(self, metric: str) -> list[float]:
        """Return a number whose spread counts: of each seed, or of the folds of the only one."""
        return independent((str(run.seed), run.metrics[metric]) for run in self.runs if metric in run.metrics)

    @property
    def seeds(self) -> str:
        """The seeds of its runs, each with its folds."""
        folds: dict[str, list[str]] = {}
        for run in self.runs:
            folds.setdefault(str(run.seed), []).extend(() if run.fold is None else (str(run.fold),))
        return ", ".join(f"{seed} (folds {' '.join(each)})" if each else seed for seed, each in folds.items())


def systems(runs: Sequence[Run]) -> list[System]:
    """Return the systems of runs, with labels that tell them apart."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(json.dumps(identity(run), sort_keys=True, default=str), []).append(run)
    parts = [*groups.values()]
    named = zip(labels([part[0] for part in parts]), parts, strict=True)
    return [System(label, COLORS[i % len(COLORS)], part) for i, (label, part) in enumerate(named)]


def identity(run: Run) -> dict[str, Any]:
    """Return of a run's configuration what two runs of one experiment have in common, whatever their seeds."""
    place = str(run.config.get("run_dir") or "")
    return {
        key: value.replace(place, "<run_dir>") if place and isinstance(value, str) else value
        for key, value in run.config.items()
        if key not in _OWN and not key.startswith(_OWN_GROUPS)
    }


def differing(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Return the keys of the configuration in which runs differ, seed and places aside, with the value of each run."""
    found = [identity(run) for run in runs]
    keys = dict.fromkeys(key for each in found for key in each)
    values = {key: [each.get(key, "") for each in found] for key in keys}
    return {key: column for key, column in values.items() if any(value != column[0] for value in column[1:])}


def labels(runs: Sequence[Run]) -> list[str]:
    """Return a name for each run: options and typed values that tell it from the others, or else its folder."""
    columns = _telling(runs)
    found = [
        ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in zip(columns, row, strict=True) if value != "")
        for row in (zip(*columns.values(), strict=True) if columns else [()] * len(runs))
    ]
    if len(runs) == 1:
        return [runs[0].task or runs[0].name]
    if len(set(found)) < len(runs) or max(map(len, found)) > _LONGEST:
        return [run.name for run in runs]
    return [label or run.name for label, run in zip(found, runs, strict=True)]


def _telling(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Return what users chose differently, of each run: options of groups, then values that were typed."""
    groups = dict.fromkeys(key for run in runs for key in run.choices if key not in _OWN)
    options = {key: [run.choices.get(key, "") for run in runs] for key in groups}
    typed = dict.fromkeys(word.split("=", 1)[0].lstrip("+~") for run in runs for word in run.typed)
    values = {key: [_text(run.config, key) for run in runs] for key in typed if key not in groups and key not in _OWN}
    return _telling_more({**options, **values})


def _telling_more(columns: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the columns that tell apart what those before them do not."""
    chosen: dict[str, list[str]] = {}
    told = 1
    for key, column in columns.items():
        apart = len(set(zip(*chosen.values(), column, strict=True)))
        if apart > told:
            chosen[key], told = column, apart
    return chosen


def _text(config: Mapping[str, Any], key: str) -> str:
    if key in config:
        return short(config[key])
    inside = {name.removeprefix(f"{key}."): value for name, value in config.items() if name.startswith(f"{key}.")}
    return ",".join(f"{name}:{short(value)}" for name, value in inside.items())
