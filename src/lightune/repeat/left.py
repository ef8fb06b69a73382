"""What runs have left in their folders: a run its numbers, several of them their summary."""

import json
from pathlib import Path
from typing import Any

from lightune.numbers import is_number

FILE = "summary.json"  # of several runs
METRICS = "metrics.json"  # of a run that has ended


def numbers_of(folder: Path) -> dict[str, float] | None:
    """Return what a run measured; None where it has not ended."""
    path = folder / METRICS
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    return {name: value for name, value in content.items() if is_number(value)}


def kept(folder: Path) -> dict[str, Any] | None:
    """Return what an earlier command left of a summary; None where there is none."""
    path = folder / FILE
    content: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return content


def means(folder: Path) -> dict[str, float]:
    """Return the mean of each number in the summary of a folder."""
    return {name: each["mean"] for name, each in _metrics(folder).items()}


def half_widths(folder: Path) -> dict[str, float]:
    """Return half of the 95 % interval around each of the `means`, of those that have one."""
    found = {name: each["half_width"] for name, each in _metrics(folder).items()}
    return {name: value for name, value in found.items() if value is not None}


def first(folder: Path) -> Path | None:
    """Return the folder of the first run that the summary of a folder counts; None where there is none."""
    names = next((each["values"] for each in _metrics(folder).values()), ())
    return next((folder / name for name in names), None)


def _metrics(folder: Path) -> dict[str, Any]:
    found = kept(folder)
    metrics: dict[str, Any] = found["metrics"] if found else {}
    return metrics
