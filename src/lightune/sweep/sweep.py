"""A study from its first trial to its last."""

import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from hydra.core.config_loader import ConfigLoader
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution

from lightune.errors import ConfigError, TrainingError
from lightune.instantiate import plain
from lightune.report import show
from lightune.sweep.commands import commands, is_launched
from lightune.sweep.constraints import Constraint, constraint, violations
from lightune.sweep.engine import Engine, Plan
from lightune.sweep.live import Display
from lightune.sweep.processes import warm_up
from lightune.sweep.results import write_results
from lightune.sweep.samplers import grid_size, samplers
from lightune.sweep.space import Space, space
from lightune.sweep.stopping import enough
from lightune.sweep.storage import claims, opened
from lightune.sweep.study import Study, best_of
from lightune.sweep.summary import log_study

_DIRECTIONS = {"min": "minimize", "max": "maximize"}
_FIXED = "fixed"  # attribute of a study: the overrides that all its trials have


def sweep(
    settings: Mapping[str, Any], config: DictConfig, arguments: Sequence[str], loader: ConfigLoader | None = None
) -> Any:
    """Run a study until it has all its trials, and write what was found.

    Args:
        settings: See ``hydra_plugins.lightune_sweeper.config.SweeperConf``.
        config: What Hydra composed.
        arguments: Overrides that were typed.
        loader: Of the application's configuration: it knows the options of its groups.

    Returns:
        The best value; of several objectives those of each trial that none surpasses in all of them.

    Raises:
        ConfigError: The search space, the sampler or the storage cannot be used.
        TrainingError: More trials failed than may.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    folder = Path(str(config.hydra.sweep.dir)).expanduser().absolute()
    constraints = [constraint(text) for text in settings["constraints"]]
    # From the whole configuration, in which ${peft.lr} means what it says, and \${peft.lr} is left to each trial.
    params = plain(config.hydra.sweeper.get("params")) or {}
    searched = space(params, arguments, settings["search_space"], loader)
    study = _study(settings, config, searched, folder, constraints)
    with study.lock:  # one worker tries them, and no command twice
        for point in _points(settings, config, study.space):
            study.study.enqueue_trial(point, skip_if_exists=True)
    warm_up(settings["warm"])
    engine = Engine(study, _plan(settings, config, study, folder, constraints), Display(study, settings["n_jobs"]))
    write = partial(write_results, study.study, folder, study.space.fixed, set(config.hydra.runtime.choices))
    try:
        engine.run()
    except KeyboardInterrupt:
        write()
        show.note("\nStopped. The same command goes on with the study.")
        sys.exit(130)
    except TrainingError:
        write()
        raise
    write()
    if node := OmegaConf.select(config, "logger.wandb"):
        log_study(study.study, folder, plain(node))
    if (reason := study.enough()) is not None:
        show.note(f"The study has ended early: {reason}.")
    values = [trial.values for trial in best_of(study.study)]
    return values[0][0] if values and len(values[0]) == 1 else values


def prunes(pruner: Any) -> bool:
    """Return whether a pruner ever gives a trial up."""
    return pruner is not None and not isinstance(pruner, optuna.pruners.NopPruner)


def _plan(
    settings: Mapping[str, Any], config: DictConfig, study: Study, folder: Path, constraints: Sequence[Constraint]
) -> Plan:
    return Plan(
        folder,
        commands(config, study.space.fixed),
        slots=settings["n_jobs"],
        repeats=_repeats(settings["seeds"], settings["seed_key"], config),
        shares=not is_launched(config),
        storage=settings["storage"],
        pruner=plain(config.hydra.sweeper.get("pruner")) if prunes(settings["pruner"]) else None,
        constraints=constraints,
        until=time.monotonic() + settings["timeout"] if settings["timeout"] else float("inf"),
        max_failure_rate=settings["max_failure_rate"],
    )


def _repeats(seeds: Any, key: str, config: DictConfig) -> list[str]:
    """Return the overrides of a trial's runs: of as many seeds as a number says, or those of a list."""
    if seeds is None:
        return []
    first = OmegaConf.select(config, key, default=0)
    found = range(first, first + seeds) if isinstance(seeds, int) else seeds
    return [f"{key}={seed}" for seed in found]


def _points(settings: Mapping[str, Any], config: DictConfig, searched: Space) -> list[dict[str, Any]]:
    """Return the points that are tried first: what the configuration says itself, and those that are named."""
    named = [plain(point) for point in settings["enqueue"]]
    baseline = {
        key: value
        for key, found in searched.searched.items()
        if (value := _as_configured(key.lstrip("+"), found, config)) is not None
    }
    return [baseline, *named] if settings["baseline"] and baseline else named


def _as_configured(key: str, found: BaseDistribution, config: DictConfig) -> Any:
    """Return the value that a key has without a search, None where that is none of those searched."""
    value = config.hydra.runtime.choices.get(key, OmegaConf.select(config, key))
    if isinstance(found, optuna.distributions.CategoricalDistribution):
        return next((choice for choice in found.choices if str(choice) == str(value)), None)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if found._contains(found.to_internal_repr(value)) else None


def _study(
    settings: Mapping[str, Any], config: DictConfig, searched: Space, folder: Path, constraints: Sequence[Constraint]
) -> Study:
    directions = settings["direction"]
    directions = [directions] if isinstance(directions, str) or not hasattr(directions, "__iter__") else directions
    directions = [_DIRECTIONS.get(name := str(getattr(d, "name", d)), name) for d in directions]
    _refuse_for_several(settings, len(directions))
    sampler = samplers(settings["sampler"], searched, partial(violations, constraints) if constraints else None)
    grid = grid_size(settings["sampler"], searched)
    lock = claims(settings["storage"], folder)
    with lock:  # tables and study are created by one worker, found by the others
        kept: Any = opened(settings["storage"], folder)
        study = optuna.create_study(
            storage=kept,
            study_name=settings["study_name"] or folder.name,
            directions=directions,
            pruner=settings["pruner"],
            load_if_exists=True,
        )
        _same_configuration(study, searched.fixed)
        if settings["metrics"] and study.metric_names is None:
            study.set_metric_names(list(settings["metrics"]))
    return Study(
        study,
        lock,
        searched,
        sampler,
        settings["n_trials"] if grid is None else min(settings["n_trials"], grid),
        settings["retries"],
        _extension(settings["custom_search_space"], config),
        _stop(settings, directions),
    )


def _refuse_for_several(settings: Mapping[str, Any], objectives: int) -> None:
    """Refuse what means nothing where a trial has several values."""
    if objectives == 1:
        return
    if prunes(settings["pruner"]):
        raise ConfigError(
            "hydra/sweeper/pruner: a trial with several objectives cannot be given up for one of them",
            "type hydra/sweeper/pruner=none, or one direction",
        )
    for key in ("target", "patience"):
        if settings[key] is not None:
            raise ConfigError(
                f"hydra.sweeper.{key}: of several objectives none is the one to watch",
                f"leave it out: hydra.sweeper.{key}=null",
            )


def _stop(settings: Mapping[str, Any], directions: Sequence[str]) -> Callable[[Sequence[float | None]], str | None]:
    maximize, target, patience = directions[0] == "maximize", settings["target"], settings["patience"]
    return partial(enough, maximize=maximize, target=target, patience=patience)


def _same_configuration(study: optuna.Study, fixed: Sequence[str]) -> None:
    """Refuse to put trials of one configuration to those of another: their values cannot be compared."""
    kept = study.user_attrs.get(_FIXED)
    if kept is None:
        study.set_user_attr(_FIXED, sorted(fixed))
    elif kept != sorted(fixed):
        there = " ".join(sorted(set(kept) ^ set(fixed))) or "their order"
        raise ConfigError(
            f"hydra.sweeper.study_name={study.study_name}: the study was begun with other overrides ({there})",
            "type what was typed then, or hydra.sweeper.study_name=<another>",
        )


def _extension(name: str | None, config: DictConfig) -> Callable[[Any], None] | None:
    if not name:
        return None
    function = instantiate({"_target_": name.removeprefix("."), "_partial_": True})
    return lambda trial: function(config, trial)
