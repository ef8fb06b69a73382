"""What language models' baselines and their measures share: the bits that a text takes."""

import math
import zlib
from collections.abc import Iterable

WINDOW = 2**15  # bytes that a compressor of gzip's family can refer back to


def deflated_bits(text: str, known: bytes) -> float:
    """Return the bits that gzip's method needs for a text, with the end of what is known as its dictionary."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=known[-WINDOW:])
    return 8.0 * len(compressor.compress(text.encode()) + compressor.flush())


def bits_per_byte(bits: Iterable[float], texts: Iterable[str]) -> float:
    """Return the bits of all texts over their bytes."""
    return math.fsum(bits) / sum(len(text.encode()) for text in texts)
