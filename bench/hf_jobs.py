"""The jobs of ``compare_hf.py``: which data, which settings, and the command line of either side."""

import csv
import random
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VAL_SHARE = 0.1


@dataclass(frozen=True)
class Job:
    """One data set with the settings that both sides use.

    Attributes:
        task: ``qa``, ``classification`` or ``ner``.
        files: Files of train, val and test under the data folder; ``None`` for val: a tenth of train is cut off.
        quality: The test metrics to compare; the first is the one that picks the best epoch.
        lr: Learning rate for each way to adapt.
        epochs: Passes over the training split.
        batch_size: Features per step.
        max_length: Tokens per feature.
        columns: Column of ``text``, ``text_pair`` and ``label`` where the task is classification.
    """

    task: str
    files: tuple[str, str | None, str]
    quality: tuple[str, ...]
    lr: dict[str, float]
    epochs: int
    batch_size: int
    max_length: int
    columns: dict[str, str] = field(default_factory=dict)


JOBS = {
    "squad": Job(
        task="qa",
        files=("squad/train.json", "squad/val.json", "squad/test.json"),
        quality=("f1", "exact_match"),
        lr={"lora": 2e-3, "full": 3e-4},
        epochs=1,
        batch_size=16,
        max_length=384,
    ),
    "banking77": Job(
        task="classification",
        files=("banking77/train.csv", None, "banking77/test.csv"),
        quality=("f1_macro", "accuracy"),
        lr={"lora": 2e-3, "full": 2e-4},
        epochs=2,
        batch_size=32,
        max_length=128,
        columns={"text": "text", "label": "category"},
    ),
    "sick": Job(
        task="classification",
        files=("sick/train.tsv", "sick/trial.tsv", "sick/test.tsv"),
        quality=("f1_macro", "accuracy"),
        lr={"lora": 1e-3, "full": 1e-4},
        epochs=2,
        batch_size=32,
        max_length=128,
        columns={"text": "sentence_A", "text_pair": "sentence_B", "label": "entailment_judgment"},
    ),
    "wnut17": Job(
        task="ner",
        files=("wnut17/train.conll", "wnut17/val.conll", "wnut17/test.conll"),
        quality=("f1", "f1_macro"),
        lr={"lora": 5e-4, "full": 2e-4},
        epochs=3,
        batch_size=16,
        max_length=256,
    ),
}


@dataclass(frozen=True)
class Run:
    """One training of one job by either side."""

    job: str
    peft: str
    seed: int
    epochs: int
    eval_batch_size: int
    steps: int | None = None

    @property
    def settings(self) -> Job:
        """The job's entry in the table."""
        return JOBS[self.job]

    def identity(self, side: str) -> dict[str, str | int | float]:
        """Return everything that, once changed, makes a finished row a different one."""
        job = self.settings
        return {
            "job": self.job,
            "side": side,
            "peft": self.peft,
            "seed": self.seed,
            "epochs": self.epochs,
            "batch_size": job.batch_size,
            "eval_batch_size": self.eval_batch_size,
            "max_length": job.max_length,
            "lr": job.lr[self.peft],
            **({} if self.steps is None else {"steps": self.steps}),
        }


def split_files(job: Job, data: Path, folder: Path) -> dict[str, Path]:
    """Return one existing file for each split, so that both sides see the same rows.

    Args:
        job: Names the files.
        data: The data folder.
        folder: Where a train and a val file go if the job has no val of its own.
    """
    train, val, test = job.files
    if val is not None:
        return {"train": data / train, "val": data / val, "test": data / test}
    folder.mkdir(parents=True, exist_ok=True)
    cut = {"train": folder / "train.csv", "val": folder / "val.csv"}
    _cut(data / train, job.columns["label"], cut)
    return {**cut, "test": data / test}


def _cut(source: Path, label: str, cut: dict[str, Path]) -> None:
    """Cut a tenth of every label's rows off a CSV file, the same rows each time."""
    with source.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    by_label: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        by_label[row[label]].append(index)
    chosen: set[int] = set()
    shuffle = random.Random(0)
    for members in by_label.values():
        chosen.update(shuffle.sample(members, max(1, round(VAL_SHARE * len(members)))))
    for split, path in cut.items():
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(row for index, row in enumerate(rows) if (index in chosen) == (split == "val"))


def lightune_command(run: Run, files: dict[str, Path], folder: Path) -> list[str]:
    """Return the command that trains by lightune; its numbers then lie in ``folder/run/metrics.json``."""
    job = run.settings
    overrides = {
        "task": job.task,
        "model": "minilm",
        "peft": run.peft,
        "trainer": "cpu",
        "optimizer": "adamw",
        "scheduler": "linear",
        "callbacks": "[best,last]",  # no early stopping: the other side has none
        "data": "files",
        **{f"data.{split}": str(path) for split, path in files.items()},
        **{f"task.columns.{name}": column for name, column in job.columns.items()},
        "data.batch_size": job.batch_size,
        "data.eval_batch_size": run.eval_batch_size,
        "data.max_length": job.max_length,
        "optimizer.lr": job.lr[run.peft],
        "optimizer.head_lr": "null",  # the other side has one rate for all
        "optimizer.weight_decay": 0.01,
        "scheduler.warmup": 0.1,
        "trainer.max_epochs": run.epochs,
        **({} if run.steps is None else {"trainer.limit_train_batches": run.steps}),
        "seed": run.seed,
        "paths.cache": str(folder / "cache"),  # empty: encoding is part of every run's total time
        "run_dir": str(folder / "run"),
    }
    return [sys.executable, str(ROOT / "train.py"), *(f"{key}={value}" for key, value in overrides.items())]


def hf_command(run: Run, files: dict[str, Path], folder: Path) -> list[str]:
    """Return the command that trains by Hugging Face's ``Trainer``; its numbers then lie in ``folder/metrics.json``."""
    job = run.settings
    options = {
        "task": job.task,
        "peft": run.peft,
        **{split: str(path) for split, path in files.items()},
        **{name.replace("_", "-"): column for name, column in job.columns.items()},
        "epochs": run.epochs,
        **({} if run.steps is None else {"steps": run.steps}),
        "batch-size": job.batch_size,
        "eval-batch-size": run.eval_batch_size,
        "max-length": job.max_length,
        "lr": job.lr[run.peft],
        "seed": run.seed,
        "output": str(folder / "metrics.json"),
    }
    script = Path(__file__).with_name("hf_trainer.py")
    return [sys.executable, str(script), *(part for key, value in options.items() for part in (f"--{key}", str(value)))]
