"""The command line of a trial: what was typed for the study, with values of its own."""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from hydra._internal.utils import get_args_parser
from omegaconf import DictConfig

_BASIC = "BasicLauncher"
# Keys of Hydra's that are the sweep's own, and mean nothing to a trial.
_SWEEPS = ("hydra.sweep", "hydra/sweep", "hydra.launcher", "hydra/launcher", "hydra.mode")
_TOLD = "+hydra.callbacks.lightune_trial._target_=lightune.sweep.told.Told"

Words = Callable[[Sequence[str], Path], list[str]]


def commands(config: DictConfig, fixed: Sequence[str]) -> Words:
    """Return what makes a trial's command line from its own overrides and its run folder.

    A trial is a plain run. Where a launcher was chosen it is a multirun of one job, which that launcher starts where it
    starts jobs.

    Args:
        config: What Hydra composed for the study.
        fixed: Overrides that all its trials have.
    """
    typed = [str(word) for word in config.hydra.overrides.hydra]
    key = "run_dir" if "run_dir" in config else "hydra.run.dir"
    if not is_launched(config):
        own = of_a_run(typed)
        return lambda words, place: [*flags(), *fixed, *own, *words, f"{key}={place}", _TOLD]

    def launched(words: Sequence[str], place: Path) -> list[str]:
        folder = [f"hydra.sweep.dir={place.parent}", f"hydra.sweep.subdir={place.name}"]
        own_folder = [f"run_dir={place}"] if key == "run_dir" else []
        return ["-m", *flags(), *fixed, *typed, *words, *folder, *own_folder, _TOLD]

    return launched


def is_launched(config: DictConfig) -> bool:
    """Return whether trials are started by one of Hydra's launchers, such as joblib, submitit or Ray."""
    return not str(config.hydra.launcher.get("_target_", _BASIC)).endswith(_BASIC)


def of_a_run(words: Iterable[str]) -> list[str]:
    """Return those overrides of Hydra's own keys that mean something to a single run."""
    return [word for word in words if not word.lstrip("+~").startswith(_SWEEPS)]


def flags() -> list[str]:
    """Return the flags of this command that say where the configuration lies."""
    arguments, _ = get_args_parser().parse_known_args(sys.argv[1:])
    flags = {"--config-name": arguments.config_name, "--config-path": arguments.config_path}
    flags["--config-dir"] = arguments.config_dir
    return [word for flag, value in flags.items() if value for word in (flag, value)]
