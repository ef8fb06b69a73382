"""From the command line to a checked configuration, without importing torch.

Three things happen here that Hydra leaves to the application: the overrides of an earlier run are put before
the typed ones where a run is resumed or a checkpoint evaluated; errors become one message with a remedy; and the run
folder is decided once, so that every rank of a distributed run writes to the same one.
"""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lightune import checkpoint_card
from lightune.check import check
from lightune.continuation import refuse_other_choices
from lightune.errors import ConfigError, UserError, nearest

# The verbs of `lightune.run` that continue from an earlier run, by the key that names it.
_CONTINUES = ("resume", "checkpoint")


def guard(main: Callable[[], Any], must_have: str = "") -> None:
    """Run a Hydra entry point; what a user can mend ends in one message and exit status 1.

    Args:
        main: The function that ``@hydra.main`` decorated.
        must_have: A key that has to be typed, such as ``checkpoint``.
    """
    wants_traceback = bool(os.environ.get("HYDRA_FULL_ERROR"))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, and what is shown is decided here
    OmegaConf.register_new_resolver("mode", metric_mode, replace=True)
    try:
        sys.argv[1:] = with_earlier_overrides(sys.argv[1:], must_have)
        main()
    except (UserError, HydraException, OmegaConfBaseException) as error:
        if wants_traceback:
            raise
        fail(explain(error))


def metric_mode(monitor: str) -> str:
    """Return ``min`` for a loss or a perplexity, ``max`` for every other metric."""
    return "min" if any(word in monitor for word in ("loss", "perplexity")) else "max"


def run(verb: str, cfg: DictConfig) -> float | None:
    """Check the composed configuration, and only then import torch and do the work.

    Args:
        verb: A function of ``lightune.run``.
        cfg: What Hydra composed.

    Returns:
        The value that the verb returns: what a sweep optimises.
    """
    try:
        settle_run_dir(cfg)
        check(cfg, typed=list(HydraConfig.get().overrides.task), multirun=_is_multirun())
        return getattr(import_module("lightune.run"), verb)(cfg)
    except UserError as error:
        if _is_multirun():
            raise  # the sweep decides what a failed job means
        fail(error)


def fail(error: UserError) -> NoReturn:
    """Print the message of an error and leave with status 1."""
    sys.stdout.flush()
    print(f"\nlightune: {error}", file=sys.stderr)
    sys.exit(1)


def _is_multirun() -> bool:
    return HydraConfig.get().mode == RunMode.MULTIRUN


def settle_run_dir(cfg: DictConfig) -> None:
    """Fix the run folder for this process and for the ranks it will start by running its own command again."""
    if cfg.run_dir is None:
        return
    folder = Path(cfg.run_dir)
    if _is_multirun() and not _typed(sys.argv[1:], "run_dir"):
        folder /= f"trial_{int(HydraConfig.get().job.num):04d}"
    cfg.run_dir = str(folder.absolute())
    if not _is_multirun():
        sys.argv[1:] = [*(a for a in sys.argv[1:] if not a.startswith("run_dir=")), f"run_dir={quoted(cfg.run_dir)}"]


def quoted(value: str) -> str:
    """Quote a value for Hydra's override grammar."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def with_earlier_overrides(arguments: list[str], must_have: str = "") -> list[str]:
    """Put the overrides of the run that is continued before the typed ones.

    Args:
        arguments: The command line without the script.
        must_have: A key that has to be typed.

    Returns:
        The command line that composes the earlier run's choices, changed by what was typed.

    Raises:
        ConfigError: The key that must be typed is missing.
        CheckpointError: The run or checkpoint that was named does not exist or is damaged.
    """
    if must_have and not _typed(arguments, must_have) and not any(a.startswith("-") for a in arguments):
        raise ConfigError(
            f"{must_have}: nothing to evaluate was named", f"type {must_have}=<file, run folder or latest>"
        )
    for key in _CONTINUES:
        named = _typed(arguments, key)
        if named and named != "null":
            return _continue(arguments, key, named)
    return arguments


def _continue(arguments: list[str], key: str, named: str) -> list[str]:
    prefer = "last" if key == "resume" else "best"
    runs = _typed(arguments, "paths.runs") or "runs"
    only = _typed(arguments, "name") or _typed(arguments, "task")
    path = checkpoint_card.find(named, prefer=prefer, runs=Path(runs), only=only)
    card = checkpoint_card.read(path)
    typed = [a for a in arguments if not a.startswith(f"{key}=")]
    refuse_other_choices(card, {group: value for group in card["choices"] if (value := _typed(typed, group))}, key)
    replaced = {"run_dir", *_CONTINUES, *map(_key_of, typed)}
    earlier = [o for o in card["overrides"] if _key_of(o) not in replaced]
    place = [f"{key}={quoted(str(path))}"]
    if key == "resume":
        place.append(f"run_dir={quoted(str(path.parent.parent))}")
    return [*(a for a in typed if a.startswith("-")), *earlier, *(a for a in typed if not a.startswith("-")), *place]


def _key_of(override: str) -> str:
    return override.split("=", 1)[0].lstrip("+~")


def _typed(arguments: list[str], key: str) -> str | None:
    """Return the last value typed for a key, without its quotes."""
    values = [a.split("=", 1)[1] for a in arguments if a.startswith(f"{key}=")]
    return values[-1].strip("\"'") if values else None


def explain(error: Exception) -> UserError:
    """Turn an error of the composition into a message that names the nearest right word."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        return ConfigError(f"{group}={option}: there is no such option", nearest(option, error.options))
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    if isinstance(error, ConfigCompositionException) and isinstance(cause, OmegaConfBaseException):
        parent = cause.parent_node
        known = [str(key) for key in parent] if isinstance(parent, DictConfig) else []
        key = str(cause.full_key or cause.key)
        return ConfigError(f"{key}: there is no such key", nearest(key.rpartition(".")[2], known))
    if isinstance(cause, OmegaConfBaseException):
        return ConfigError(f"{cause.full_key or 'configuration'}: {str(cause).splitlines()[0]}")
    return ConfigError(str(error).strip())
