"""A run folder, read back: what was asked for, what was measured, and what was predicted."""

import csv
import json
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from lightune import checkpoint_card
from lightune.errors import CheckpointError, DataError
from lightune.numbers import is_number
from lightune.report.artefacts import flat

Row = Mapping[str, Any]
_FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, where PyYAML was built with it
_SUMMARY = "time/total_s"
_UNREADABLE = (OSError, ValueError, TypeError, yaml.YAMLError, csv.Error)  # errors of JSON and Unicode are ValueErrors


@dataclass(frozen=True)
class Run:
    """What a run folder holds; large files are read where they are asked for.

    Args:
        name: Its path below the folder that all runs of a report share.
        folder: Where it lies.
        config: The resolved configuration, as dotted keys.
        typed: What was typed.
        environment: Versions, revision, machine.
        metrics: All numbers, those of the best checkpoint; none where the run did not end.
        problems: What could not be read of it later on.
    """

    name: str
    folder: Path
    config: Mapping[str, Any]
    typed: Sequence[str]
    environment: Mapping[str, Any]
    metrics: Mapping[str, float]
    problems: list[str] = field(default_factory=list)

    @property
    def task(self) -> str:
        """Name of its task."""
        return str(self.config.get("task.name", ""))

    @property
    def monitor(self) -> str:
        """The metric that picked the best checkpoint."""
        return str(self.config.get("task.monitor", "loss"))

    @property
    def headline(self) -> list[str]:
        """Metrics that stand for it."""
        return [*(self.config.get("headline") or [self.monitor])]

    @property
    def seed(self) -> Any:
        """Its seed."""
        return self.config.get("seed")

    @property
    def fold(self) -> Any:
        """The fold that it was validated on, of several."""
        return self.config.get("data.fold")

    @property
    def draw(self) -> str:
        """What tells it from the other runs of its experiment."""
        return str(self.seed) if self.fold is None else f"{self.seed}, fold {self.fold}"

    @cached_property
    def choices(self) -> dict[str, str]:
        """The option of each config group: from a checkpoint's card, which has defaults too, or of what was typed."""
        for file in sorted((self.folder / "checkpoints").glob("[!.]*.ckpt")):
            try:
                return dict(checkpoint_card.read(file, whole=False)["choices"])
            except (CheckpointError, OSError, KeyError):
                continue
        pairs = (word.lstrip("+").partition("=") for word in self.typed)
        return {key: value for key, _, value in pairs if "." not in key}

    @cached_property
    def history(self) -> list[dict[str, float]]:
        """The rows of history.csv but for the last, in which an ended run sums itself up; none without such a file."""
        return [row for row in self._logged if _SUMMARY not in row]

    @property
    def steps(self) -> int | None:
        """Optimiser steps that were taken, or None where nothing was logged."""
        last = self._logged[-1] if self._logged else None
        return None if last is None else int(last["step"]) + (_SUMMARY not in last)  # rows count from 0

    @cached_property
    def _logged(self) -> list[dict[str, float]]:
        with self._in_spite_of_damage("history.csv") as file, file.open(newline="", encoding="utf-8") as lines:
            return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(lines)]
        return []

    @cached_property
    def predictions(self) -> list[Row]:
        """The rows of predictions.jsonl; none where there is no such file."""
        with self._in_spite_of_damage("predictions.jsonl") as file:
            return [_mapping(line) for line in file.read_text(encoding="utf-8").splitlines()]
        return []

    def table(self, name: str) -> list[Row]:
        """Return the rows of a finer table, such as ``test_confusion``; none where there is no such file."""
        with self._in_spite_of_damage(f"{name}.json") as file:
            return [dict(row) for row in json.loads(file.read_text(encoding="utf-8"))]
        return []

    @contextmanager
    def _in_spite_of_damage(self, name: str) -> Iterator[Path]:
        try:
            yield self.folder / name
        except FileNotFoundError:
            pass
        except _UNREADABLE as error:
            self.problems.append(f"{self.name}/{name} cannot be read ({error})")

    @property
    def command(self) -> str:
        """What is typed to have it again."""
        return shlex.join(["python", "train.py", *self.typed])


def is_run(folder: Path) -> bool:
    """Return whether a folder is that of a run, finished or not."""
    return (folder / "config.yaml").is_file() and (folder / "environment.json").is_file()


def read(folder: Path, name: str) -> Run:
    """Return the run that lies in a folder.

    Args:
        folder: Of the run.
        name: What it is called in the report.

    Raises:
        DataError: One of its files is damaged.
    """
    return Run(
        name,
        folder,
        flat(_loaded(folder / "config.yaml", _yaml)),
        [str(word) for word in _loaded(folder / "overrides.yaml", _yaml) or ()],
        _loaded(folder / "environment.json", _mapping) or {},
        {key: value for key, value in _loaded(folder / "metrics.json", _mapping).items() if _is_finite(value)},
    )


def _loaded(file: Path, parse: Any) -> Any:
    try:
        return parse(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except _UNREADABLE as error:
        problem = f"{file}: cannot be read ({str(error).splitlines()[0]})"
        raise DataError(problem, "leave that run out, or train it again") from error


def _yaml(text: str) -> Any:
    return yaml.load(text, Loader=_FAST)


def _mapping(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise TypeError(f"a {type(found).__name__} in place of names with values")
    return found


def _is_finite(value: Any) -> bool:
    return is_number(value) and math.isfinite(value)
