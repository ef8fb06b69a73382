"""Folds of a cross-validation: train and val put together, and cut into equal parts."""

from collections.abc import Callable, Mapping

from lightune.data.splits import Bins, Keys, ordered, strata, units_of
from lightune.data.table import Table, concatenate
from lightune.errors import DataError


def fold(
    tables: Mapping[str, Table],
    number: int,
    count: int,
    seed: int,
    stratify: Callable[[Table], Keys | None] | None = None,
    group: Callable[[Table], Keys | None] | None = None,
) -> dict[str, Table]:
    """Put train and val together and cut them anew: val is one of several folds, train all others.

    Every row lies in exactly one fold. The counts of a label in two folds differ by one row at most, and so do the
    sizes of two folds; with groups, which stay whole, as little as dealing out the largest first can make them.

    Args:
        tables: The splits; others than train and val stay as they are.
        number: The fold that becomes val, counted from 1.
        count: How many folds there are.
        seed: Chooses the rows.
        stratify: Returns a label per row, or None.
        group: Returns a key per row, or None; rows with equal keys stay together.

    Raises:
        DataError: There are fewer rows, or groups, than folds.
    """
    pool = pooled(tables)
    keys = group(pool) if group else None
    units = units_of(range(len(pool)) if keys is None else keys, seed)
    refuse_few(pool, len(units), count, "rows" if keys is None else "groups of rows that belong together")
    bins = _deal_folds(units, (stratify(pool) if stratify else None) or [None] * len(pool), count)
    val = {row for unit in bins[number - 1] for row in unit}
    parts = {"train": pool.take(row for row in range(len(pool)) if row not in val), "val": pool.take(sorted(val))}
    return ordered({**tables, **parts})


def pooled(tables: Mapping[str, Table]) -> Table:
    """Return train and val as one table: what folds are cut from."""
    return concatenate([tables[name] for name in ("train", "val") if name in tables])


def refuse_few(pool: Table, units: int, folds: int, what: str) -> None:
    """Raise DataError where there are fewer rows, or groups of them, than folds.

    Args:
        pool: What is cut.
        units: How many of them there are.
        folds: How many folds it is cut into.
        what: What one of them is called.
    """
    if units < folds:
        raise DataError(
            f"data.folds={folds}: of {what} there {'is' if units == 1 else 'are'} {units} in {pool.origin}",
            f"type data.folds={max(units, 2)} or less, or give more data",
        )


def _deal_folds(units: list[list[int]], labels: Keys, count: int) -> Bins:
    """Deal units, label by label and the largest first, each to the fold that has fewest rows of that label.

    Where folds have equally few, the smallest fold gets it: `GroupKFold` and `StratifiedKFold` of scikit-learn in one.
    """
    bins: Bins = [[] for _ in range(count)]
    total = [0] * count
    for stratum in strata(units, list(labels)):
        own = [0] * count
        for unit in sorted(stratum, key=len, reverse=True):
            chosen = min(range(count), key=lambda i: (own[i], total[i]))
            bins[chosen].append(unit)
            own[chosen] += len(unit)
            total[chosen] += len(unit)
    return bins
