"""The keys of the configuration: which are read at all, which have no value yet, which refer to which."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lightune.errors import ConfigError, nearest

RATES = ("head_lr", "layer_decay")  # of the optimiser's keys those that go into groups of parameters
TRAINERS_OWN = ("float32_matmul", "auto_micro_batch")  # keys of the trainer that are not Lightning's
SPLITS = ("train", "val", "test")
# What is read of each place whose node is not the argument list of a class: those are compared with its signature.
KEYS = {
    "": frozenset(
        "paths task data model tokenizer quantization peft optimizer scheduler trainer callbacks logger name headline "
        "objective run_dir seed seeds resume reproduce trust checkpoint split adapter merge combine output check "
        "plan plots".split()
    ),
    "paths": frozenset(("runs", "cache")),
    "data": frozenset(
        "source split epochs max_length batch_size eval_batch_size tokens_per_batch balanced num_workers "
        "pad_to_multiple_of limit packing filter sample augment weights folds fold "
        "epoch_size".split()
    ),
    "data.limit": frozenset(SPLITS),
    "data.sample": frozenset(SPLITS),
    "data.split": frozenset(SPLITS),
}


def unknown(cfg: DictConfig) -> Iterator[ConfigError]:
    """Yield an error for each key that nothing reads.

    A ``+key=value``, or a key in a file of one's own, adds whatever it names.
    """
    used = referred(OmegaConf.to_container(cfg, resolve=False)) | {f"data.{key}" for key in cfg.data.source}
    for place, known in KEYS.items():
        prefix = f"{place}." if place else ""
        node = OmegaConf.select(cfg, place) if place else cfg
        if not isinstance(node, DictConfig):
            example = "train" if "train" in known else min(known)
            yield ConfigError(f"{place}={node}: expected named values", f"type {prefix}{example}=…")
            continue
        for key in map(str, node):
            if key not in known and f"{prefix}{key}" not in used:
                yield ConfigError(f"{prefix}{key}: nothing reads a key of that name", nearest(key, known))


def referred(node: Any) -> set[str]:
    """Return the places that interpolations inside an unresolved node may refer to: ``${data.path}`` gives data.path.

    Args:
        node: Plain data whose interpolations are not resolved.
    """
    if isinstance(node, Mapping):
        node = list(node.values())
    if isinstance(node, list):
        return set().union(*map(referred, node))
    return (
        {name.strip(".") for name in re.findall(r"[\w.]+", node)} if isinstance(node, str) and "${" in node else set()
    )


def missing(cfg: DictConfig) -> Iterator[ConfigError]:
    """Yield an error for each key that still needs a value."""
    for key in _without_value(OmegaConf.to_container(cfg, resolve=False), ""):
        yield ConfigError(f"{key}: a value is needed", f"type {key}=…")


def _without_value(node: Any, place: str) -> Iterator[str]:
    """Yield the place of every ``???``."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _without_value(value, f"{place}.{key}" if place else str(key))
    elif node == "???":
        yield place
