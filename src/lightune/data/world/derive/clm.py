"""Running text: a passage about two subjects that have much in common."""

import random
from collections.abc import Iterator

from lightune.data.world.examples import Example
from lightune.data.world.facts import World, names
from lightune.data.world.render import passage, phrased
from lightune.data.world.scenes import duels

# Few, for the backbone is a decoder that takes minutes where the encoders of the other tasks take seconds.
SIZES = {"train": 320, "val": 60, "test": 120}
SHARED = 3


def examples(world: World, rng: random.Random) -> Iterator[Example]:
    """Yield examples for ever.

    Args:
        world: Where the facts come from.
        rng: Source of every choice.

    Yields:
        Examples with ``text``.
    """
    for told, _ in duels(world, rng, SHARED):
        templates = phrased(told, world.split, rng)
        yield Example({"text": passage(told, templates, rng).text}, names(told), tuple(templates))
