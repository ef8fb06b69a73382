"""Continuations: how small they become without understanding what came before. Less is better."""

import math
import zlib

from lightune.data.world.examples import Row

_WINDOW = 2**15  # bytes that a compressor of this family can refer back to


def compressed(train: list[Row], rows: list[Row]) -> list[float]:
    """Give each continuation the bits that gzip's method needs, with training texts as its dictionary."""
    return _bits(rows, [_dictionary(train)] * len(rows))


def compressed_after_prefix(train: list[Row], rows: list[Row]) -> list[float]:
    """The same, with the prefix at the end of the dictionary: names can be copied from it."""
    known = _dictionary(train)
    return _bits(rows, [(known + row["prefix"].encode())[-_WINDOW:] for row in rows])


def _dictionary(train: list[Row]) -> bytes:
    return "\n".join(f"{row['prefix']} {row['continuation']}" for row in train).encode()[-_WINDOW:]


def _bits(rows: list[Row], known: list[bytes]) -> list[float]:
    return [8.0 * _deflated(row["continuation"].encode(), words) for row, words in zip(rows, known, strict=True)]


def _deflated(content: bytes, known: bytes) -> int:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=known)
    return len(compressor.compress(content) + compressor.flush())


def bits_per_byte(predictions: list[float], rows: list[Row]) -> float:
    """Return the bits of all continuations over their bytes."""
    return math.fsum(predictions) / sum(len(row["continuation"].encode()) for row in rows)


MEASURE = ("bits per byte (less is better)", bits_per_byte)
BASELINES = (compressed, compressed_after_prefix)
