"""The run that is to be reproduced: what it has left in its folder, read without torch."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lightune import __version__, overrides
from lightune.continuation import earlier_overrides, refuse_presets
from lightune.errors import ConfigError, UserError
from lightune.repeat.left import FILE, METRICS, numbers_of

KEY = "reproduce"
_DAMAGED = (OSError, ValueError, yaml.YAMLError)


@dataclass(frozen=True)
class Earlier:
    """A run that has ended.

    Args:
        folder: In which it lies.
        config: Its resolved configuration.
        overrides: What was typed for it.
        environment: Versions, revision, machine.
        metrics: Its numbers.
    """

    folder: Path
    config: dict[str, Any]
    overrides: list[str]
    environment: dict[str, Any]
    metrics: dict[str, float]

    @classmethod
    def read(cls, folder: Path) -> "Earlier":
        """Return the run of a folder.

        Raises:
            ConfigError: There is no such folder, no run in it, or one that has not ended or is damaged.
        """
        _refuse_what_is_no_run(folder)
        try:
            metrics = numbers_of(folder)
        except _DAMAGED as error:
            raise _damaged(folder / METRICS, error) from error
        if metrics is None:
            raise ConfigError(
                f"{KEY}={folder}: that run has not ended, and has no {METRICS} to compare with",
                f"finish it first: {overrides.word('resume', folder)}",
            )
        return cls(
            folder,
            _read(folder / "config.yaml", yaml.safe_load, dict),
            _read(folder / "overrides.yaml", yaml.safe_load, list),
            _read(folder / "environment.json", json.loads, dict),
            metrics,
        )

    @property
    def card(self) -> dict[str, Any]:
        """What `continuation` reads: the configuration, and what was typed for it."""
        return {"config": self.config, "overrides": self.overrides}

    def changes(self, typed: Sequence[str]) -> list[str]:
        """Return those of a command's overrides that this run did not have."""
        own = (KEY, "run_dir")
        return [word for word in typed if word not in self.overrides and overrides.key_of(word) not in own]

    def refused(self, error: UserError) -> ConfigError:
        """Return the error where the configuration of this run cannot be used any longer."""
        version = (self.environment.get("versions") or {}).get("lightune")
        revision = (self.environment.get("git") or {}).get("revision")
        made_by = f"that run is of lightune {version}" + (f", revision {revision[:12]}" if revision else "")
        return ConfigError(
            f"{KEY}={self.folder}: its configuration cannot be used as it stands: {error.problem}",
            "; ".join(part for part in (error.remedy, f"{made_by}, and this is {__version__}") if part),
        )


def _refuse_what_is_no_run(folder: Path) -> None:
    if not folder.is_dir():
        raise ConfigError(f"{KEY}={folder}: there is no such folder", "name a run folder, such as runs/ner/<time>")
    if (folder / FILE).is_file():
        inside = sorted(str(path.parent.relative_to(folder)) for path in folder.glob(f"**/{METRICS}"))
        named = folder / inside[0] if inside else f"{folder}/seed_42"
        raise ConfigError(f"{KEY}={folder}: several runs lie there", f"name one of them: {KEY}={named}")
    for name in ("config.yaml", "overrides.yaml", "environment.json"):
        if not (folder / name).is_file():
            raise ConfigError(f"{KEY}={folder}: no run lies there, {name} is missing", "name a run folder")


def _read(path: Path, parse: Callable[[str], Any], kind: type) -> Any:
    try:
        content = parse(path.read_text(encoding="utf-8"))
        if not isinstance(content, kind):
            raise ValueError(f"a {type(content).__name__} in place of a {kind.__name__}")
    except _DAMAGED as error:
        raise _damaged(path, error) from error
    return content


def _damaged(path: Path, error: Exception) -> ConfigError:
    reason = str(error).splitlines()[0]
    return ConfigError(f"{KEY}: {path} cannot be read ({reason})", "use another run, or one that is whole")


def with_its_overrides(arguments: Sequence[str]) -> list[str]:
    """Put the overrides of the run that is reproduced before the typed ones; change nothing where there is none.

    Raises:
        ConfigError: There is no such run, several are named, or a preset would be laid over it.
    """
    named = overrides.typed(arguments, KEY)
    if overrides.is_sweep(arguments, KEY) or (named and set(overrides.MULTIRUN) & set(arguments)):
        raise ConfigError(f"{KEY}: one run at a time is reproduced", "run the command once for each, without -m")
    if not named:
        return list(arguments)
    folder = Path(named).expanduser().absolute()
    earlier = Earlier.read(folder)
    refuse_presets(word for word in earlier.changes(arguments) if "=" in word)
    command = overrides.placed(arguments, **{KEY: str(folder)})
    place = overrides.first(command)
    then = earlier_overrides(earlier.card, replaced=set(map(overrides.key_of, command[place:])))
    return [*command[:place], *then, *command[place:]]


def in_its_context(error: UserError, arguments: Sequence[str]) -> UserError:
    """Return an error of the composition as one of the run that is reproduced, where it is about that run's overrides.

    Args:
        error: What was found wrong.
        arguments: The command line.
    """
    named = overrides.typed(arguments, KEY)
    if not named or error.problem.startswith(KEY):
        return error
    earlier = Earlier.read(Path(named).expanduser().absolute())
    typed_now = {overrides.key_of(word) for word in earlier.changes(arguments)}
    then = {overrides.key_of(word) for word in earlier.overrides} - typed_now
    return earlier.refused(error) if any(error.problem.startswith((f"{key}:", f"{key}=")) for key in then) else error
