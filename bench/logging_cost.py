"""What logging costs: steps of one run with it and without it, in turns.

    python bench/logging_cost.py --loggers csv csv,tensorboard csv,wandb csv,mlflow

A run logs for some steps, and then for as many it has no loggers and none of the callbacks that log, and so on:
whatever else the machine does meets both. A line has the medians over the turns; ``cpu`` is the time of the processor
alone, which others that use it disturb less. ``csv`` alone is the default.
"""

import argparse
import os
import statistics
import tempfile
import time
from typing import Any

import lightning
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch.callbacks import Callback, LearningRateMonitor
from omegaconf import DictConfig

from compare_hf import markdown
from hf_jobs import ROOT
from lightune import assemble, cli
from lightune.callbacks import Telemetry
from lightune.instantiate import plain

_LOG = (Telemetry, LearningRateMonitor)


class Turns(Callback):
    """Switches logging on and off, and keeps the seconds of each turn.

    Args:
        length: Steps of a turn; what is logged every so many steps is to come equally often in each.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self.taken: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
        self._on = True
        self._all: Any = None
        self._since = (0.0, 0.0)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Remember all that logs."""
        self._all = (trainer.loggers, trainer.callbacks, pl_module.before_clipping)
        self._since = _now()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *batch: Any) -> None:
        """End a turn, where it is over."""
        if trainer.global_step % self.length:
            return
        now = _now()
        self.taken[self._on].append((now[0] - self._since[0], now[1] - self._since[1]))
        turn = len(self.taken[True]) + len(self.taken[False])
        self._switch(trainer, pl_module, on=turn % 4 in (0, 3))
        self._since = _now()

    def _switch(self, trainer: Any, module: Any, on: bool) -> None:
        loggers, callbacks, hook = self._all
        self._on = on
        trainer.loggers = loggers if on else []
        trainer.callbacks = [c for c in callbacks if on or not isinstance(c, _LOG)]
        module.before_clipping = hook if on else None


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def composed(words: list[str]) -> DictConfig:
    """Return the configuration of a run."""
    cli.register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("train", words)


def measured(loggers: str, typed: list[str], length: int, turns: int) -> dict[str, Any]:
    """Return a line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        # The first turns are warm-up.
        steps = f"trainer.max_steps={length * (turns + 4)}"
        place = [f"paths.runs={folder}", f"run_dir={folder}/run", f"logger=[{loggers}]"]
        words = ["task=classification", "callbacks.progress_bar=null", "callbacks.early_stopping=null", *typed]
        cfg = composed([*words, steps, "trainer.max_epochs=-1", "trainer.limit_val_batches=0", *place])
        lightning.seed_everything(cfg.seed, verbose=False)
        experiment = assemble.experiment(cfg, {"config": plain(cfg), "overrides": []})
        watch = Turns(length)
        trainer: Any = experiment.trainer
        trainer.callbacks = [*(c for c in trainer.callbacks if type(c).__name__ != "LastCheckpoint"), watch]
        trainer.fit(experiment.module, experiment.data)
    taken = {on: list(zip(*seconds[2:], strict=True)) for on, seconds in watch.taken.items()}
    wall, cpu = ({on: 1000 * statistics.median(taken[on][kind]) / length for on in taken} for kind in (0, 1))
    return {
        "logger": loggers,
        "turns": sum(map(len, watch.taken.values())) - 4,
        "ms a step without": f"{wall[False]:.2f}",
        "with": f"{wall[True]:.2f}",
        "cost": f"{wall[True] / wall[False] - 1:+.1%}",
        "cpu ms without": f"{cpu[False]:.2f}",
        "cpu ms with": f"{cpu[True]:.2f}",
        "cpu cost": f"{cpu[True] / cpu[False] - 1:+.1%}",
    }


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loggers", nargs="+", default=["csv"], help="as logger=[…] takes them")
    parser.add_argument("--turns", type=int, default=24)
    parser.add_argument("--length", type=int, default=10, help="steps of a turn")
    parser.add_argument("typed", nargs="*", help="further overrides of train.py, such as model=tiny")
    options = parser.parse_args()
    os.environ.setdefault("WANDB_MODE", "offline")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    rows = [measured(loggers, options.typed, options.length, options.turns) for loggers in options.loggers]
    print(markdown([list(rows[0]), *([str(cell) for cell in row.values()] for row in rows)]))


if __name__ == "__main__":
    main()
