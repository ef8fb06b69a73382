"""Evaluate one model on the same rows by lightune and by Hugging Face's ``Trainer``, in turn, in one process.

    python bench/compare_evaluation.py --data DATA --jobs squad sick banking77 wnut17 --rounds 3

Where ``compare_hf.py`` times whole runs, this looks at evaluation alone: batches, forward passes, predictions, metrics
of the test split, by a MiniLM with a new head. Processor time is shown beside wall-clock time, because it varies less
on a machine that does other things too. Figures are medians over the rounds.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from transformers import AutoTokenizer

from hf_jobs import JOBS, ROOT, Run, hf_command, lightune_command, split_files
from hf_trainer import TimedTrainer, default_model, load_model, load_splits, metrics_of, training_arguments
from hf_trainer import parse_arguments as hf_arguments
from lightune import assemble, cli
from lightune.instantiate import plain

Evaluate = Callable[[], Any]


def lightune_side(run: Run, files: dict[str, Path], folder: Path) -> Evaluate:
    """Return what evaluates the test split by lightune."""
    OmegaConf.register_new_resolver("mode", cli.metric_mode, replace=True)
    overrides = [*lightune_command(run, files, folder)[2:], "callbacks=none", "data.limit.train=640"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("train", overrides)
    experiment = assemble.experiment(cfg, {"config": plain(cfg), "overrides": []})
    return lambda: experiment.trainer.test(experiment.module, experiment.data, verbose=False)


def hf_side(run: Run, files: dict[str, Path], folder: Path) -> Evaluate:
    """Return what evaluates the test split by ``Trainer``."""
    options = hf_arguments(hf_command(run, files, folder)[2:])
    task, splits = load_splits(options, AutoTokenizer.from_pretrained(default_model()))
    trainer = TimedTrainer(
        model=load_model(task, default_model(), run.peft),
        args=training_arguments(options, task.monitor, str(folder)),
        data_collator=task.collator(),
        train_dataset=splits["train"].features,
        eval_dataset=splits["test"].features,
        compute_metrics=metrics_of(task, splits["test"]),
        preprocess_logits_for_metrics=task.reduce_logits,
    )
    return trainer.evaluate


def timed(evaluate: Evaluate) -> tuple[float, float]:
    """Return seconds of processor time and of wall-clock time."""
    cpu, wall = time.process_time(), time.perf_counter()
    evaluate()
    return time.process_time() - cpu, time.perf_counter() - wall


def compared(run: Run, data: Path, rounds: int) -> list[str]:
    """Return the table's line for one job."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = split_files(run.settings, data.resolve(), folder / "data")
        sides = [build(run, files, folder) for build in (lightune_side, hf_side)]
        times = [[timed(evaluate) for evaluate in sides] for _ in range(rounds)]
    cells = []
    for which in range(2):
        ours, theirs = (statistics.median(row[side][which] for row in times) for side in range(2))
        cells += [f"{ours:.1f}", f"{theirs:.1f}", f"× {ours / theirs:.2f}"]
    return [run.job, *cells]


def main() -> None:
    """Print the table, job by job."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--jobs", nargs="+", choices=list(JOBS), default=list(JOBS))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    datasets.disable_progress_bars()
    sides = ("lightune", "HF Trainer", "ratio")
    head = ["job", *(f"{side}, {kind} s" for kind in ("CPU", "wall") for side in sides)]
    lines = [head, ["---"] * len(head)]
    lines += [compared(Run(job, "full", 1, 1, 32), options.data, options.rounds) for job in options.jobs]
    print("\n".join(f"| {' | '.join(line)} |" for line in lines))


if __name__ == "__main__":
    main()
