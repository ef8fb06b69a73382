"""Runs that were tested on the same examples, which is what can be compared."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from lightune.report.runs.folder import Run
from lightune.report.runs.systems import System, systems


@dataclass(frozen=True)
class Tested:
    """Systems that did one task on one test set.

    Args:
        title: Unlike that of any other.
        systems: Those with test metrics.
        examples: How many it has.
    """

    title: str
    systems: Sequence[System]
    examples: int

    @property
    def headline(self) -> list[str]:
        """Metrics that stand for it."""
        return self.systems[0].runs[0].headline


def tested_together(runs: Sequence[Run]) -> list[Tested]:
    """Return the test sets of all runs that were tested and left their predictions."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        if run.predictions and any(name.startswith("test/") for name in run.metrics):
            groups.setdefault((run.task, _examples(run)), []).append(run)
    tasks = [task for task, _ in groups]
    titles = [
        task if tasks.count(task) == 1 else f"{task} ({tasks[: i + 1].count(task)})" for i, task in enumerate(tasks)
    ]
    parts = zip(titles, groups.values(), strict=True)
    return [Tested(title, systems(part), len(part[0].predictions)) for title, part in parts]


def _examples(run: Run) -> str:
    """Return by what a test set is recognised: ids and targets, in their order."""
    rows = [(row.get("id"), row.get("target")) for row in run.predictions]
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
