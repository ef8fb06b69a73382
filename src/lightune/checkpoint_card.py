"""What a checkpoint says of itself, read without torch.

A checkpoint file is a zip archive, as ``torch.save`` writes it, with one more entry: ``lightune.json``, the card.
It holds the resolved configuration, the overrides that were typed, the label names, the step, and the validation
metrics. The archive's own checksums tell whether a file is whole.
"""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

from lightune.errors import CheckpointError, nearest

ENTRY = "lightune.json"
FORMAT = 2  # of what a checkpoint holds and is called in it; another one cannot be read


def home_of(path: Path) -> Path:
    """Return the run folder that a checkpoint lies in."""
    return path.parent.parent if path.parent.name == "checkpoints" else path.parent


def earlier(step: int | str) -> str:
    """Return the name of a checkpoint that was ``last.ckpt`` once."""
    return f"step_{step}.ckpt"


def newest_first(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a folder whose names fit a pattern."""
    return sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)


def write(path: Path, card: dict[str, Any]) -> None:
    """Add the card to a checkpoint that ``torch.save`` has just written."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry(archive), json.dumps({**card, "format": FORMAT}))


def _entry(archive: zipfile.ZipFile) -> str:
    # torch reads an archive only where all entries lie in one folder, which it names after the file.
    return f"{archive.namelist()[0].split('/')[0]}/{ENTRY}"


def read(path: Path, whole: bool = True) -> dict[str, Any]:
    """Return a checkpoint's card.

    Args:
        path: A checkpoint that lightune wrote.
        whole: Whether all of the file is read, to see that none of it is damaged.

    Returns:
        Plain data: ``config``, ``overrides``, ``step``, ``epoch``, ``metrics``, ``version``.

    Raises:
        CheckpointError: The file is missing, is truncated or damaged, or was not written by lightune, or by another
            version of it.
    """
    card = _read(path, whole)
    if card.pop("format", 0) != FORMAT:
        raise CheckpointError(
            f"{path}: this checkpoint has another format than this version of lightune reads",
            f"use it with the version that wrote it, {card.get('version', 'an earlier one')}",
        )
    return card


def _read(path: Path, whole: bool) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such checkpoint", _what_lies_there(path))
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip() if whole else None
            if damaged is not None:
                raise zipfile.BadZipFile(f"entry {damaged} does not match its checksum")
            return json.loads(archive.read(_entry(archive)))
    except zipfile.BadZipFile as error:
        raise CheckpointError(
            f"{path}: the checkpoint is truncated or damaged ({error})",
            "use another one of the same run, in its folder checkpoints/",
        ) from error
    except KeyError as error:
        raise CheckpointError(
            f"{path}: this file was not written by lightune (it has no {ENTRY})",
            "start from model weights instead: model=auto model.path=<folder in Hugging Face format>",
        ) from error


def find(named: str, *, prefer: str, runs: Path, only: str | None = None) -> Path:
    """Return the checkpoint file that a user means.

    Args:
        named: A ``.ckpt`` file, a run folder, or ``latest``.
        prefer: Which checkpoint of a run folder: ``best`` or ``last``.
        runs: The folder that holds all runs, for ``latest``.
        only: With ``latest``, look only at runs of this name.

    Raises:
        CheckpointError: Nothing of that name exists.
    """
    if named == "latest":
        return _latest(runs, prefer, only)
    path = Path(os.path.expanduser(named))  # noqa: PTH111  # pathlib's raises where `~x` is no user
    if path.is_dir():
        return _in_run_folder(path, prefer).absolute()
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such checkpoint or run folder", _what_lies_there(path))
    return path.absolute()


def _latest(runs: Path, prefer: str, only: str | None) -> Path:
    found = list(runs.glob(f"{only or '*'}/**/checkpoints/{prefer}.ckpt"))
    if not found:
        where = runs / only if only else runs
        raise CheckpointError(
            f"latest: no checkpoint lies under {where}/", "name the run folder, or start a new run without it"
        )
    newest = max(found, key=lambda path: path.stat().st_mtime)
    return _in_run_folder(newest.parent.parent, prefer).absolute()


def _in_run_folder(folder: Path, prefer: str) -> Path:
    """Return the checkpoint of a run folder that is wanted.

    A run goes on from the newest checkpoint that is whole. What is the best one, another file cannot stand for.
    """
    inside = folder / "checkpoints"
    others = newest_first(inside, "[!.]*.ckpt") if prefer == "last" else [inside / "last.ckpt"]
    found = [path for path in (inside / f"{prefer}.ckpt", *others) if path.is_file()]
    if not found:
        there = _what_lies_there(folder / "x")
        raise CheckpointError(f"{folder}: this folder holds no checkpoints/{prefer}.ckpt", there)
    return next(filter(_is_whole, found), found[0]) if prefer == "last" else found[0]


def _is_whole(path: Path) -> bool:
    try:
        read(path)
    except CheckpointError:
        return False
    return True


def _what_lies_there(path: Path) -> str:
    folder = path.parent
    while not folder.is_dir():
        folder = folder.parent
    inside = [entry.name for entry in folder.iterdir()]
    return f"in {folder}/, {nearest(path.name, inside)}"
