"""What a derived example is: the row a user sees, and what it was made from."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Example:
    """A row with its provenance.

    Args:
        row: The canonical row, without its id.
        entities: Names of every entity the row speaks of.
        templates: Every template it was rendered with.
    """

    row: Row
    entities: tuple[str, ...]
    templates: tuple[str, ...]


def unique(examples: Iterable[Example], count: int) -> list[Example]:
    """Return the first examples whose rows differ.

    Args:
        examples: Possibly endless stream of examples.
        count: How many to take.

    Returns:
        At most `count` examples.
    """
    seen: set[str] = set()
    kept: list[Example] = []
    for example in examples:
        key = repr(sorted(example.row.items()))
        if key not in seen:
            seen.add(key)
            kept.append(example)
        if len(kept) == count:
            break
    return kept
