"""What several runs of one configuration come to: the mean of each number, and Student's interval around it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightune.repeat.left import FILE
from lightune.repeat.runs import Repeat
from lightune.report import show
from lightune.report.artefacts import write_json
from lightune.statistics.intervals import Interval, independent, mean_interval

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Summary:
    """Several runs and their numbers.

    Args:
        overrides: What all of them have in common.
        planned: All that were asked for.
        ended: Those that have their numbers, those of the best checkpoint.
        failed: Name of a run → why it has none.
    """

    overrides: Sequence[str]
    planned: Sequence[Repeat]
    ended: Mapping[Repeat, Numbers]
    failed: Mapping[str, str]

    @property
    def metrics(self) -> dict[str, Interval]:
        """Mean and 95 % interval of each number that all ended runs have."""
        names = [dict.fromkeys(numbers) for numbers in self.ended.values()]
        common = [name for name in (names[0] if names else ()) if all(name in each for each in names)]
        return {name: mean_interval(self._draws(name)) for name in common}

    def _draws(self, name: str) -> list[float]:
        """Return the values whose spread counts: of each seed the mean of its folds, of one seed those of its folds."""
        return independent((repeat.seed, numbers[name]) for repeat, numbers in self.ended.items())

    def content(self) -> dict[str, Any]:
        """Return the content of ``summary.json``."""
        numbers = {
            name: {
                "mean": found.value,
                "half_width": None if math.isnan(found.margin) else found.margin,
                "values": {repeat.name: numbers[name] for repeat, numbers in self.ended.items()},
            }
            for name, found in self.metrics.items()
        }
        return {
            "overrides": [*self.overrides],
            "planned": [repeat.name for repeat in self.planned],
            "failed": dict(self.failed),
            "metrics": numbers,
        }

    def write(self, folder: Path) -> None:
        """Write ``summary.json`` into a folder."""
        write_json(folder / FILE, self.content())

    def print(self, headline: Sequence[str], folder: Path) -> None:
        """Print the headline metrics on val and all metrics on test.

        Args:
            headline: Metrics that stand for a run.
            folder: Of all runs.
        """
        if not self.ended:
            return
        shown = {f"val/{name}" for name in headline}
        rows = [
            (name, found.value, "–" if math.isnan(found.margin) else f"± {found.margin:.4f}", *self._range(name))
            for name, found in self.metrics.items()
            if name in shown or name.startswith("test/")
        ]
        title = f"{len(self.ended)} of {len(self.planned)} runs, best checkpoints"
        show.table(title, ["metric", "mean", "95 % interval", "lowest", "highest"], rows)
        show.note(f"Every number of each: {folder / FILE}")

    def _range(self, name: str) -> tuple[float, float]:
        values = [numbers[name] for numbers in self.ended.values()]
        return min(values), max(values)
