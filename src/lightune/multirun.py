"""A multirun as a whole: what it refuses before its first job, and the table after its last one."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import yaml
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from lightune.check import check_multirun, check_study
from lightune.cli import fail
from lightune.errors import UserError
from lightune.repeat import left

TABLE = "runs.csv"
# What a method of adaptation costs; a table over methods has a column of each.
COSTS = {"params/trainable": "trained", "time/train_s": "training, s", "memory/peak_rss_mb": "memory, MiB"}
_ALIKE = frozenset(("seed",))  # runs that differ in nothing else are draws of one experiment


@dataclass(frozen=True)
class Job:
    """A finished job of a multirun.

    Args:
        typed: Override key → value, as this job had them.
        folder: Its run folder.
        headline: Metrics that stand for it.
        metrics: All its numbers; of several runs their means.
        margins: Half of the 95 % interval around each mean.
    """

    typed: Mapping[str, str]
    folder: Path
    headline: Sequence[str]
    metrics: Mapping[str, float]
    margins: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def ended(cls, returned: JobReturn) -> "Job | None":
        """Return what a job left behind, or None where it failed or had no numbers to leave."""
        cfg = returned.cfg
        if returned.status != JobStatus.COMPLETED or cfg is None:
            return None
        return cls._of(Path(str(cfg.run_dir)), returned.overrides or (), cfg)

    @classmethod
    def found(cls, folder: Path) -> "Job | None":
        """Return the job whose run folder this is, or None where it has no numbers.

        Hydra tells of jobs that ran in this process alone, not of those that its launchers started elsewhere.
        """
        summary = left.kept(folder)
        run = left.first(folder) if summary else folder
        if run is None or left.numbers_of(run) is None:
            return None
        # What was typed for one of several runs has a seed that is not the job's.
        typed = (
            summary["overrides"] if summary else yaml.safe_load((run / "overrides.yaml").read_text(encoding="utf-8"))
        )
        return cls._of(folder, typed, OmegaConf.load(run / "config.yaml"))

    @classmethod
    def _of(cls, folder: Path, overrides: Iterable[str], cfg: Any) -> "Job | None":
        metrics = left.numbers_of(folder) or left.means(folder)
        if not metrics:
            return None
        pairs = (text.lstrip("+").partition("=") for text in overrides)
        headline = [*(cfg.get("headline") or [cfg.task.monitor])]
        return cls({key: value for key, _, value in pairs}, folder, headline, metrics, left.half_widths(folder))

    def values(self, split: str) -> list[float]:
        """Return the headline metrics of a split, those that it has."""
        return [self.metrics[name] for name in self._names(split)]

    def shown(self, split: str) -> str:
        """Return the headline metrics of a split as text, those that it has."""
        return " / ".join(
            f"{self.metrics[name]:.4f}" + (f" ± {self.margins[name]:.4f}" if name in self.margins else "")
            for name in self._names(split)
        )

    def _names(self, split: str) -> list[str]:
        return [f"{split}/{name}" for name in self.headline if f"{split}/{name}" in self.metrics]


class Multirun(Callback):
    """Hydra's callback that stands around the jobs of ``-m``."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse what no job can do that has no process of its own, or whose ranks the launcher does not start."""
        try:
            if _has_processes(config):
                check_study(config)
            elif config.hydra.launcher.get("tasks_per_node", 1) == 1:
                check_multirun(config)
        except UserError as error:  # Hydra would make a warning of it
            fail(error)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Keep a job's numbers for the table."""
        job = Job.ended(job_return)
        if job is not None:
            self.jobs.append(job)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the table of all jobs, and write it with every number."""
        if _has_processes(config):
            return  # a study has its own tables
        path = Path(str(config.hydra.sweep.dir)) / TABLE
        self.jobs = self.jobs or [job for job in map(Job.found, sorted(path.parent.glob("trial_*"))) if job]
        if len(self.jobs) < 2:
            return
        from lightune.report import show

        write_table(self.jobs, path)
        columns, rows = shown_table(self.jobs)
        show.table(f"{len(self.jobs)} runs", columns, rows)
        show.note(f"Every number and folder of them: {path}")
        if "peft" in varying(self.jobs):
            from lightune.report.pictures import write_comparison

            points = comparison(self.jobs)
            write_comparison(path.with_suffix(".png"), points, self.jobs[0].headline[0])
            show.note(f"Quality against what it costs: {path.with_suffix('.png')}")


def _has_processes(config: DictConfig) -> bool:
    """Return whether the sweeper is lightune's, which starts each job as a process of its own."""
    return "lightune_sweeper" in str(config.hydra.get("sweeper", {}).get("_target_", ""))


def varying(jobs: Sequence[Job]) -> list[str]:
    """Return the keys in whose values jobs differ, in the order in which they were typed."""
    keys = dict.fromkeys(key for job in jobs for key in job.typed)
    return [key for key in keys if len({job.typed.get(key) for job in jobs}) > 1]


def comparison(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Return a point for each method of adaptation: the mean of its runs' first metric on test, and of their costs."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.typed.get("peft", ""), []).append(job)
    names = [f"test/{jobs[0].headline[0]}", *COSTS]
    return [
        {"name": method, **{name: fmean(job.metrics.get(name, nan) for job in group) for name in names}}
        for method, group in groups.items()
    ]


def shown_table(jobs: Sequence[Job]) -> tuple[list[str], list[list[str]]]:
    """Return the columns and rows to print: what differs, and the headline metrics of the best checkpoint.

    Of a job of several seeds or folds it is their mean ± half of its 95 % interval.
    Where nothing but the seed differs the last row is the mean and the sample standard deviation; where the experiment
    does, it is the mean over experiments of each one's mean metric, as benchmarks report it.
    """
    keys = varying(jobs)
    costs = COSTS if "peft" in keys else {}
    rows = [
        [
            *(job.typed.get(key, "") for key in keys),
            " / ".join(job.headline),
            *(job.shown(split) for split in ("val", "test")),
            *(f"{job.metrics.get(cost, nan):,.0f}" for cost in costs),
        ]
        for job in jobs
    ]
    summaries = [_summary(jobs, split, set(keys)) for split in ("val", "test")]
    if any(summaries):
        rows.append([*("mean" if i == 0 else "" for i in range(len(keys))), "", *summaries, *("" for _ in costs)])
    return [*keys, "metric", "val", "test", *costs.values()], rows


def _summary(jobs: Sequence[Job], split: str, keys: set[str]) -> str:
    values = [job.values(split) for job in jobs]
    if not all(values):
        return ""
    if keys == _ALIKE:
        return " / ".join(f"{fmean(column):.4f} ± {stdev(column):.4f}" for column in zip(*values, strict=True))
    return f"{fmean(map(fmean, values)):.4f}" if keys == {"experiment"} else ""


def write_table(jobs: Sequence[Job], path: Path) -> None:
    """Write one row a job: the folder, what was typed, and every number; of means half of their interval too."""
    from lightune.report.artefacts import written_whole  # imports torch, which a multirun's start need not

    keys = varying(jobs)
    numbers = sorted({name for job in jobs for name in job.metrics})
    margins = sorted({name for job in jobs for name in job.margins})
    with written_whole(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["run_dir", *keys, *numbers, *(f"half_width/{name}" for name in margins)])
        for job in jobs:
            typed = (job.typed.get(key, "") for key in keys)
            values = (job.metrics.get(name, "") for name in numbers)
            writer.writerow([job.folder, *typed, *values, *(job.margins.get(name, "") for name in margins)])
