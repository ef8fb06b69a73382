"""A study from its first trial to its last: trials are started as slots become free, and told when they end."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import optuna
from hydra._internal.utils import get_args_parser
from hydra.utils import instantiate
from omegaconf import DictConfig
from optuna.samplers import BaseSampler, GridSampler

from lightune import machine
from lightune.errors import ConfigError, TrainingError
from lightune.instantiate import plain
from lightune.report import show
from lightune.sweep import told
from lightune.sweep.processes import Command, end, slot_environment, start, warm_up, was_killed
from lightune.sweep.results import write_results
from lightune.sweep.space import Space, space
from lightune.sweep.storage import claims, opened
from lightune.sweep.study import Claimed, Study

_DIRECTIONS = {"min": "minimize", "max": "maximize"}
_FIXED = "fixed"  # attribute of a study: the overrides that all its trials have
_POLL = 0.05  # seconds
_BEATS = 30.0  # seconds between two
# Keys of Hydra's that are the sweep's own, and mean nothing to a trial.
_SWEEPS = ("hydra.sweep", "hydra/sweep", "hydra.launcher", "hydra/launcher", "hydra.mode")
_TOLD = "+hydra.callbacks.lightune_trial._target_=lightune.sweep.told.Told"


def sweep(settings: Mapping[str, Any], config: DictConfig, arguments: Sequence[str]) -> Any:
    """Run a study until it has all its trials, and write what was found.

    Args:
        settings: See ``hydra_plugins.lightune_sweeper.config.SweeperConf``.
        config: What Hydra composed.
        arguments: Overrides that were typed.

    Returns:
        The best value; of several objectives those of each trial that none surpasses in all of them.

    Raises:
        ConfigError: The search space, the sampler or the storage cannot be used.
        TrainingError: More trials failed than may.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = Path(str(config.hydra.sweep.dir)).expanduser().absolute()
    searched = space(settings["params"] or {}, arguments, settings["search_space"])
    study = _study(settings, config, searched, folder)
    with study.lock:  # one worker tries them, and no command twice
        for point in settings["enqueue"]:
            study.study.enqueue_trial(plain(point), skip_if_exists=True)
    warm_up(settings["warm"])
    pruner = plain(config.hydra.sweeper.get("pruner")) if prunes(settings["pruner"]) else None
    try:
        Sweep(study, folder, _commands(config, study.space.fixed, folder), settings, pruner).run()
    except KeyboardInterrupt:
        show.note("\nStopped. The same command goes on with the study.")
        sys.exit(130)
    write_results(study.study, folder, study.space.fixed, set(config.hydra.runtime.choices))
    values = [trial.values for trial in study.study.best_trials]
    return values[0][0] if values and len(values[0]) == 1 else values


def prunes(pruner: Any) -> bool:
    """Return whether a pruner ever gives a trial up."""
    return pruner is not None and not isinstance(pruner, optuna.pruners.NopPruner)


def _study(settings: Mapping[str, Any], config: DictConfig, searched: Space, folder: Path) -> Study:
    directions = settings["direction"]
    directions = [directions] if isinstance(directions, str) or not hasattr(directions, "__iter__") else directions
    directions = [_DIRECTIONS.get(name := str(getattr(d, "name", d)), name) for d in directions]
    if len(directions) > 1 and prunes(settings["pruner"]):
        raise ConfigError(
            "hydra/sweeper/pruner: a trial with several objectives cannot be given up for one of them",
            "type hydra/sweeper/pruner=none, or one direction",
        )
    pruner = settings["pruner"]
    lock = claims(settings["storage"], folder)
    with lock:  # tables and study are created by one worker, found by the others
        kept: Any = opened(settings["storage"], folder)
        study = optuna.create_study(
            storage=kept,
            study_name=settings["study_name"] or folder.name,
            directions=directions,
            pruner=pruner,
            load_if_exists=True,
        )
        _same_configuration(study, searched.fixed)
    sampler, n_trials = _samplers(settings["sampler"], searched), settings["n_trials"]
    grid = _grid_size(settings["sampler"], searched)
    extend = _extension(settings["custom_search_space"], config)
    trials = n_trials if grid is None else min(n_trials, grid)
    return Study(study, lock, searched, sampler, trials, settings["retries"], extend)


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


def _is_grid(sampler: Any) -> bool:
    return getattr(sampler, "func", None) is GridSampler


def _grid_size(sampler: Any, searched: Space) -> int | None:
    """Return how many points a grid has."""
    if not _is_grid(sampler):
        return None
    size = 1
    for values in searched.grid().values():
        size *= len(values)
    return size


def _samplers(sampler: Any, searched: Space) -> Callable[[int], BaseSampler]:
    """Return what makes the sampler of a trial: its draws depend on the seed and the trial's number alone."""
    made = sampler.func
    given = dict(sampler.keywords)
    seed = given.pop("seed", None)
    arguments = (searched.grid(),) if _is_grid(sampler) else ()

    def sampler_of(number: int) -> BaseSampler:
        # A grid goes through its points in an order that the seed decides, the same for all trials.
        own = None if seed is None else seed if _is_grid(sampler) else (seed * 1_000_003 + number) % 2**32
        found: BaseSampler = made(*arguments, seed=own, **given)
        return found

    return sampler_of


def _extension(name: str | None, config: DictConfig) -> Callable[[Any], None] | None:
    if not name:
        return None
    function = instantiate({"_target_": name.removeprefix("."), "_partial_": True})
    return lambda trial: function(config, trial)


def _commands(config: DictConfig, fixed: Sequence[str], folder: Path) -> Callable[[Claimed], list[str]]:
    """Return what makes the command line of a trial: what was typed, with its own values."""
    own = [str(word) for word in config.hydra.overrides.hydra if not str(word).lstrip("+~").startswith(_SWEEPS)]
    key = "run_dir" if "run_dir" in config else "hydra.run.dir"

    def command(claimed: Claimed) -> list[str]:
        place = f"{key}={folder / claimed.name}"
        return [*_flags(), *fixed, *own, *claimed.words, place, _TOLD]

    return command


def _flags() -> list[str]:
    """Return the flags of this command that say where the configuration lies."""
    arguments, _ = get_args_parser().parse_known_args(sys.argv[1:])
    flags = {"--config-name": arguments.config_name, "--config-path": arguments.config_path}
    flags["--config-dir"] = arguments.config_dir
    return [word for flag, value in flags.items() if value for word in (flag, value)]


class Sweep:
    """Keeps as many trials running as there are slots.

    Args:
        study: Where they come from.
        folder: Where each has a folder and a log.
        command: Trial → the words of its command line.
        settings: Of the sweeper.
        pruner: The pruner's configuration, as plain data; None where no trial is given up.
    """

    def __init__(
        self,
        study: Study,
        folder: Path,
        command: Callable[[Claimed], list[str]],
        settings: Mapping[str, Any],
        pruner: Any = None,
    ) -> None:
        self.study = study
        self.folder = folder
        self.command = command
        self.slots = settings["n_jobs"]
        self.storage = settings["storage"]
        self.pruner = pruner
        self.failures_allowed = settings["max_failure_rate"] * study.n_trials
        self.until = time.monotonic() + settings["timeout"] if settings["timeout"] else float("inf")
        self._running: dict[int, tuple[Claimed, BaseProcess]] = {}  # by slot
        self._beaten = 0.0

    def run(self) -> None:
        """Run trials until none is left, and none of them runs any longer.

        Raises:
            TrainingError: More of them failed than may.
        """
        with self._nothing_left_behind():
            while not self._is_done():
                self._collect()
                self._fill()
                self._beat()
                time.sleep(_POLL)
        if self._too_many_failed():
            raise TrainingError(
                f"{self.study.failures} of {len(self.study.trials)} trials failed: {self._last_failure()}",
                f"see {self.folder}/trial_*.log; hydra.sweeper.max_failure_rate=0.5 goes on in spite of failures",
            )

    def _is_done(self) -> bool:
        if self._running:
            return False
        return self._too_many_failed() or time.monotonic() > self.until or self.study.is_over()

    def _too_many_failed(self) -> bool:
        return self.study.failures > self.failures_allowed

    def _last_failure(self) -> str:
        reasons = [str(trial.user_attrs["reason"]) for trial in self.study.trials if "reason" in trial.user_attrs]
        return reasons[-1] if reasons else "they say nothing"

    def _fill(self) -> None:
        free = [slot for slot in range(self.slots) if slot not in self._running]
        for slot in free:
            if self._too_many_failed() or time.monotonic() > self.until:
                return
            claimed = self.study.claim()
            if claimed is None:
                return
            self._result(claimed).unlink(missing_ok=True)
            command = Command(
                Path(sys.argv[0]).absolute(),
                self.command(claimed),
                {**slot_environment(slot, self.slots), **self._environment(claimed)},
                self.folder / f"{claimed.name}.log",
                Path.cwd(),
            )
            self._running[slot] = (claimed, start(command))

    def _environment(self, claimed: Claimed) -> dict[str, str]:
        own = {told.RESULT: str(self._result(claimed)), machine.AGAIN: str(int(claimed.again))}
        if self.pruner is None:
            return own
        name = self.study.study.study_name
        return own | told.described(self.storage, self.folder, name, claimed.trial.number, self.pruner)

    def _result(self, claimed: Claimed) -> Path:
        return self.folder / f".{claimed.name}.json"

    def _collect(self) -> None:
        for slot, (claimed, process) in list(self._running.items()):
            if process.is_alive():
                continue
            process.join()
            end(process)  # what it has started and left
            del self._running[slot]
            result = told.read(self._result(claimed))
            if result is None and was_killed(process):
                self.study.let_go(claimed.trial)
                continue
            reason = self.study.tell(claimed.trial, result, f"its process ended with status {process.exitcode}")
            self._result(claimed).unlink(missing_ok=True)
            shown = reason or ", ".join(f"{value:.6g}" for value in (result or {}).get("values", ())) or "given up"
            show.note(f"{claimed.name}  {' '.join(claimed.words)}  → {shown}")

    def _beat(self) -> None:
        if time.monotonic() - self._beaten < _BEATS:
            return
        self._beaten = time.monotonic()
        for claimed, _ in self._running.values():
            self.study.beat(claimed.trial)

    @contextmanager
    def _nothing_left_behind(self) -> Iterator[None]:
        """End all trials where this process is ended: the next command begins them again."""
        try:
            yield
        finally:
            for _, process in self._running.values():
                end(process)
