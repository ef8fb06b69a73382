"""Continuations: how small they become without understanding what came before. Less is better."""

from lightune.data.world.baselines.bits import bits_per_byte, deflated_bits
from lightune.data.world.examples import Row


def compressed(train: list[Row], rows: list[Row]) -> list[float]:
    """Give each continuation the bits that gzip's method needs, with training texts as its dictionary."""
    known = _dictionary(train)
    return [deflated_bits(row["continuation"], known) for row in rows]


def compressed_after_prefix(train: list[Row], rows: list[Row]) -> list[float]:
    """The same, with the prefix at the end of the dictionary: names can be copied from it."""
    known = _dictionary(train)
    return [deflated_bits(row["continuation"], known + row["prefix"].encode()) for row in rows]


def _dictionary(train: list[Row]) -> bytes:
    return "\n".join(f"{row['prefix']} {row['continuation']}" for row in train).encode()


def of_continuations(predictions: list[float], rows: list[Row]) -> float:
    """Return the bits of all continuations over their bytes."""
    return bits_per_byte(predictions, (row["continuation"] for row in rows))


MEASURE = ("bits per byte (less is better)", of_continuations)
BASELINES = (compressed, compressed_after_prefix)
