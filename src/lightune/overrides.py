"""Hydra overrides as words of a command line: reading them, quoting them, finding the first of them."""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

MULTIRUN = ("-m", "--multirun")
_SWEEP_DIR = "hydra.sweep.dir"


def quoted(value: str) -> str:
    """Quote a value for Hydra's override grammar."""
    return QuotedString(text=value, quote=Quote.double).with_quotes()


def word(key: str, value: Any) -> str:
    """Return ``key=value`` as one types it: quoted for Hydra and for the shell where either needs it."""
    text = str(value)
    read = parsed(f"{key}={text}")
    plain = read is not None and not read.is_sweep_override() and str(read.value()) == text
    return shlex.quote(f"{key}={text if plain else quoted(text)}")


def key_of(override: str) -> str:
    """Return the key of an override, without the signs that add (``+``) or delete (``~``)."""
    return override.split("=", 1)[0].lstrip("+~")


def is_sweep(arguments: Iterable[str], key: str) -> bool:
    """Whether several values were typed for a key."""
    return any((read := parsed(a)) is not None and read.is_sweep_override() for a in _of(arguments, key))


def typed(arguments: Iterable[str], key: str) -> str | None:
    """Return the value that was typed last for a key, or None where there is none or it is ``null``."""
    values = _of(arguments, key)
    if not values:
        return None
    read = parsed(values[-1])
    # What Hydra's grammar refuses (an unquoted `=` or `~`) is taken as it stands; whoever passes it on quotes it.
    value = values[-1].split("=", 1)[1] if read is None or read.is_sweep_override() else read.value()
    return None if value is None else str(value)


def _of(arguments: Iterable[str], key: str) -> list[str]:
    return [argument for argument in arguments if argument.startswith(f"{key}=")]


def placed(arguments: Sequence[str], **values: str) -> list[str]:
    """Return a command line on which these keys have these values, whatever was typed for them."""
    others = [a for a in arguments if not a.startswith(tuple(f"{key}=" for key in values))]
    return [*others, *(f"{key}={quoted(value)}" for key, value in values.items())]


def for_multirun(arguments: Sequence[str]) -> list[str]:
    """Return a command line with ``-m`` in front, and with one folder for all that a multirun leaves.

    Hydra takes no overrides on both sides of a flag, and has a key of its own for what belongs to all jobs: that is the
    ``run_dir`` that was typed, where it is one.
    """
    flags = [argument for argument in arguments if argument in MULTIRUN]
    if not flags:
        return [*arguments]
    moved = [*flags, *(argument for argument in arguments if argument not in MULTIRUN)]
    place = typed(arguments, "run_dir")
    if not place or "${" in place or is_sweep(arguments, "run_dir") or _of(arguments, _SWEEP_DIR):
        return moved
    return placed(moved, **{_SWEEP_DIR: str(Path(place).expanduser())})


def parsed(override: str) -> Override | None:
    """Return an override as Hydra reads it, or None where it cannot."""
    try:
        return OverridesParser.create().parse_override(override)
    except HydraException:
        return None


def first(arguments: Sequence[str]) -> int:
    """Return the place of the first override on a command line: after the options and their values."""
    is_override = [a.startswith("~") or ("=" in a and not a.startswith("-")) for a in arguments]
    return is_override.index(True) if any(is_override) else len(arguments)
