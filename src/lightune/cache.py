"""Folders that are built once and kept: converted weights, encoded splits."""

import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock


def built_once(folder: Path, build: Callable[[Path], None]) -> Path:
    """Return a folder, built where it is not there yet.

    When several processes ask at the same time, one builds and the others wait. Only a finished folder ever has the
    final name: what a broken off build left is replaced by the next.

    Args:
        folder: Its final name.
        build: Makes a folder of the name that it is given, and fills it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            unfinished = Path(f"{folder}.part")
            shutil.rmtree(unfinished, ignore_errors=True)
            build(unfinished)
            unfinished.rename(folder)
    return folder
