"""How a passage goes on: its first sentences, and its last two."""

import random
from collections.abc import Iterator
from dataclasses import replace

from lightune.data.world.derive import clm
from lightune.data.world.examples import Example
from lightune.data.world.facts import World

SIZES = clm.SIZES
CONTINUED = 2  # sentences


def examples(world: World, rng: random.Random) -> Iterator[Example]:
    """Yield examples for ever.

    Args:
        world: Where the facts come from.
        rng: Source of every choice.

    Yields:
        Examples with ``prefix`` and ``continuation``.
    """
    for example in clm.examples(world, rng):
        sentences = example.row["text"].split(". ")
        prefix, continuation = ". ".join(sentences[:-CONTINUED]) + ".", ". ".join(sentences[-CONTINUED:])
        yield replace(example, row={"prefix": prefix, "continuation": continuation})
