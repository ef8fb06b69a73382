"""Topics of a text: every topic that one of its sentences is about."""

import random
from collections.abc import Iterator

from lightune.data.world.derive.classification import labelled, some_facts
from lightune.data.world.examples import Example
from lightune.data.world.facts import World
from lightune.data.world.relations import topics
from lightune.data.world.scenes import Casting, topic_cycle

SIZES = {"train": 1200, "val": 180, "test": 360}
SENTENCES = 4
MOST = 3  # topics of a text


def examples(world: World, rng: random.Random) -> Iterator[Example]:
    """Yield examples for ever.

    Args:
        world: Where the facts come from.
        rng: Source of every choice.

    Yields:
        Examples with ``text`` and ``label``, a sorted list of topics.
    """
    casting = Casting(world, rng)
    for first in topic_cycle(rng):
        others = rng.sample([topic for topic in topics() if topic != first], rng.randint(0, MOST - 1))
        told = some_facts(casting, first, min(SENTENCES - len(others), 3))
        told += [fact for topic in others for fact in some_facts(casting, topic, 1)]
        yield labelled(told, sorted([first, *others]), world.split, rng)
