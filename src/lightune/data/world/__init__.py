"""The built-in corpus: a small invented world, told in passages from which each task's examples are derived."""

import random
from copy import deepcopy
from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from lightune.data.world.examples import Example, unique
from lightune.errors import ConfigError, nearest

ROOM = "lightune.data.world.derive"


def tasks() -> list[str]:
    """Return the tasks for which the corpus has examples: the modules of `derive`."""
    return sorted(module.name for module in iter_modules(import_module(ROOM).__path__))


def generate(task: str, seed: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Generate a task's examples.

    Args:
        task: Name of the task.
        seed: Decides the world: which names belong to which split, the facts, and what is told of them.

    Returns:
        Rows by split ("train", "val", "test"), each with a stable ``id``. No entity and no template belongs to two
        splits. Equal arguments give equal rows.

    Raises:
        ConfigError: The corpus has no such task.
    """
    return {
        split: [{"id": f"{task}-{split}-{i:04d}", **deepcopy(example.row)} for i, example in enumerate(examples)]
        for split, examples in trace(task, seed).items()
    }


@lru_cache(maxsize=8)
def trace(task: str, seed: int = 0) -> dict[str, list[Example]]:
    """Generate a task's examples with their provenance.

    Args:
        task: Name of the task.
        seed: As for `generate`.

    Returns:
        Examples by split, in the order of `generate`'s rows; each knows the entities and templates it was made of.

    Raises:
        ConfigError: The corpus has no such task.
    """
    if task not in tasks():
        raise ConfigError(f"the built-in corpus has no examples for task={task!r}", nearest(task, tasks()))
    from lightune.data.world.facts import build

    module = import_module(f"{ROOM}.{task}")
    worlds = build(seed)
    return {
        split: unique(module.examples(worlds[split], random.Random(f"{seed}:{split}:{task}")), size)
        for split, size in module.SIZES.items()
    }
