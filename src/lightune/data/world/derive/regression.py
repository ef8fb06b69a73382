"""How far two texts agree: both tell the same facts of one subject, and some of them differently."""

import random
from collections.abc import Iterator

from lightune.data.world.examples import Example
from lightune.data.world.facts import Fact, World, names
from lightune.data.world.relations import subjects_of
from lightune.data.world.render import passage, phrased
from lightune.data.world.scenes import Casting, topic_cycle

SIZES = {"train": 1200, "val": 200, "test": 360}
FACTS = 3
HIGHEST = 5.0


def examples(world: World, rng: random.Random) -> Iterator[Example]:
    """Yield examples for ever.

    Args:
        world: Where the facts come from.
        rng: Source of every choice.

    Yields:
        Examples with ``text``, ``text_pair`` and ``score``: `HIGHEST` times the share of facts on which they agree.
    """
    casting = Casting(world, rng)
    for topic in topic_cycle(rng):
        kind = casting.kind(topic)
        chosen = rng.sample(subjects_of(topic)[kind], FACTS)
        told, rivals = (casting.facts(subject, chosen) for subject in casting.subjects(kind, 2))
        agreed = rng.sample(range(FACTS), rng.randint(0, FACTS))
        again = [fact if i in agreed else changed(fact, rivals[i], rng, told) for i, fact in enumerate(told)]
        same = sum(fact in again for fact in told)  # two subjects may have the same object by chance
        rng.shuffle(again)
        yield example(told, again, HIGHEST * same / FACTS, world.split, rng)


def changed(fact: Fact, rival: Fact, rng: random.Random, told: list[Fact]) -> Fact:
    """Return the fact with another object of its kind: a rival's, or one that the first text names elsewhere."""
    named = [other.object for other in told if other.object.kind == fact.object.kind and other.object != fact.object]
    return Fact(fact.subject, fact.relation, rng.choice([rival.object, *named]))


def example(told: list[Fact], again: list[Fact], score: float, split: str, rng: random.Random) -> Example:
    """Tell both lists of facts."""
    templates = [phrased(facts, split, rng) for facts in (told, again)]
    text, pair = (passage(facts, said, rng).text for facts, said in zip((told, again), templates, strict=True))
    return Example(
        {"text": text, "text_pair": pair, "score": score}, names(told + again), (*templates[0], *templates[1])
    )
