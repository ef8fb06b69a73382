"""Language modelling: how small a text becomes without understanding it. Less is better."""

import math
from collections import Counter

from lightune.data.world.baselines.bits import bits_per_byte, deflated_bits
from lightune.data.world.examples import Row


def byte_frequencies(train: list[Row], rows: list[Row]) -> list[float]:
    """Give each byte the bits that its frequency in training asks for."""
    counts = Counter(byte for row in train for byte in row["text"].encode())
    total = counts.total() + 256
    return [-sum(math.log2((counts[byte] + 1) / total) for byte in row["text"].encode()) for row in rows]


def trigrams(train: list[Row], rows: list[Row]) -> list[float]:
    """Give each byte the bits that the two before it ask for, mixed with one and none (a third each)."""
    texts = [row["text"].encode() for row in train]
    tables = [Counter(text[i - n : i + 1] for text in texts for i in range(n, len(text))) for n in range(3)]
    before = [Counter({b"": tables[0].total()}), *(_left(table) for table in tables[1:])]
    return [
        -sum(math.log2(_mixed(text, i, tables, before)) for i in range(len(text)))
        for text in (row["text"].encode() for row in rows)
    ]


def _left(table: Counter[bytes]) -> Counter[bytes]:
    left: Counter[bytes] = Counter()
    for gram, count in table.items():
        left[gram[:-1]] += count
    return left


def _mixed(text: bytes, i: int, tables: list[Counter[bytes]], before: list[Counter[bytes]]) -> float:
    shares = [
        (table[text[i - n : i + 1]] if i >= n else 0) / (before[n][text[i - n : i]] or 1)
        for n, table in enumerate(tables)
    ]
    return sum(shares) / 3 + 1e-4


def compressed(train: list[Row], rows: list[Row]) -> list[float]:
    """Give each text the bits that gzip's method needs, with training texts as its dictionary."""
    known = "\n".join(row["text"] for row in train).encode()
    return [deflated_bits(row["text"], known) for row in rows]


def of_texts(predictions: list[float], rows: list[Row]) -> float:
    """Return the bits of all texts over their bytes."""
    return bits_per_byte(predictions, (row["text"] for row in rows))


MEASURE = ("bits per byte (less is better)", of_texts)
BASELINES = (byte_frequencies, trigrams, compressed)
