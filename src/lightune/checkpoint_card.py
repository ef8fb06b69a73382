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


def write(path: Path, card: dict[str, Any]) -> None:
    """Add the card to a checkpoint that ``torch.save`` has just written."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry(archive), json.dumps(card))


def _entry(archive: zipfile.ZipFile) -> str:
    # torch reads an archive only where all entries lie in one folder, which it names after the file.
    return f"{archive.namelist()[0].split('/')[0]}/{ENTRY}"


def read(path: Path) -> dict[str, Any]:
    """Return a checkpoint's card.

    Args:
        path: A checkpoint that lightune wrote.

    Returns:
        Plain data: ``config``, ``overrides``, ``step``, ``epoch``, ``metrics``, ``version``.

    Raises:
        CheckpointError: The file is missing, is truncated or damaged, or was not written by lightune.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such checkpoint", _what_lies_there(path))
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            if damaged is not None:
                raise zipfile.BadZipFile(f"entry {damaged} does not match its checksum")
            return json.loads(archive.read(_entry(archive)))
    except zipfile.BadZipFile as error:
        raise CheckpointError(
            f"{path}: the checkpoint is truncated or damaged ({error})",
            "use another one of the same run: its checkpoints/ holds best.ckpt and last.ckpt",
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
        for name in (prefer, "last", "best"):
            inside = path / "checkpoints" / f"{name}.ckpt"
            if inside.is_file():
                return inside.absolute()
        raise CheckpointError(f"{path}: this folder holds no checkpoints/{prefer}.ckpt", _what_lies_there(path / "x"))
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
    return max(found, key=lambda path: path.stat().st_mtime).absolute()


def _what_lies_there(path: Path) -> str:
    folder = path.parent
    while not folder.is_dir():
        folder = folder.parent
    inside = [entry.name for entry in folder.iterdir()]
    return f"in {folder}/, {nearest(path.name, inside)}"
