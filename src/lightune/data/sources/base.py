"""What every source of rows does."""

from collections.abc import Collection, Mapping
from typing import Protocol, TypeVar

from lightune.data.table import Table

T = TypeVar("T")


class Source(Protocol):
    """Gives the rows of each split it has."""

    def load(self, need: Collection[str]) -> dict[str, Table]:
        """Return split name (train, val, test) → its rows as the user has them.

        Args:
            need: The splits that will be used; others need not be read where these are there without them.
        """


def needed(given: Mapping[str, T | None], need: Collection[str]) -> dict[str, T]:
    """Return what has to be read: the needed splits, or all that were given where one has to be cut from train.

    Args:
        given: Split → where its rows are; None where the user named nothing.
        need: The splits that will be used.
    """
    named = {split: place for split, place in given.items() if place is not None}
    return {split: named[split] for split in need} if set(need) <= named.keys() else named
