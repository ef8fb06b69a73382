"""What may not be combined, and why. Needs no torch, so that a refusal comes in a fraction of a second.

Each rule is a generator over the composed configuration that yields one error for each thing it finds; the first is
raised. What only the model's own files can tell (its architecture where the configuration leaves it open, its module
names) is checked in the assembly room before weights are loaded.
"""

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from lightune import keys, machine
from lightune.data import filters
from lightune.data.augmentation import Augmentation
from lightune.errors import ConfigError, nearest
from lightune.instantiate import plain
from lightune.keys import SPLITS

Rule = Callable[[DictConfig], Iterator[ConfigError]]


_OFFLINE = {"encoder": "minilm", "decoder": "smollm2", "encoder-decoder": "minilm-seq2seq"}  # backbones by kind


def check(cfg: DictConfig, multirun: bool = False) -> None:
    """Refuse a configuration that cannot work.

    Args:
        cfg: The composed configuration.
        multirun: Whether Hydra runs several jobs inside this process.

    Raises:
        ConfigError: The first thing that is wrong, with what to type instead.
    """
    for rule in RULES:
        for error in rule(cfg):
            raise error
    if multirun:
        check_multirun(cfg)
    _warn_of_slow_precision(cfg)


def check_multirun(cfg: DictConfig) -> None:
    """Refuse what cannot be done by several jobs inside one process.

    Args:
        cfg: The configuration of one job, or what all of them share.

    Raises:
        ConfigError: Each rank of a distributed job would start the whole multirun again.
    """
    for error in _ranks_in_multirun(cfg):
        raise error


def architecture_error(task: str, takes: Iterable[str] | None, architecture: str | None) -> ConfigError | None:
    """Return why a task cannot use an architecture; None where it can, or either side does not say."""
    if takes is None or architecture is None or architecture in takes:
        return None
    article = "a" if architecture == "decoder" else "an"
    examples = " or ".join(f"model={_OFFLINE[kind]} ({kind})" for kind in takes if kind in _OFFLINE)
    return ConfigError(
        f"task={task} does not work on {article} {architecture} model: it needs one of {', '.join(takes)}",
        f"choose another backbone, e.g. {examples}",
    )


def _new_embeddings_are_trained(cfg: DictConfig) -> Iterator[ConfigError]:
    if cfg.get("tokenizer") and not str(cfg.peft.get("_target_", "")).endswith(".Full"):
        yield ConfigError(
            "tokenizer=train: all embeddings start anew, and an adapter would leave them as they are",
            "type peft=full",
        )


def _task_fits_model(cfg: DictConfig) -> Iterator[ConfigError]:
    error = architecture_error(cfg.task.name, cfg.task.get("architectures"), cfg.model.architecture)
    if error:
        yield error


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# What a number has to be, in words; the test; one that passes.
_Expected = tuple[str, Callable[[Any], bool], object]
_MULTIPLE = re.compile(r"(?!0+(\.0*)?x)\d+(\.\d+)?x")
_POSITIVE: _Expected = ("a whole number of at least 1", lambda v: _whole(v) and v >= 1, 16)
_SWITCH: _Expected = ("true or false", lambda v: isinstance(v, bool), "true")
_OR_NULL: _Expected = ("null or a whole number of at least 1", lambda v: v is None or (_whole(v) and v >= 1), 1000)
_NUMBERS: dict[str, _Expected] = {
    "seed": ("a whole number from 0 to 4294967295", lambda v: _whole(v) and 0 <= v < 2**32, 42),
    "data.batch_size": _POSITIVE,
    "data.eval_batch_size": _POSITIVE,
    "data.max_length": ("a whole number of at least 8", lambda v: _whole(v) and v >= 8, 384),
    "data.num_workers": ("a whole number of at least 0", lambda v: _whole(v) and v >= 0, 0),
    "data.tokens_per_batch": _OR_NULL,
    "data.epoch_size": _POSITIVE,
    "data.shuffle_buffer": _POSITIVE,
    "data.balanced": _SWITCH,
    "data.packing": _SWITCH,
    "data.pad_to_multiple_of": _OR_NULL,
    **{f"data.limit.{split}": _OR_NULL for split in SPLITS},
    **{
        f"data.sample.{split}": (
            "null, a share below 1 (0.1) or a whole number of at least 1",
            lambda v: v is None or (_number(v) and v > 0 and (_whole(v) or v < 1)),
            0.1,
        )
        for split in SPLITS
    },
    "optimizer.lr": ("a number above 0", lambda v: _number(v) and v > 0, "1e-4"),
    "optimizer.head_lr": (
        "null, a number above 0, or a multiple of optimizer.lr",
        lambda v: v is None or (_number(v) and v > 0) or (isinstance(v, str) and bool(_MULTIPLE.fullmatch(v))),
        "10x",
    ),
    "optimizer.weight_decay": ("a number of at least 0", lambda v: _number(v) and v >= 0, 0.01),
    "trainer.accumulate_grad_batches": _POSITIVE,
    "trainer.max_epochs": (
        "null, -1 or a whole number of at least 0",
        lambda v: v in (None, -1) or (_whole(v) and v >= 0),
        3,
    ),
    "trainer.max_steps": ("-1 or a whole number of at least 1", lambda v: v == -1 or (_whole(v) and v >= 1), 1000),
    "trainer.gradient_clip_val": (
        "null or a number of at least 0",
        lambda v: v is None or (_number(v) and v >= 0),
        1.0,
    ),
    "scheduler.warmup": (
        "a share below 1 (0.1) or a whole number of steps (100)",
        lambda v: _number(v) and v >= 0 and (_whole(v) or v < 1),
        0.1,
    ),
}


def _number_ranges(cfg: DictConfig) -> Iterator[ConfigError]:
    absent = object()
    for key, (expected, holds, example) in _NUMBERS.items():
        value = OmegaConf.select(cfg, key, default=absent)
        if value is not absent and not holds(value):
            yield ConfigError(f"{key}={value}: expected {expected}", f"type for instance {key}={example}")


def _has_a_folder(cfg: DictConfig) -> Iterator[ConfigError]:
    if cfg.run_dir is None and "checkpoint" not in cfg:
        yield ConfigError("run_dir=null: a run needs a folder", "type run_dir=<folder>, or leave it out")


def _resumes_nothing(cfg: DictConfig) -> Iterator[ConfigError]:
    if "checkpoint" in cfg and cfg.resume is not None:
        yield ConfigError(f"resume={cfg.resume}: an evaluation resumes nothing", "leave it out, or use train.py")


def _ends_somewhere(cfg: DictConfig) -> Iterator[ConfigError]:
    if cfg.trainer.max_epochs in (None, -1) and cfg.trainer.max_steps == -1:
        yield ConfigError("training would never end", "type trainer.max_epochs=3 or trainer.max_steps=1000")


def _balanced_batches(cfg: DictConfig) -> Iterator[ConfigError]:
    if cfg.data.get("balanced") and cfg.data.tokens_per_batch is not None:
        yield ConfigError(
            "data.balanced=true does not go with data.tokens_per_batch: a budget's batches hold every feature once",
            "type data.tokens_per_batch=null data.batch_size=16, or data.balanced=false",
        )


def _weights_of_parts(cfg: DictConfig) -> Iterator[ConfigError]:
    weights = cfg.data.get("weights")
    if weights is None:
        return
    parts = list(OmegaConf.select(cfg, "data.parts", default={}))
    example = "'data.weights={" + ", ".join(f"{part}: 1" for part in parts) + "}'"
    if not isinstance(weights, DictConfig):
        yield ConfigError(f"data.weights={weights}: expected a number for each part", f"type {example}")
        return
    for name, weight in ((str(key), value) for key, value in weights.items()):
        if name not in parts:
            yield ConfigError(f"data.weights.{name}: data.parts has no such part", nearest(name, parts))
        if not (_number(weight) and weight > 0):
            yield ConfigError(f"data.weights.{name}={weight}: expected a number above 0", f"type {example}")
    for part in parts:
        if part not in weights:
            yield ConfigError(f"data.weights: part {part} has no weight", f"type +data.weights.{part}=1")
    if cfg.data.get("balanced"):
        yield ConfigError("data.weights does not go with data.balanced=true", "type data.balanced=false")
    if cfg.data.tokens_per_batch is not None:
        yield ConfigError(
            "data.weights does not go with data.tokens_per_batch: a budget's batches hold every feature once",
            "type data.tokens_per_batch=null data.batch_size=16, or data.weights=null",
        )


# What a stream cannot do, since it would have to be read to its end before the first step.
_WHOLE = {
    "data.packing": False,
    "data.balanced": False,
    "data.tokens_per_batch": None,
    "data.sample.train": None,
    "data.limit.train": None,
    "data.augment": None,
}


def _stream_has_no_end(cfg: DictConfig) -> Iterator[ConfigError]:
    if not _is_of(cfg, "Stream"):
        return
    if cfg.data.get("train") is None and cfg.data.get("path") is None:
        yield ConfigError(
            "data=streaming: nothing to train on was named", "type data.train=<files> or data.path=<name>"
        )
    for key, without in _WHOLE.items():
        if OmegaConf.select(cfg, key) != without:
            yield ConfigError(
                f"{key} does not go with data=streaming: all rows would have to be read before the first step",
                f"type {key}={'null' if without is None else str(without).lower()}",
            )


def _rows_are_chosen(cfg: DictConfig) -> Iterator[ConfigError]:
    """Let filters and augmentation say what is wrong with their settings before any row is read."""
    chosen = plain(cfg.data.get("filter"))
    if chosen is not None and not isinstance(chosen, dict):
        yield ConfigError(f"data.filter={chosen}: expected columns", "type 'data.filter={lang: en}'")
        return
    try:
        filters.parse(chosen or {})
        if cfg.data.get("augment") is not None:
            Augmentation.of(plain(cfg.data.augment))
    except ConfigError as error:
        yield error


def _split_fractions(cfg: DictConfig) -> Iterator[ConfigError]:
    shares = [cfg.data.split.get(split) for split in SPLITS]
    if not all(map(_number, shares)) or abs(sum(shares) - 1) > 1e-6 or min(shares) <= 0:
        yield ConfigError(
            f"data.split={dict(cfg.data.split)}: the shares of train, val and test must each be above 0 and sum to 1",
            "type data.split.train=0.8 data.split.val=0.1 data.split.test=0.1",
        )


def _files_exist(cfg: DictConfig) -> Iterator[ConfigError]:
    if not _is_of(cfg, "Files", "Stream"):  # what others call train may be a query
        return
    for split in _read_splits(cfg):
        for name in _paths(OmegaConf.select(cfg, f"data.source.{split}")):
            path = Path(name).expanduser()
            if not path.exists() and not any(mark in name for mark in "*?["):
                folder = path.parent if path.parent.is_dir() else Path()
                remedy = f"in {folder}/, {nearest(path.name, (entry.name for entry in folder.iterdir()))}"
                yield ConfigError(f"data.{split}={name}: there is no such file", remedy)


def _is_of(cfg: DictConfig, *sources: str) -> bool:
    return str(cfg.data.get("source", {}).get("_target_", "")).rpartition(".")[2] in sources


def _read_splits(cfg: DictConfig) -> tuple[str, ...]:
    """Return the splits whose files are read: an evaluation opens no other where its own is given."""
    split = cfg.get("split")
    return (split,) if split and OmegaConf.select(cfg, f"data.source.{split}") is not None else SPLITS


def _paths(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, (list, ListConfig)) else [str(value)]


def _files_named(cfg: DictConfig) -> Iterator[ConfigError]:
    source = cfg.data.get("source", {})
    evaluates = cfg.get("checkpoint") is not None
    if _is_of(cfg, "Files") and source.train is None:
        if not evaluates:
            yield ConfigError("data.train: no training file was named", "type data.train=<file>")
        elif all(source.get(split) is None for split in ("val", "test")):
            yield ConfigError("data.test: no file was named", "type data.test=<file>")


def _split_exists(cfg: DictConfig) -> Iterator[ConfigError]:
    split = cfg.get("split", "test")
    if split not in SPLITS:
        yield ConfigError(f"split={split}: there is no such split", nearest(split, SPLITS))


def _device_exists(cfg: DictConfig) -> Iterator[ConfigError]:
    if cfg.trainer.accelerator in ("gpu", "cuda") and not machine.has_gpu():
        yield ConfigError(
            f"trainer.accelerator={cfg.trainer.accelerator}: this machine has no GPU",
            "type trainer=cpu or trainer=ddp_cpu",
        )


def _precision_exists(cfg: DictConfig) -> Iterator[ConfigError]:
    on_cpu = cfg.trainer.accelerator == "cpu" or not machine.has_gpu()
    if str(cfg.trainer.precision).startswith("16") and on_cpu:
        yield ConfigError(
            f"precision={cfg.trainer.precision} needs a GPU, and this run uses the CPU",
            "type precision=32, or precision=bf16-mixed where the CPU has bfloat16",
        )


def _strategy_name(cfg: DictConfig) -> str:
    strategy = cfg.trainer.strategy
    named = strategy.get("_target_", "") if isinstance(strategy, DictConfig) else strategy
    return str(named).rpartition(".")[2].lower()


def _ranks_in_multirun(cfg: DictConfig) -> Iterator[ConfigError]:
    name = _strategy_name(cfg)
    if name == "auto" and cfg.trainer.accelerator != "cpu" and cfg.trainer.devices != 1 and machine.gpu_count() > 1:
        name = "ddp"  # what Lightning will choose
    if name.startswith(("ddp", "fsdp", "deepspeed")) and "spawn" not in name and "fork" not in name:
        yield ConfigError(
            "-m with DDP: each rank would run the whole multirun again and train other hyper-parameters",
            "run the jobs one by one without -m, or type trainer=gpu or trainer=cpu",
        )


def _warn_of_slow_precision(cfg: DictConfig) -> None:
    on_cpu = cfg.trainer.accelerator == "cpu" or not machine.has_gpu()
    if str(cfg.trainer.precision).startswith("bf16") and on_cpu and not machine.cpu_has_bf16():
        warnings.warn(
            f"precision={cfg.trainer.precision}: this CPU only emulates bfloat16, which can be 20 times slower than "
            "precision=32",
            stacklevel=2,
        )


RULES: tuple[Rule, ...] = (
    keys.unknown,
    keys.missing,
    _number_ranges,
    _has_a_folder,
    _resumes_nothing,
    _ends_somewhere,
    _balanced_batches,
    _weights_of_parts,
    _rows_are_chosen,
    _stream_has_no_end,
    _split_fractions,
    _split_exists,
    _files_named,
    _files_exist,
    _task_fits_model,
    _new_embeddings_are_trained,
    _device_exists,
    _precision_exists,
)
