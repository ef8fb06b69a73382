"""history.csv: one row per logging step."""

import csv
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from lightune.report.artefacts import written_whole
from lightune.report.forgiving import Forgiving

NAME = "history.csv"
_FEW = 500  # rows that are written in no time
_PATIENCE = 50  # more of them are written again after so many times the time it took


class HistoryLogger(Logger):
    """Writes what is logged into ``history.csv``, values of one step in one row.

    Lightning's CSVLogger deletes the file when a run is resumed; this one keeps the rows up to the resumed step. Where
    the disk is full the run goes on, and the file is whole again as soon as there is room.

    Args:
        run_dir: The run folder.
    """

    def __init__(self, run_dir: str) -> None:
        super().__init__()
        self.path = Path(run_dir) / NAME
        self._rows: dict[int, dict[str, Any]] = {}
        self._forgiving = Forgiving(self.name)
        self._written, self._took = 0.0, 0.0  # when it was last written, and the seconds that took

    @property
    def name(self) -> str:
        """Return the logger's name."""
        return "csv"

    @property
    def version(self) -> str:
        """Return nothing: the run folder is the version."""
        return ""

    def resume(self, step: int) -> None:
        """Keep the rows of the first so many steps, which are numbered from 0; what came after is logged again."""
        if self.path.is_file():
            with self.path.open(newline="", encoding="utf-8") as file:
                rows = [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]
            self._rows = {int(row["step"]): row for row in rows if int(row["step"]) < step}

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add values to a step's row."""
        at = int(step or 0)
        self._rows.setdefault(at, {"step": at}).update(metrics)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Do nothing: config.yaml holds them."""

    @rank_zero_only
    def save(self) -> None:
        """Write all rows, unless that would take a noticeable part of a long run's time."""
        if time.perf_counter() - self._written >= _PATIENCE * self._took:
            self.write()

    @rank_zero_only
    def write(self) -> None:
        """Write all rows; the file is replaced whole."""
        began = time.perf_counter()
        if self._rows:
            with self._forgiving():
                self._write()
        self._written = time.perf_counter()
        self._took = self._written - began if len(self._rows) > _FEW else 0.0

    def _write(self) -> None:
        columns = list(dict.fromkeys(key for row in self._rows.values() for key in row))
        with written_whole(self.path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self._rows[step] for step in sorted(self._rows))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is left."""
        self.write()
