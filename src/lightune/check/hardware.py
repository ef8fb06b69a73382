"""What this machine cannot do."""

import warnings
from collections.abc import Iterator
from importlib.util import find_spec

from omegaconf import DictConfig

from lightune import machine
from lightune.check.rule import reads
from lightune.check.strategies import strategy_name
from lightune.errors import ConfigError

_START_RANKS = ("ddp", "fsdp", "deepspeed", "modelparallel", "sharded")  # by running the command again
_FP8 = "transformer-engine"  # Lightning's name for it


@reads("trainer")
def _device_exists(cfg: DictConfig) -> Iterator[ConfigError]:
    if cfg.trainer.accelerator in ("gpu", "cuda") and not machine.has_gpu():
        yield ConfigError(
            f"trainer.accelerator={cfg.trainer.accelerator}: this machine has no GPU",
            "type trainer=cpu or trainer=ddp_cpu",
        )


@reads("precision", "trainer")
def _precision_exists(cfg: DictConfig) -> Iterator[ConfigError]:
    on_cpu = cfg.trainer.accelerator == "cpu" or not machine.has_gpu()
    precision = str(cfg.trainer.precision)
    if precision.startswith(("16", _FP8)) and on_cpu:
        yield ConfigError(
            f"precision={precision} needs a GPU, and this run uses the CPU",
            "type precision=32, or precision=bf16-mixed where the CPU has bfloat16",
        )
    elif precision.startswith(_FP8) and find_spec("transformer_engine") is None:
        yield ConfigError(
            "precision=fp8: NVIDIA's package transformer-engine is missing", "install it, or type precision=bf16-mixed"
        )


@reads("peft", "trainer")
def _paging_needs_a_gpu(cfg: DictConfig) -> Iterator[ConfigError]:
    name = str(cfg.optimizer.get("_target_", "")).rpartition(".")[2]
    if name.startswith("Paged") and (cfg.trainer.accelerator == "cpu" or not machine.has_gpu()):
        yield ConfigError(
            f"optimizer: {name} moves its states out of a GPU's memory, and this run uses the CPU",
            "type optimizer=adamw, or optimizer=adamw_8bit for smaller states",
        )


def _one_process_tries_again(cfg: DictConfig) -> Iterator[ConfigError]:
    if cfg.trainer.get("auto_micro_batch") and _ranks(cfg):
        yield ConfigError(
            "trainer.auto_micro_batch=true: a process without memory leaves the others waiting, and cannot try again",
            "find the size that fits with trainer.devices=1 strategy=auto, or by plan=true",
        )
    elif cfg.trainer.get("auto_micro_batch") and cfg.data.tokens_per_batch:
        yield ConfigError(
            "trainer.auto_micro_batch=true: data.tokens_per_batch decides how large a batch is",
            "leave out one of them",
        )


def _ranks(cfg: DictConfig) -> str | None:
    """Return the name of a strategy of several processes, and None for another."""
    name = strategy_name(cfg)
    if name == "auto" and cfg.trainer.accelerator != "cpu" and cfg.trainer.devices != 1 and machine.gpu_count() > 1:
        return "ddp"  # what Lightning will choose
    return name if name.startswith(_START_RANKS) else None


def ranks_in_multirun(cfg: DictConfig) -> Iterator[ConfigError]:
    """Refuse several jobs inside one process where each rank would start all of them."""
    name = _ranks(cfg)
    if name and "spawn" not in name and "fork" not in name:
        yield ConfigError(
            "-m with DDP: each rank would run the whole multirun again and train other hyper-parameters",
            "type hydra/sweeper=lightune hydra/sweeper/sampler=grid for a process for each job, or trainer=cpu",
        )


def warn_of_slow_precision(cfg: DictConfig) -> None:
    """Warn where the CPU only emulates a precision."""
    on_cpu = cfg.trainer.accelerator == "cpu" or not machine.has_gpu()
    if str(cfg.trainer.precision).startswith("bf16") and on_cpu and not machine.cpu_has_bf16():
        warnings.warn(
            f"precision={cfg.trainer.precision}: this CPU only emulates bfloat16, which can be 20 times slower than "
            "precision=32",
            stacklevel=2,
        )


RULES = (_device_exists, _precision_exists, _paging_needs_a_gpu, _one_process_tries_again)
