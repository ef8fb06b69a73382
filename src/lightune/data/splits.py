"""Cutting a table into splits: the same rows for the same seed, on every machine and in every process.

Rows are put in an order given by a hash of seed and position, which no library version and no
``PYTHONHASHSEED`` can change, and dealt out by exact fractions.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType

from lightune.data.table import Table
from lightune.errors import ConfigError, DataError, nearest

SPLITS = ("train", "val", "test")
FRACTIONS: Mapping[str, float] = MappingProxyType({"train": 0.8, "val": 0.1, "test": 0.1})
EXAMPLE = "{train: 0.8, val: 0.1, test: 0.1}"

Bins = list[list[list[int]]]  # per split (or label), its units; a unit is the rows that stay together
Keys = Sequence[Hashable]


def cut(
    table: Table,
    fractions: Mapping[str, float],
    seed: int,
    stratify: Keys | None = None,
    group: Keys | None = None,
) -> dict[str, Table]:
    """Cut a table into disjoint splits that together hold every row, each in the table's order.

    Every split gets something. With ``stratify``, each label's count in a split is its exact share rounded up or
    down, and the rounding evens out over the labels; ``train`` (or the split named first) gets the first row of
    every label, so none is unknown to it. With ``group``, whole groups are dealt out, each to the split that is
    owed the most rows; a group counts as its commonest label.

    Args:
        table: The rows.
        fractions: Share of each split, summing to 1.
        seed: Chooses the rows.
        stratify: A label per row.
        group: A key per row; rows with equal keys stay together.

    Returns:
        One table per name in ``fractions``.

    Raises:
        ConfigError: The fractions are not positive or do not sum to 1.
        DataError: There are fewer rows, or groups, than splits.
    """
    shares = _shares(fractions)
    labels: list[Hashable] = [None] * len(table) if stratify is None else list(stratify)
    units = units_of(range(len(table)) if group is None else group, seed)
    assert len(labels) == sum(map(len, units)) == len(table)
    if len(units) < len(shares):
        what = ("row" if group is None else "group") + ("s" if len(units) != 1 else "")
        raise DataError(
            f"{table.origin} has {len(units)} {what}"
            f"{'' if group is None else ' of rows that belong together'}, and at least {len(shares)} are needed "
            f"to cut {' and '.join(fractions)} from it",
            f"give more data, or a file for each split: {' '.join(f'data.{name}=…' for name in fractions)}",
        )
    first = list(fractions).index("train") if "train" in fractions else 0
    deal = _deal_rows if group is None else _deal_groups
    bins = deal(units, labels, shares, first)
    _fill_empty(bins)
    picked = [sorted(row for unit in units for row in unit) for units in bins]
    return {name: table.take(rows) for name, rows in zip(fractions, picked, strict=True)}


def complete(
    tables: Mapping[str, Table],
    seed: int,
    fractions: Mapping[str, float] = FRACTIONS,
    stratify: Callable[[Table], Keys | None] | None = None,
    group: Callable[[Table], Keys | None] | None = None,
    need: Iterable[str] = SPLITS,
) -> dict[str, Table]:
    """Cut the splits that the user did not give from ``train``.

    Which rows are cut depends on what is given and on the fractions, not on ``need``, so that a later evaluation
    of one split sees the rows that training saw.

    Args:
        tables: The splits there are.
        seed: Chooses the rows.
        fractions: Shares of a full cut; where one split is given, the others keep their proportion.
        stratify: Returns a label per row, or None.
        group: Returns a key per row, or None; rows with equal keys stay together.
        need: The splits that must be in the result.

    Returns:
        The given splits, train without what was cut from it, and those that were cut, in the usual order.

    Raises:
        DataError: A needed split is missing and there is no train to cut it from, or it has too few rows.
        ConfigError: The fractions are not positive, do not sum to 1, or leave out a needed split.
    """
    needed = set(need)
    _shares(fractions)
    _check_names(fractions)
    missing = [name for name in SPLITS if name not in tables and name in fractions]
    if "train" not in tables:
        _check_given(needed - set(tables))
        return ordered(tables)
    _check_named(needed - set(tables) - set(missing))
    if not missing:
        return ordered(tables)
    train = tables["train"]
    parts = {name: Fraction(fractions.get(name, 0)) for name in ("train", *missing)}
    whole = sum(parts.values())
    pieces = cut(
        train,
        {name: float(part / whole) for name, part in parts.items()},
        seed,
        stratify(train) if stratify else None,
        group(train) if group else None,
    )
    return ordered({**tables, **pieces})


def ordered(tables: Mapping[str, Table]) -> dict[str, Table]:
    """Return splits in their usual order, others after them."""
    names = [name for name in SPLITS if name in tables] + [name for name in tables if name not in SPLITS]
    return {name: tables[name] for name in names}


def _check_given(absent: set[str]) -> None:
    if not absent:
        return
    names = [name for name in SPLITS if name in absent]
    if "train" in absent:
        raise DataError(f"there is no data for {' and '.join(names)}", "give data.train=…")
    remedy = f"give {' '.join(f'data.{name}=…' for name in names)}, or data.train=…"
    raise DataError(f"there is no data for {' and '.join(names)}, and no train split to cut it from", remedy)


def _check_names(fractions: Mapping[str, float]) -> None:
    for name in fractions:
        if name not in SPLITS:
            raise ConfigError(f"the fractions name a split {name!r}", nearest(name, SPLITS))
    if "train" not in fractions:
        raise ConfigError("the fractions leave no share for train", f"give it one: {EXAMPLE}")


def _check_named(absent: set[str]) -> None:
    if absent:
        raise ConfigError(
            f"there is no data for {' and '.join(sorted(absent))}, and the fractions leave no share for it",
            f"give the split a file, or a share of train, such as {EXAMPLE}",
        )


def _shares(fractions: Mapping[str, float]) -> list[Fraction]:
    """Return the fractions as exact numbers whose sum is exactly 1."""
    remedy = f"give positive numbers that sum to 1, such as {EXAMPLE}"
    for name, share in fractions.items():
        if not (isinstance(share, int | float) and 0 < share <= 1):
            raise ConfigError(f"the fraction of {name} is {share!r}", remedy)
    total = sum(fractions.values())
    if not math.isclose(total, 1, abs_tol=1e-6):
        raise ConfigError(f"the fractions {dict(fractions)} sum to {total:g}", remedy)
    # A million is fine enough to tell 0.333333 from 1/3 apart where anyone could see it.
    exact = [Fraction(share).limit_denominator(1_000_000) for share in fractions.values()]
    return [share / sum(exact) for share in exact]


def units_of(keys: Keys, seed: int) -> list[list[int]]:
    """Return the rows of each key, the keys in an order that looks random and depends on the seed alone."""
    rows: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        rows.setdefault(key, []).append(index)
    return sorted(rows.values(), key=lambda unit: hashlib.sha256(f"{seed}/{unit[0]}".encode()).digest())


def _deal_rows(units: list[list[int]], labels: list[Hashable], shares: list[Fraction], first: int) -> Bins:
    """Deal single rows, label by label; what rounding owes a split is carried to the next label."""
    bins: Bins = [[] for _ in shares]
    owed = [Fraction(0)] * len(shares)
    for stratum in strata(units, labels):
        counts = _apportion(len(stratum), shares, owed, first)
        owed = [debt + len(stratum) * share - count for debt, share, count in zip(owed, shares, counts, strict=True)]
        rest = iter(stratum)
        for units_of_split, count in zip(bins, counts, strict=True):
            units_of_split.extend(next(rest) for _ in range(count))
    return bins


def _apportion(size: int, shares: list[Fraction], owed: list[Fraction], first: int) -> list[int]:
    """Split a count into whole numbers by largest remainder, remainders being raised by what is owed.

    Args:
        size: The count, at least 1.
        shares: Exact shares.
        owed: What each split lacks from earlier labels.
        first: The split that gets at least one.

    Returns:
        Counts that sum to ``size``, each its quota rounded up or down (save that ``first`` gets one of a single).
    """
    quotas = [size * share for share in shares]
    counts = [int(quota) for quota in quotas]
    claims = [debt + quota - count for debt, quota, count in zip(owed, quotas, counts, strict=True)]
    rounded = [split for split in range(len(shares)) if counts[split] != quotas[split]]
    rounded.sort(key=lambda split: (split != first or counts[first] > 0, -claims[split]))
    for split in rounded[: size - sum(counts)]:
        counts[split] += 1
    return counts


def _deal_groups(units: list[list[int]], labels: list[Hashable], shares: list[Fraction], first: int) -> Bins:
    """Deal groups, label by label, each to the split that is owed the most rows."""
    bins: Bins = [[] for _ in shares]
    owed = [Fraction(0)] * len(shares)
    for stratum in strata(units, labels):
        size = sum(map(len, stratum))
        owed = [debt + size * share for debt, share in zip(owed, shares, strict=True)]
        for position, unit in enumerate(stratum):
            chosen = owed.index(max(owed)) if position else first
            bins[chosen].append(unit)
            owed[chosen] -= len(unit)
    return bins


def strata(units: list[list[int]], labels: list[Hashable]) -> Bins:
    """Sort units by their rows' commonest label; return the rarest label's first.

    The frequent labels come last because they can make up for what the rare ones could not give.
    """
    strata: dict[Hashable, list[list[int]]] = {}
    for unit in units:
        commonest = Counter(labels[row] for row in unit).most_common(1)[0][0] if len(unit) > 1 else labels[unit[0]]
        strata.setdefault(commonest, []).append(unit)
    return sorted(strata.values(), key=len)


def _fill_empty(bins: Bins) -> None:
    """Give an empty split a unit of the fullest: the smallest, and the last, which has the commonest label."""
    for units in bins:
        if not units:
            fullest = max(bins, key=len)
            unit = min(reversed(fullest), key=len)
            fullest.remove(unit)
            units.append(unit)
