"""Topic of a text: most of its sentences are about the label, the others about another topic."""

import random
from collections.abc import Iterator

from lightune.data.world.examples import Example
from lightune.data.world.facts import Fact, World, names
from lightune.data.world.relations import subjects_of, topics
from lightune.data.world.render import passage, phrased
from lightune.data.world.scenes import Casting, topic_cycle

SIZES = {"train": 1200, "val": 180, "test": 360}
MAIN = 3
OTHERS = (1, 2)  # fewest and most sentences about another topic


def examples(world: World, rng: random.Random) -> Iterator[Example]:
    """Yield examples for ever.

    Args:
        world: Where the facts come from.
        rng: Source of every choice.

    Yields:
        Examples with ``text`` and ``label``, the name of a topic.
    """
    casting = Casting(world, rng)
    for topic in topic_cycle(rng):
        other = rng.choice([other for other in topics() if other != topic])
        told = some_facts(casting, topic, MAIN) + some_facts(casting, other, rng.randint(*OTHERS))
        yield labelled(told, topic, world.split, rng)


def labelled(told: list[Fact], label: str | list[str], split: str, rng: random.Random) -> Example:
    """Tell facts in any order, and label the text."""
    rng.shuffle(told)
    templates = phrased(told, split, rng)
    return Example({"text": passage(told, templates, rng).text, "label": label}, names(told), tuple(templates))


def some_facts(casting: Casting, topic: str, count: int) -> list[Fact]:
    """Choose facts of a topic: the subject's and, every other time, a second subject's."""
    kind = casting.kind(topic)
    chosen = casting.rng.sample(subjects_of(topic)[kind], count)
    cast = casting.subjects(kind, casting.rng.randint(1, 2))
    return [fact for i, relation in enumerate(chosen) for fact in casting.facts(cast[i % len(cast)], [relation])]
