"""Texts that say the same: facts of one subject in other words, beside a text that tells one of them differently."""

import random
from collections.abc import Iterator, Sequence

from lightune.data.world.derive.regression import changed
from lightune.data.world.examples import Example
from lightune.data.world.facts import Fact, World, names
from lightune.data.world.relations import subjects_of
from lightune.data.world.render import passage
from lightune.data.world.scenes import Casting, topic_cycle

SIZES = {"train": 1200, "val": 200, "test": 360}
FACTS = 3
COPIED = 0.5  # share of the false text's sentences that keep the words of the first


def examples(world: World, rng: random.Random) -> Iterator[Example]:
    """Yield examples for ever.

    Args:
        world: Where the facts come from.
        rng: Source of every choice.

    Yields:
        Examples with ``text``, ``text_pair`` (the same facts in other words and another order) and ``negative`` (a text
        that tells one fact differently, partly in the words of the first).
    """
    casting = Casting(world, rng)
    for topic in topic_cycle(rng):
        kind = casting.kind(topic)
        chosen = rng.sample(subjects_of(topic)[kind], FACTS)
        told, rivals = (casting.facts(subject, chosen) for subject in casting.subjects(kind, 2))
        wrong = list(told)
        spot = rng.randrange(FACTS)
        wrong[spot] = changed(told[spot], rivals[spot], rng, told)
        yield example(told, wrong, world.split, rng)


def example(told: list[Fact], wrong: list[Fact], split: str, rng: random.Random) -> Example:
    """Tell facts twice, and what is wrong once."""
    said = [rng.choice(fact.relation.statements(split)) for fact in told]
    again = [other_words(fact, template, split, rng) for fact, template in zip(told, said, strict=True)]
    false = [one if rng.random() < COPIED else other for one, other in zip(said, again, strict=True)]
    texts = [shuffled(*parts, rng) for parts in ((told, said), (told, again), (wrong, false))]
    row = {"text": texts[0], "text_pair": texts[1], "negative": texts[2]}
    return Example(row, names([*told, *wrong]), (*said, *again))


def other_words(fact: Fact, template: str, split: str, rng: random.Random) -> str:
    """Return another phrase for the same relation."""
    return rng.choice([phrase for phrase in fact.relation.statements(split) if phrase != template])


def shuffled(facts: Sequence[Fact], templates: Sequence[str], rng: random.Random) -> str:
    """Say facts in any order."""
    order = rng.sample(range(len(facts)), len(facts))
    return passage([facts[i] for i in order], [templates[i] for i in order], rng).text
