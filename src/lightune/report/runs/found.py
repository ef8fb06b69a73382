"""Which runs a report is about: those that were named, and all that lie below folders that were named."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightune.errors import DataError
from lightune.report.runs.folder import Run, is_run, read

_HERE = "."


@dataclass(frozen=True)
class Found:
    """The runs of a report.

    Args:
        folder: That all of them share.
        runs: In the order of their names.
        skipped: What could not be read, and why.
    """

    folder: Path
    runs: Sequence[Run]
    skipped: Sequence[str]

    @property
    def tasks(self) -> dict[str, list[Run]]:
        """The runs of each task."""
        tasks: dict[str, list[Run]] = {}
        for run in self.runs:
            tasks.setdefault(run.task, []).append(run)
        return tasks


def find(named: Sequence[Path]) -> Found:
    """Return the runs that lie in or below folders.

    Raises:
        DataError: A folder does not exist, holds no run, or none of the runs can be read.
    """
    folders = list(dict.fromkeys(run.resolve() for folder in named for run in _runs_of(folder)))
    shared = Path(os.path.commonpath(folders)) if len(named) > 1 else named[0].resolve()
    runs: list[Run] = []
    skipped: list[str] = []
    for folder in folders:
        name = str(folder.relative_to(shared))
        try:
            runs.append(read(folder, folder.name if name == _HERE else name))
        except DataError as error:
            skipped.append(error.problem.replace(f"{shared}/", ""))
    if not runs:
        raise DataError("; ".join(skipped), "name a run folder whose files are whole")
    return Found(shared, runs, skipped)


def _runs_of(folder: Path) -> list[Path]:
    if not folder.is_dir():
        problem = f"{folder}: there is no such folder" if not folder.exists() else f"{folder}: this is no folder"
        raise DataError(problem, "name run folders, or a folder with run folders below it, such as runs/ner")
    found = sorted(_below(folder))
    if not found:
        raise DataError(
            f"{folder}: no run lies in or below this folder",
            "name a folder in which a run has left its config.yaml and environment.json",
        )
    return found


def _below(folder: Path) -> Iterator[Path]:
    for place, inside, _ in os.walk(folder):
        if is_run(Path(place)):
            yield Path(place)
            inside.clear()  # what lies in a run belongs to it
        inside[:] = [name for name in inside if not name.startswith(".")]
