"""From the configuration to Lightning's trainer: callbacks, loggers, strategy, devices."""

from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy
from omegaconf import DictConfig

from lightune import machine
from lightune.checkpoint import AtomicCheckpointIO
from lightune.commanded import method
from lightune.errors import ConfigError
from lightune.instantiate import build, plain
from lightune.keys import TRAINERS_OWN
from lightune.report import show
from lightune.report.guarded import guarded
from lightune.report.history import HistoryLogger

_PACKAGES = ("mlflow", "tensorboard", "wandb")  # which extras of the same name bring, for loggers of that name


def assembled_trainer(cfg: DictConfig, own: list[Callback], history: HistoryLogger, need: Collection[str]) -> Trainer:
    """Return the trainer with its callbacks, loggers, strategy and devices.

    Args:
        cfg: The whole, checked configuration.
        own: Callbacks that every run has.
        history: The logger behind history.csv.
        need: Splits that the run uses.
    """
    nodes = {name: node for name, node in (cfg.callbacks or {}).items() if node}
    if cfg.trainer.fast_dev_run:
        nodes = {name: node for name, node in nodes.items() if name not in ("best", "last")}
    callbacks = [build(node, f"callbacks.{name}") for name, node in nodes.items()]
    loggers: list[Logger] = [history] if "train" in need and "val" in need else []
    named = {name: _logger(cfg, name, node) for name, node in (cfg.logger or {}).items() if node}
    loggers += [guarded(logger, name) for name, logger in named.items() if not isinstance(logger, HistoryLogger)]
    torch.set_float32_matmul_precision(cfg.trainer.get("float32_matmul", "highest"))
    options = {**plain(cfg.trainer), "devices": _devices(cfg), "strategy": _strategy(cfg)}
    return build(
        {key: value for key, value in options.items() if key not in TRAINERS_OWN},
        "trainer",
        # The stopwatch comes first, so that saving is not counted as training; checkpoints are sorted last by
        # Lightning.
        callbacks=sorted([*own, *callbacks], key=lambda callback: not getattr(callback, "precedes_merging", False)),
        logger=loggers,
        plugins=[AtomicCheckpointIO()],
        default_root_dir=cfg.run_dir,
        use_distributed_sampler=False,  # the plan of batches shares them out
        enable_model_summary=False,
        enable_progress_bar="progress_bar" in nodes,
        enable_checkpointing=bool(nodes.keys() & {"best", "last"}),
    )


def _logger(cfg: DictConfig, name: str, node: DictConfig) -> Logger:
    if name in _PACKAGES and find_spec(name) is None:
        raise ConfigError(f"logger={name}: {name} is not installed", f"pip install 'lightune[{name}]'")
    content = plain(node)
    if name in ("wandb", "mlflow") and content.get("name") is None:
        fold = [] if cfg.data.get("fold") is None else [f"fold_{cfg.data.fold}"]
        content["name"] = "-".join([cfg.name, Path(cfg.model.path).name, method(cfg.peft), str(cfg.seed), *fold])
    return build(content, f"logger.{name}")


def _strategy(cfg: DictConfig) -> Any:
    """Return the strategy as configured; ``auto`` on several GPUs is DDP that leaves buffers alone."""
    strategy = plain(cfg.trainer.strategy)
    several = cfg.trainer.accelerator not in ("cpu",) and torch.cuda.device_count() > 1 and cfg.trainer.devices != 1
    # Lightning's own choice would broadcast buffers in every forward pass, and ranks may evaluate different
    # numbers of batches: the one with more would wait for ever.
    return DDPStrategy(broadcast_buffers=False) if strategy == "auto" and several else strategy


def _devices(cfg: DictConfig) -> Any:
    """Return the number of devices; DDP on a machine without GPUs gets two CPU processes, and says so."""
    strategy = plain(cfg.trainer.strategy)
    distributed = strategy not in ("auto", None)
    on_cpu = cfg.trainer.accelerator == "cpu" or not torch.cuda.is_available()
    if not (distributed and on_cpu and cfg.trainer.devices in ("auto", 2)):
        return cfg.trainer.devices
    if machine.is_first_process():
        show.note("No GPU in use: two CPU processes (gloo) run what several GPUs would.")
    return 2
