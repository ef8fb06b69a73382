"""What may not be combined under ``data``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from lightune.data import filters
from lightune.data.augmentation import Augmentation
from lightune.errors import ConfigError, nearest
from lightune.instantiate import plain
from lightune.keys import SPLITS
from lightune.numbers import is_number


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
        if not (is_number(weight) and weight > 0):
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
    "data.folds": None,
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
    if not all(map(is_number, shares)) or abs(sum(shares) - 1) > 1e-6 or min(shares) <= 0:
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
    """Return the splits whose files are read: an evaluation opens no other where its own is given, an export none."""
    if "merge" in cfg:
        return ()
    split = cfg.get("split")
    return (split,) if split and OmegaConf.select(cfg, f"data.source.{split}") is not None else SPLITS


def _paths(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, (list, ListConfig)) else [str(value)]


def _files_named(cfg: DictConfig) -> Iterator[ConfigError]:
    source = cfg.data.get("source", {})
    evaluates = cfg.get("checkpoint") is not None
    if _is_of(cfg, "Files") and source.train is None and "merge" not in cfg:
        if not evaluates:
            yield ConfigError("data.train: no training file was named", "type data.train=<file>")
        elif all(source.get(split) is None for split in ("val", "test")):
            yield ConfigError("data.test: no file was named", "type data.test=<file>")


def _split_exists(cfg: DictConfig) -> Iterator[ConfigError]:
    split = cfg.get("split", "test")
    if split not in SPLITS:
        yield ConfigError(f"split={split}: there is no such split", nearest(split, SPLITS))


RULES = (
    _balanced_batches,
    _weights_of_parts,
    _rows_are_chosen,
    _stream_has_no_end,
    _split_fractions,
    _split_exists,
    _files_named,
    _files_exist,
)
