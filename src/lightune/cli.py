"""From the command line to a checked configuration, without importing torch.

Three things happen here that Hydra leaves to the application: the overrides of an earlier run are put before
the typed ones where a run is resumed or a checkpoint evaluated; errors become one message with a remedy; and the run
folder is decided once, so that every rank of a distributed run writes to the same one.
"""

import errno
import gc
import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import yaml
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lightune import checkpoint_card, machine, overrides, repeat
from lightune.check import check
from lightune.continuation import earlier_overrides, refuse_other_choices, refuse_presets
from lightune.errors import CheckpointError, ConfigError, UserError, nearest
from lightune.objective import metric_mode, objectives
from lightune.repeat import earlier

# What a user can mend.
_MENDABLE = (UserError, HydraException, OmegaConfBaseException)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_COMPUTED_IN = {"bf16": "bfloat16", "16": "float16", "64": "float64", "transformer": "bfloat16"}  # else float32
_NO_NULL = "Config group override must be a string or a list"  # a bare ValueError of Hydra's


def guard(main: Callable[[], Any], must_have: str = "") -> None:
    """Run a Hydra entry point; what a user can mend ends in one message and exit status 1.

    Args:
        main: The function that ``@hydra.main`` decorated.
        must_have: A key that has to be typed, such as ``checkpoint``.
    """
    # The other ranks of a run inherit the variable from this process, which sets it below.
    wants_traceback = bool(os.environ.get("HYDRA_FULL_ERROR")) and machine.is_first_process()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, and what is shown is decided here
    register_resolvers()
    _compose_faster()
    try:
        sys.argv[1:] = overrides.for_multirun(with_earlier_overrides(_named_options(sys.argv[1:]), must_have))
        main()
    except _MENDABLE as error:
        if wants_traceback:
            raise
        fail(earlier.in_its_context(explain(error), sys.argv[1:]))
    except ValueError as error:
        if wants_traceback or _NO_NULL not in str(error):
            raise
        fail(ConfigError("a config group takes the name of an option", "type one, such as callbacks=none"))


def _named_options(arguments: Sequence[str]) -> list[str]:
    """Spell out options as Hydra takes them: numbers such as precision=32 quoted, patterns such as glue/* expanded.

    Hydra's own ``glob(…)`` looks at the files of a group, and not into its folders.
    """
    conf = Path(sys.argv[0]).parent / "conf"
    named = []
    for argument in arguments:
        group, _, value = argument.partition("=")
        value = re.sub(r"^glob\(([\w*/-]+/[\w*-]+)\)$", r"\1", value)
        options = [name for option in value.split(",") for name in _options_named(conf / group, option)]
        named.append(f"{group}={','.join(options)}" if "=" in argument else argument)
    return named


def _options_named(group: Path, option: str) -> list[str]:
    if option.isdigit() and (group / f"{option}.yaml").is_file():
        return [overrides.quoted(option)]
    if "*" in option and group.is_dir() and re.fullmatch(r"[\w*/-]+", option):
        files = sorted(file for file in group.glob(f"{option}.yaml") if not file.name.startswith("_"))
        return [str(file.relative_to(group).with_suffix("")) for file in files] or [option]
    return [option]


def register_resolvers() -> None:
    """Let configuration files say ``${mode:f1}`` (min or max) and ``${times:10,${peft.lr}}`` and the like."""
    OmegaConf.register_new_resolver("mode", metric_mode, replace=True)
    OmegaConf.register_new_resolver("objectives", objectives, replace=True)
    OmegaConf.register_new_resolver("modes", lambda metrics: [*map(metric_mode, metrics)], replace=True)
    OmegaConf.register_new_resolver("times", lambda factor, number: factor * number, replace=True)
    OmegaConf.register_new_resolver("slots", lambda: max(machine.gpu_count(), 1), replace=True)
    OmegaConf.register_new_resolver("computed_in", computing_dtype, replace=True)


def computing_dtype(precision: str | int) -> str:
    """Return torch's name of the type that matrix products are computed in, for a precision as Lightning names it."""
    return _COMPUTED_IN.get(str(precision).split("-")[0], "float32")


def _compose_faster() -> None:
    """Spare Hydra work that it does for nothing.

    Copies of its repository share the one ConfigStore, which hands out copies itself: ``--help`` makes one for each
    config group. And files are parsed by libyaml where PyYAML was built with it, not in Python.
    """
    # What OmegaConf's loader is derived from. mypy knows neither of the names that are set.
    setattr(yaml, "SafeLoader", getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: B010
    setattr(ConfigStore, "__deepcopy__", lambda store, memo: store)  # noqa: B010


def run(verb: str, cfg: DictConfig, room: str = "run") -> Any:
    """Check the composed configuration, and only then import torch and do the work.

    Args:
        verb: A function of the module.
        cfg: What Hydra composed.
        room: The module of lightune that has it.

    Returns:
        The value that the verb returns: what a sweep optimises.
    """
    try:
        settle_run_dir(cfg)
        check(cfg, multirun=_is_multirun() and not machine.is_started_from_outside())
        if cfg.check:
            return import_module("lightune.doctor").verdict(cfg)
        if cfg.get("plan"):
            return import_module("lightune.forecast").plan(cfg)
        work = getattr(import_module(f"lightune.{repeat.room(cfg) or room}"), verb)
        if not gc.get_freeze_count():
            gc.freeze()  # modules stay: each look of the collector at what libraries made takes a third of a second
        return work(cfg)
    except _MENDABLE as error:
        if _is_multirun() or machine.trial():
            raise  # the sweep decides what a failed job means
        fail(explain(error))
    except OSError as error:
        if error.errno not in _FULL or _is_multirun():
            raise
        fail(UserError(f"{error.filename or cfg.run_dir}: {error.strerror}", "make room, and type resume=<run folder>"))


def fail(error: UserError) -> NoReturn:
    """Print the message of an error and leave with status 1."""
    sys.stdout.flush()
    print(f"\nlightune: {error}", file=sys.stderr)
    sys.exit(1)


def _is_multirun() -> bool:
    return HydraConfig.get().mode == RunMode.MULTIRUN


def settle_run_dir(cfg: DictConfig) -> None:
    """Fix the run folder for this process and for the ranks it will start by running its own command again.

    The jobs of a multirun get a folder each, ``trial_0000`` and so on, unless ``run_dir`` itself varies.

    Raises:
        ConfigError: Several processes were started from outside, and none of them knows the others' folder.
    """
    if cfg.run_dir is None:
        return
    from_outside = machine.is_started_from_outside() and not _is_multirun()  # the jobs of that have the sweep's time
    if from_outside and not overrides.typed(sys.argv[1:], "run_dir"):
        raise ConfigError(
            "run_dir: processes that torchrun or srun started would each make a folder of their own",
            "type one for all of them, such as run_dir=runs/my-run",
        )
    folder = Path(cfg.run_dir).expanduser()
    if _is_multirun():
        varies = overrides.is_sweep(sys.argv[1:], "run_dir") or "${" in (overrides.typed(sys.argv[1:], "run_dir") or "")
        folder /= "" if varies else f"trial_{int(HydraConfig.get().job.num):04d}"
    cfg.run_dir = str(folder.absolute())
    if not _is_multirun():
        sys.argv[1:] = overrides.placed(sys.argv[1:], run_dir=cfg.run_dir)


def with_earlier_overrides(arguments: Sequence[str], must_have: str = "") -> list[str]:
    """Put the overrides of the run that is continued before the typed ones.

    A rank of a distributed run gets the result as its own command line, so doing it again changes nothing.

    Args:
        arguments: The command line without the script.
        must_have: A key that has to be typed.

    Returns:
        The command line that composes the earlier run's choices, changed by what was typed.

    Raises:
        ConfigError: The key that must be typed is missing, or names several runs.
        CheckpointError: The run or checkpoint that was named does not exist or is damaged.
    """
    wants_help = any(a.startswith("-") for a in arguments)
    if must_have and not overrides.typed(arguments, must_have) and not wants_help:
        raise ConfigError(
            f"{must_have}: nothing to evaluate was named", f"type {must_have}=<file, run folder or latest>"
        )
    key = must_have or "resume"
    if overrides.is_sweep(arguments, key):
        raise ConfigError(f"{key} names several runs", "name one, and run the command once for each of them")
    named = overrides.typed(arguments, key)
    if named:
        return _continue(arguments, key, named)
    return earlier.with_its_overrides(arguments)


def _continue(arguments: Sequence[str], key: str, named: str) -> list[str]:
    path = _checkpoint(arguments, key, named)
    card = checkpoint_card.read(path)
    typed = {group: value for group in card["choices"] if (value := overrides.typed(arguments, group))}
    refuse_other_choices(card, typed, key)
    refuse_presets(a for a in arguments if "=" in a and a not in card["overrides"])
    own = {key: str(path), **_run_folder(arguments, key, path)}
    command = overrides.placed(arguments, **own)
    place = overrides.first(command)
    then = earlier_overrides(card, replaced=set(map(overrides.key_of, command[place:])))
    return [*command[:place], *then, *command[place:]]


def _run_folder(arguments: Sequence[str], key: str, path: Path) -> dict[str, str]:
    """Return the folder in which a resumed run goes on, where the checkpoint still lies in one."""
    if key != "resume" or path.parent.name != "checkpoints":
        return {}
    folder, typed = path.parent.parent, overrides.typed(arguments, "run_dir")
    if typed and Path(typed).expanduser().absolute() != folder:
        raise ConfigError(f"run_dir={typed}: a resumed run goes on in its own folder, {folder}", "leave out run_dir=…")
    return {"run_dir": str(folder)}


def _checkpoint(arguments: Sequence[str], key: str, named: str) -> Path:
    runs = Path(overrides.typed(arguments, "paths.runs") or "runs")
    only = overrides.typed(arguments, "name") or overrides.typed(arguments, "task")
    prefer = "last" if key == "resume" else "best"
    try:
        found = checkpoint_card.find(named, prefer=prefer, runs=runs, only=only)
        if found.name != f"{prefer}.ckpt" and not named.endswith(found.name) and machine.is_first_process():
            print(f"{prefer}.ckpt is missing or damaged; {found.name} takes its place.", file=sys.stderr)
        return found
    except CheckpointError as error:
        raise CheckpointError(f"{key}={error.problem}", error.remedy) from error


def explain(error: Exception) -> UserError:
    """Turn an error of the composition into a message that names the nearest right word."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        options = error.options if error.options is not None else _options(str(error), group)
        return ConfigError(f"{group}={option}: there is no such option", nearest(option, options))
    if isinstance(error, OverrideParseException):
        return _unreadable(error)
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    if isinstance(error, ConfigCompositionException) and isinstance(cause, OmegaConfBaseException):
        parent = cause.parent_node
        known = [str(key) for key in parent] if isinstance(parent, DictConfig) else []
        key = str(cause.full_key or cause.key)
        return ConfigError(f"{key}: there is no such key", _elsewhere(key) or nearest(key.rpartition(".")[2], known))
    if isinstance(cause, OmegaConfBaseException):
        return ConfigError(f"{cause.full_key or 'configuration'}: {str(cause).splitlines()[0]}", "mend that value")
    return ConfigError(str(error).strip())


def _options(message: str, group: str) -> list[str]:
    """Return the options of a group, from the search path that Hydra's message ends with."""
    folders = [Path(found) / group for found in re.findall(r"path=file://(.+)", message)]
    return [file.stem for folder in folders for file in folder.glob("*.yaml")]


def _elsewhere(key: str) -> str:
    """Return which other options of a group have a key, such as data.train, which belongs to data=files."""
    group, _, name = key.partition(".")
    files = sorted((Path(sys.argv[0]).parent / "conf" / group).glob("[!_]*.yaml"))
    having = [file.stem for file in files if re.search(rf"^{re.escape(name)}:", file.read_text("utf-8"), re.MULTILINE)]
    return f"that key belongs to {' and '.join(f'{group}={option}' for option in having)}" if having else ""


def _unreadable(error: OverrideParseException) -> ConfigError:
    key, _, value = error.override.partition("=")
    lines = [line for line in error.message.splitlines() if not line.startswith(("Error parsing", "See "))]
    reason = "" if "LexerNoViableAlt" in error.message else f" ({' '.join(lines)})"  # that one draws a picture
    problem = f"{error.override}: this cannot be read as key=value{reason}"
    return ConfigError(problem, f"if that is the value as it is meant, type {overrides.word(key, value or '…')}")
