"""The tables of all runs: their numbers, what they differ in, their files and commands."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lightune.report.page import Cell, Section, Table
from lightune.report.runs.cells import either, number, plain
from lightune.report.runs.folder import Run
from lightune.report.runs.found import Found
from lightune.report.runs.systems import differing, systems

_COSTS = {
    "params/trainable": "trained",
    "params/total": "parameters",
    "time/train_s": "training, s",
    "memory/peak_rss_mb": "memory, MiB",
    "memory/peak_gpu_mb": "GPU memory, MiB",
}
_SETTING = 80  # characters of a value
_FILES = (
    "config.yaml",
    "environment.json",
    "metrics.json",
    "history.csv",
    "predictions.jsonl",
    "checkpoints/best.ckpt",
    "model/",
)


def speed(run: Run) -> float | None:
    """Return the tokens that a run was trained on in a second, or None where that was not measured."""
    tokens, seconds = (run.metrics.get(name) for name in ("tokens/total", "time/train_s"))
    return tokens / seconds if tokens and seconds else None


def runs(found: Found, page: Path) -> Section:
    """Return the table of all runs, to sort and to filter.

    Args:
        found: The runs.
        page: The file that the section is for, which links are relative to.
    """
    metrics = list(
        dict.fromkeys(f"{split}/{name}" for run in found.runs for name in run.headline for split in ("val", "test"))
    )
    costs = {key: title for key, title in _COSTS.items() if any(key in run.metrics for run in found.runs)}
    columns = ["run", "task", "model", "peft", "seed", *metrics, "steps", *costs.values(), "tokens/s", "revision"]
    rows = [_row(run, metrics, [*costs], page) for run in found.runs]
    skipped = f" Left out: {'; '.join(found.skipped)}." if found.skipped else ""
    text = "Metrics are those of the best checkpoint. A click on a column sorts by it." + skipped
    return Section("Runs", text, table=Table(columns, rows, filtered=True))


def _row(run: Run, metrics: Sequence[str], costs: Sequence[str], page: Path) -> list[Cell]:
    return [
        Cell(run.name, link=_link(run.folder, page) + "/"),
        plain(run.task),
        plain(run.choices.get("model") or str(run.config.get("model.path", ""))),
        plain(
            run.choices.get("peft")
            or str(run.config.get("peft.config._target_") or run.config.get("peft._target_", ""))
        ),
        either(run.seed if run.fold is None else run.draw),
        *(number(run.metrics.get(name), ".4f") for name in metrics),
        number(run.steps),
        *(number(run.metrics.get(name), ",.0f") for name in costs),
        number(speed(run), ",.0f"),
        plain(_revision(run.environment)),
    ]


def _revision(environment: Mapping[str, Any]) -> str:
    git = environment.get("git") or {}
    return f"{str(git.get('revision', ''))[:8]}{'+' if git.get('dirty') else ''}"


def _link(path: Path, page: Path) -> str:
    """Return where a path lies, seen from the page, as a browser reads it."""
    return quote(Path(os.path.relpath(path, page.parent)).as_posix())


def settings(task: str, members: Sequence[Run]) -> Section:
    """Return in what the configurations of a task's runs differ; those of one system stand together."""
    parts = systems(members)
    values = differing([system.runs[0] for system in parts])
    title = f"Configuration: {task}"
    if not values:
        return Section(title, "The runs differ in nothing but their seeds, folds and folders.")
    lines = [[plain(key), *map(_setting, column)] for key, column in values.items()]
    names = [plain(system.label) for system in parts]
    text = f"The {len(values)} keys in which runs differ, seeds, folds and folders aside."
    if len(lines) < len(parts):  # the longer side goes down
        turned = [[name, *(line[i] for line in lines)] for i, name in enumerate(names, start=1)]
        return Section(title, text, table=Table(["system", *values], turned, filtered=True))
    return Section(title, text, table=Table(["key", *(name.text for name in names)], lines, filtered=True))


def _setting(value: Any) -> Cell:
    return Cell("") if value == "" else either(value, _SETTING)


def files(found: Found, page: Path) -> Section:
    """Return how to have each run again, and where its files lie."""
    rows = [[plain(run.name), *(_file(run, name, page) for name in _FILES), Cell(run.command)] for run in found.runs]
    problems = [problem for run in found.runs for problem in run.problems]
    text = "The command of each run, and what it has left."
    columns = ["run", *(name.rstrip("/").rpartition("/")[2] for name in _FILES), "command"]
    notes = f" Damaged: {'; '.join(problems)}." if problems else ""
    return Section("Commands and files", text + notes, table=Table(columns, rows, filtered=True))


def _file(run: Run, name: str, page: Path) -> Cell:
    path = run.folder / name
    return Cell("open", link=_link(path, page) + ("/" if name.endswith("/") else "")) if path.exists() else Cell("")
