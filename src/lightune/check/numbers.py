"""Which numbers the configuration takes."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from lightune.errors import ConfigError
from lightune.keys import SPLITS
from lightune.numbers import is_number, is_whole

# What a number has to be, in words; the test; one that passes.
_Expected = tuple[str, Callable[[Any], bool], object]
_MULTIPLE = re.compile(r"(?!0+(\.0*)?x)\d+(\.\d+)?x")
_POSITIVE: _Expected = ("a whole number of at least 1", lambda v: is_whole(v) and v >= 1, 16)
_SWITCH: _Expected = ("true or false", lambda v: isinstance(v, bool), "true")
_OR_NULL: _Expected = ("null or a whole number of at least 1", lambda v: v is None or (is_whole(v) and v >= 1), 1000)
_NUMBERS: dict[str, _Expected] = {
    "seed": ("a whole number from 0 to 4294967295", lambda v: is_whole(v) and 0 <= v < 2**32, 42),
    "data.batch_size": _POSITIVE,
    "data.eval_batch_size": _POSITIVE,
    "data.max_length": ("a whole number of at least 8", lambda v: is_whole(v) and v >= 8, 384),
    "data.num_workers": ("a whole number of at least 0", lambda v: is_whole(v) and v >= 0, 0),
    "data.tokens_per_batch": _OR_NULL,
    "data.epoch_size": _POSITIVE,
    "data.shuffle_buffer": _POSITIVE,
    "data.folds": ("null or a whole number of at least 2", lambda v: v is None or (is_whole(v) and v >= 2), 5),
    "data.fold": ("null or a whole number of at least 1", lambda v: v is None or (is_whole(v) and v >= 1), 1),
    "data.balanced": _SWITCH,
    "data.packing": _SWITCH,
    "data.pad_to_multiple_of": _OR_NULL,
    **{f"data.limit.{split}": _OR_NULL for split in SPLITS},
    **{
        f"data.sample.{split}": (
            "null, a share below 1 (0.1) or a whole number of at least 1",
            lambda v: v is None or (is_number(v) and v > 0 and (is_whole(v) or v < 1)),
            0.1,
        )
        for split in SPLITS
    },
    "task.label_smoothing": ("a share from 0 to 1", lambda v: is_number(v) and 0 <= v <= 1, 0.1),
    "task.focal_gamma": ("a number of at least 0", lambda v: is_number(v) and v >= 0, 2.0),
    "task.r_drop": ("a number of at least 0", lambda v: is_number(v) and v >= 0, 1.0),
    "model.gradient_checkpointing": _SWITCH,
    "model.compile": _SWITCH,
    "peft.features_gib": ("a number of at least 0", lambda v: is_number(v) and v >= 0, 2),
    "check": _SWITCH,
    "plan": _SWITCH,
    "plots": _SWITCH,
    "merge": _SWITCH,
    "combine.density": ("a share above 0, up to 1", lambda v: is_number(v) and 0 < v <= 1, 0.5),
    "combine.weights": (
        "null or a list of numbers",
        lambda v: v is None or (isinstance(v, ListConfig) and all(map(is_number, v))),
        "[0.5,0.5]",
    ),
    "optimizer.lr": ("a number above 0", lambda v: is_number(v) and v > 0, "1e-4"),
    "optimizer.head_lr": (
        "null, a number above 0, or a multiple of optimizer.lr",
        lambda v: v is None or (is_number(v) and v > 0) or (isinstance(v, str) and bool(_MULTIPLE.fullmatch(v))),
        "10x",
    ),
    "optimizer.weight_decay": ("a number of at least 0", lambda v: is_number(v) and v >= 0, 0.01),
    "trainer.accumulate_grad_batches": _POSITIVE,
    "trainer.auto_micro_batch": _SWITCH,
    "trainer.max_epochs": (
        "null, -1 or a whole number of at least 0",
        lambda v: v in (None, -1) or (is_whole(v) and v >= 0),
        3,
    ),
    "trainer.max_steps": ("-1 or a whole number of at least 1", lambda v: v == -1 or (is_whole(v) and v >= 1), 1000),
    "trainer.gradient_clip_val": (
        "null or a number of at least 0",
        lambda v: v is None or (is_number(v) and v >= 0),
        1.0,
    ),
    "scheduler.warmup": (
        "a share below 1 (0.1) or a whole number of steps (100)",
        lambda v: is_number(v) and v >= 0 and (is_whole(v) or v < 1),
        0.1,
    ),
}


def ranges(cfg: DictConfig) -> Iterator[ConfigError]:
    """Refuse a number that is none, or is out of range."""
    absent = object()
    for key, (expected, holds, example) in _NUMBERS.items():
        value = OmegaConf.select(cfg, key, default=absent)
        if value is not absent and not holds(value):
            yield ConfigError(f"{key}={value}: expected {expected}", f"type for instance {key}={example}")
