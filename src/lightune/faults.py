"""What ends a training from outside the mathematics: no memory left, a loader process that died."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning import Trainer
from lightning.pytorch.utilities.memory import is_oom_error
from omegaconf import DictConfig, OmegaConf

from lightune import overrides
from lightune.errors import TrainingError, loader_process_died
from lightune.instantiate import as_config, plain
from lightune.numbers import is_whole

_MICRO_BATCHES = ("limit_train_batches", "val_check_interval")  # count them, where they are whole numbers
_EVALUATIONS = ("validation_step", "test_step")


class OutOfMemoryError(TrainingError):
    """A step of the training wanted more memory than there is."""


@contextmanager
def told(cfg: DictConfig, trainer: Trainer) -> Iterator[None]:
    """Say of a fault what it means for the run, and what to type.

    Args:
        cfg: The run's configuration.
        trainer: Lightning's.

    Raises:
        OutOfMemoryError: In a training step.
        TrainingError: In an evaluation; or a loader process died.
    """
    try:
        yield
    except Exception as error:
        if is_oom_error(error):
            raise _out_of_memory(error, cfg, trainer) from error
        if died := loader_process_died(error):
            raise TrainingError(
                f"step {trainer.global_step + 1}: {str(died).splitlines()[0]} Perhaps there was no memory left for it",
                f"type {_going_on(cfg)}data.num_workers=0",
            ) from error
        raise


def _out_of_memory(error: Exception, cfg: DictConfig, trainer: Trainer) -> TrainingError:
    where = "main memory" if trainer.strategy.root_device.type == "cpu" else "memory of the GPU"
    evaluates = any(frame.f_code.co_name in _EVALUATIONS for frame, _ in traceback.walk_tb(error.__traceback__))
    size = cfg.data.eval_batch_size if evaluates else cfg.data.batch_size
    batch = f"{cfg.data.tokens_per_batch:,} tokens" if cfg.data.tokens_per_batch else f"{size} features"
    problem = f"step {trainer.global_step + 1}: the {where} has no room for a batch of {batch}"
    if cfg.data.tokens_per_batch:
        return TrainingError(problem, f"type {_going_on(cfg)}data.tokens_per_batch={cfg.data.tokens_per_batch // 2}")
    if evaluates:
        return TrainingError(problem, f"type {_going_on(cfg)}data.eval_batch_size={max(size // 2, 1)}")
    fewer = f"{' '.join(changes(cfg))}, which takes the same steps" if size > 1 else "data.max_length=…, a smaller one"
    return OutOfMemoryError(problem, f"type {_going_on(cfg)}{fewer}; or model.gradient_checkpointing=true")


def _going_on(cfg: DictConfig) -> str:
    """Return what goes on with the run, where something of it was kept."""
    there = (Path(cfg.run_dir) / "checkpoints" / "last.ckpt").exists()
    return f"{overrides.word('resume', cfg.run_dir)} " if there else ""


def changes(cfg: DictConfig) -> list[str]:
    """Return the overrides that make the steps of a run out of smaller micro-batches, at most half as large."""
    step = cfg.data.batch_size * cfg.trainer.accumulate_grad_batches
    size = next(size for size in range(cfg.data.batch_size // 2, 0, -1) if step % size == 0)
    more = cfg.data.batch_size / size
    counted = {key: cfg.trainer[key] for key in _MICRO_BATCHES if is_whole(cfg.trainer[key])}
    return [
        f"data.batch_size={size}",
        f"trainer.accumulate_grad_batches={step // size}",
        *(f"trainer.{key}={round(value * more)}" for key, value in counted.items()),
    ]


def smaller(cfg: DictConfig) -> DictConfig:
    """Return the configuration with `changes`."""
    changed = as_config(plain(cfg))
    for change in changes(cfg):
        key, _, value = change.partition("=")
        OmegaConf.update(changed, key, int(value))
    return changed
