"""From a source's rows to the examples of each split, as the task reads them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig

from lightune.data.augmentation import Augmentation
from lightune.data.filters import filtered
from lightune.data.folds import fold, pooled
from lightune.data.sampling import sampled
from lightune.data.sources import Source, Stream
from lightune.data.splits import SPLITS, complete
from lightune.data.streaming import Rows
from lightune.data.table import Table
from lightune.errors import ConfigError
from lightune.instantiate import build, plain
from lightune.tasks.base import Task

STREAMED = "data.train (streamed)"  # what messages call the rows of a stream
_LOOKED_AT = 10_000  # rows of a stream that are looked at for labels


@dataclass(frozen=True)
class Examples:
    """What is trained on and evaluated.

    Args:
        task: With its labels.
        tables: Canonical rows of the needed splits.
        labelled: Splits whose rows have targets.
        rows: The rows to train on where these are read as they are needed; train is not among the tables then.
    """

    task: Task
    tables: Mapping[str, Table]
    labelled: Collection[str]
    rows: Rows | None = None


def read_examples(cfg: DictConfig, need: Collection[str]) -> Examples:
    """Return the examples of the needed splits.

    Raises:
        UserError: The first thing that is wrong with the data.
    """
    task: Task = build(cfg.task, "task")
    source: Source = build(cfg.data.source, "data.source")
    filters = plain(cfg.data.get("filter")) or {}
    rows = source.rows(cfg.seed) if isinstance(source, Stream) and "train" in need else None
    need = set(need) - ({"train"} if rows else set())
    folds = cfg.data.get("folds") if need & {"train", "val"} else None
    read = need | {"train", "val"} if folds else need  # both of which folds are cut from
    given = {split: filtered(table, filters) for split, table in source.load(read).items()}
    to_predict = {} if rows or "train" in need else _to_predict(task, given)
    tables = {split: task.read(table) for split, table in {**given, **to_predict}.items()}
    keys: dict[str, Any] = {
        "stratify": lambda table: _keys(task.stratum, table),
        "group": lambda table: _keys(task.group, table),
    }
    tables = complete(tables, cfg.seed, dict(cfg.data.split), **keys, need=read)
    if folds:
        task = _with_labels_of(task, pooled(tables))
        tables = fold(tables, cfg.data.get("fold") or 1, folds, cfg.seed, **keys)
    if rows:
        task = task.with_labels(task.read(_first(rows, filters)))
    elif "train" in tables:
        task = task.with_labels(tables["train"])
    chosen = {split: _part(cfg, task, split, tables[split]) for split in SPLITS if split in need}
    for table in chosen.values():
        task.check_labels(table)
    if "train" in chosen and cfg.data.get("augment"):
        chosen["train"] = _augmented(cfg, task, chosen["train"])
    return Examples(task, chosen, set(chosen) - set(to_predict), rows)


def _first(rows: Rows, filters: Mapping[str, Any]) -> Table:
    """Return the first rows of a stream: labels are taken from them."""
    return filtered(Table(list(islice(rows(0), _LOOKED_AT)), STREAMED), filters)


def _with_labels_of(task: Task, pool: Table) -> Task:
    """Return the task with the labels of all folds: each fold's run has the same ones, in the same order."""
    labels = getattr(task.with_labels(pool), "labels", None)
    return cast(Task, replace(cast(Any, task), labels=labels)) if labels else task


def _to_predict(task: Task, tables: Mapping[str, Table]) -> dict[str, Table]:
    """Return the splits none of whose rows has its targets, with stand-ins for them."""
    filled = {split: [task.stand_ins(row) for row in table.rows] for split, table in tables.items()}
    return {
        split: replace(table, rows=[{**row, **given} for row, given in zip(table.rows, filled[split], strict=True)])
        for split, table in tables.items()
        if all(filled[split])
    }


def _keys(key: Callable[[dict[str, Any]], Any], table: Table) -> list[Any] | None:
    keys = [key(row) for row in table.rows]
    return None if all(k is None for k in keys) else keys


def _part(cfg: DictConfig, task: Task, split: str, table: Table) -> Table:
    """Return the rows of a split that are used: a random part, the first so many, or all."""
    size, limit = ((cfg.data.get(key) or {}).get(split) for key in ("sample", "limit"))
    if size is not None:
        table = sampled(table, size, cfg.seed, _keys(task.stratum, table))
    return table if limit is None else table.take(range(min(limit, len(table))))


def _augmented(cfg: DictConfig, task: Task, train: Table) -> Table:
    if not task.augmentable:
        raise ConfigError(
            f"data.augment: task={task.name} has no texts that may be altered: its targets stand in them",
            "type data.augment=null",
        )
    cache = Path(cfg.paths.cache).expanduser()
    return Augmentation.of(plain(cfg.data.augment)).copies_of(train, task.augmentable, cfg.seed, cache)
