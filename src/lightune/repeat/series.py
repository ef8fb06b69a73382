"""Several runs of one configuration, one after the other, each a process of its own, and what they come to."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from lightune import commanded, machine, overrides
from lightune.data.filters import filtered
from lightune.data.folds import pooled, refuse_few
from lightune.data.splits import complete
from lightune.errors import ConfigError, TrainingError
from lightune.instantiate import build, plain
from lightune.objective import objectives
from lightune.repeat.left import FILE, kept, numbers_of
from lightune.repeat.process import finished
from lightune.repeat.runs import Repeat, planned, shared_words
from lightune.repeat.summary import Summary
from lightune.report import show
from lightune.sweep.commands import flags, of_a_run
from lightune.sweep.processes import Command, warm_up


def train(cfg: DictConfig) -> float | list[float] | None:
    """Train each run that has not ended yet, and say what all of them come to.

    Args:
        cfg: The checked configuration.

    Returns:
        The mean of what a study optimises; a list where ``objective`` names several numbers.

    Raises:
        ConfigError: Other runs lie in the folder, or nothing can be run at all.
        TrainingError: Some runs failed.
    """
    if cfg.data.get("folds") and cfg.data.get("fold") is None:
        _refuse_few_rows(cfg)
    folder = Path(cfg.run_dir)
    words = shared_words(cfg, commanded.typed())
    _refuse_other_runs(folder, words)
    series = Series(folder, words, planned(cfg))
    with _alone(folder):
        try:
            series.run()
        except KeyboardInterrupt:
            series.summary.write(folder)
            show.note(f"\nStopped. The same command with {_place(folder)} goes on with what is not finished.")
            sys.exit(130)
    series.summary.print([*(cfg.get("headline") or [cfg.task.monitor])], folder)
    if series.failed:
        raise series.failure()
    found = series.summary.metrics
    values = [found[name].value for name in objectives(cfg.get("objective"), cfg.task.monitor) if name in found]
    return values if len(values) > 1 else next(iter(values), None)


@dataclass
class Series:
    """Several runs below a folder.

    Args:
        folder: Where each has a folder and a log.
        words: Overrides that all of them have.
        planned: The runs.
        ended: Those that have their numbers.
        failed: Name of a run → why it has none.
    """

    folder: Path
    words: list[str]
    planned: list[Repeat]
    ended: dict[Repeat, dict[str, float]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def summary(self) -> Summary:
        """What they come to so far."""
        return Summary(self.words, self.planned, self.ended, self.failed)

    def run(self) -> None:
        """Do what is left to do.

        Raises:
            ConfigError: The first run was refused before it made its folder, as every other would be.
        """
        found = {repeat: numbers_of(self.folder / repeat.name) for repeat in self.planned}
        self.ended = {repeat: numbers for repeat, numbers in found.items() if numbers is not None}
        self.summary.write(self.folder)
        left = [repeat for repeat in self.planned if repeat not in self.ended]
        if self.ended:
            show.note(f"Finished before: {', '.join(repeat.name for repeat in self.ended)}.")
        if left:
            warm_up(["lightune.run"])
        for repeat in left:
            self._run(repeat)
            self.summary.write(self.folder)

    def _run(self, repeat: Repeat) -> None:
        place = self.folder / repeat.name
        show.note(f"\n== {repeat.name}, {self.planned.index(repeat) + 1} of {len(self.planned)} ==")
        ended = finished(self._command(repeat, place))
        numbers = numbers_of(place)
        if ended.status == 0 and numbers is not None:
            self.ended[repeat] = numbers
        elif place.exists() or self.ended or self.failed:
            self.failed[repeat.name] = ended.error.problem
            show.note(f"{repeat.name} failed: {ended.error.problem}")
        else:
            (self.folder / FILE).unlink()  # nothing has begun, and another command may
            raise ended.error

    def _command(self, repeat: Repeat, place: Path) -> Command:
        """Return what runs one of them; it goes on from its last checkpoint where there is one."""
        hydra = of_a_run(map(str, HydraConfig.get().overrides.hydra))
        words = [*flags(), *hydra, *self.words, *repeat.words, f"run_dir={overrides.quoted(str(place))}"]
        environment = {machine.AGAIN: str(int((place / "config.yaml").exists())), "HYDRA_FULL_ERROR": ""}
        log = self.folder / f"{repeat.name}.log"
        return Command(Path(sys.argv[0]).absolute(), words, environment, log, Path.cwd())

    def failure(self) -> TrainingError:
        """Return the error that says what became of the runs that failed."""
        name, reason = next(iter(self.failed.items()))
        return TrainingError(
            f"{len(self.failed)} of {len(self.planned)} runs failed ({', '.join(self.failed)}). {name}: {reason}",
            f"see {self.folder / name}.log; the same command with {_place(self.folder)} tries again",
        )


def _place(folder: Path) -> str:
    """Return the folder as it is typed: in a multirun it is the one in which each job has a folder of its own."""
    of_a_job = HydraConfig.get().mode == RunMode.MULTIRUN
    return overrides.word("run_dir", folder.parent if of_a_job else folder)


def _refuse_few_rows(cfg: DictConfig) -> None:
    """Raise DataError where there are fewer rows than folds: each run would find that once it has imported torch."""
    source: Any = build(cfg.data.source, "data.source")
    filters = plain(cfg.data.get("filter")) or {}
    given = {split: filtered(table, filters) for split, table in source.load({"train", "val"}).items()}
    pool = pooled(complete(given, cfg.seed, dict(cfg.data.split), need={"train", "val"}))
    refuse_few(pool, len(pool), cfg.data.folds, "rows")


def _refuse_other_runs(folder: Path, words: list[str]) -> None:
    """Refuse to put runs of one configuration beside those of another: their mean would say nothing."""
    if (folder / "config.yaml").exists():
        raise ConfigError(f"run_dir={folder}: a single run lies there already", "type another run_dir=…")
    earlier = kept(folder)
    if earlier is None or sorted(earlier["overrides"]) == sorted(words):
        return
    others = " ".join(sorted(set(earlier["overrides"]) ^ set(words)))
    raise ConfigError(
        f"run_dir={folder}: the runs there were begun with other overrides ({others})",
        "type what was typed then (more seeds may be added), or another run_dir=…",
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other commands from these runs meanwhile: two processes would write into one run folder."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / f".{FILE}.lock", timeout=0):
            yield
    except Timeout as error:
        raise ConfigError(
            f"run_dir={folder}: another command is at work there", "wait for it, or type another run_dir=…"
        ) from error
