"""Texts that say the same: two rivals' facts in other words, beside a text in which the rivals changed places once."""

import random
from collections.abc import Iterator, Sequence

from lightune.data.world.examples import Example
from lightune.data.world.facts import Fact, World, names
from lightune.data.world.render import passage
from lightune.data.world.scenes import Casting, duel, topic_cycle

SIZES = {"train": 1200, "val": 200, "test": 360}
SHARED = 2
COPIED = 0.25  # share of the false text's sentences that keep the words of the first


def examples(world: World, rng: random.Random) -> Iterator[Example]:
    """Yield examples for ever.

    Args:
        world: Where the facts come from.
        rng: Source of every choice.

    Yields:
        Examples with ``text``, ``text_pair`` (the same facts in other words and another order) and ``negative`` (two of
        the facts with their objects exchanged: it names the same things and says something else).
    """
    casting = Casting(world, rng)
    before: set[frozenset[Fact]] = set()
    for topic in topic_cycle(rng):
        told, rivals = duel(casting, topic, SHARED)
        if frozenset(told) in before:  # another text of the split would be right as well
            continue
        before.add(frozenset(told))
        yield example(told, exchanged(told, rng.choice(rivals)), world.split, rng)


def exchanged(told: Sequence[Fact], fact: Fact) -> list[Fact]:
    """Return the facts, of which one and its rival, which has the same relation, take each other's object."""
    one, other = (known for known in told if known.relation == fact.relation)
    swapped = {one: Fact(one.subject, one.relation, other.object), other: Fact(other.subject, one.relation, one.object)}
    return [swapped.get(known, known) for known in told]


def example(told: list[Fact], wrong: list[Fact], split: str, rng: random.Random) -> Example:
    """Tell facts twice, and what is wrong once."""
    said = [rng.choice(fact.relation.statements(split)) for fact in told]
    again = [other_words(fact, template, split, rng) for fact, template in zip(told, said, strict=True)]
    false = [one if rng.random() < COPIED else other for one, other in zip(said, again, strict=True)]
    texts = [shuffled(*parts, rng) for parts in ((told, said), (told, again), (wrong, false))]
    row = {"text": texts[0], "text_pair": texts[1], "negative": texts[2]}
    return Example(row, names(told), (*said, *again))


def other_words(fact: Fact, template: str, split: str, rng: random.Random) -> str:
    """Return another phrase for the same relation."""
    return rng.choice([phrase for phrase in fact.relation.statements(split) if phrase != template])


def shuffled(facts: Sequence[Fact], templates: Sequence[str], rng: random.Random) -> str:
    """Say facts in any order."""
    order = rng.sample(range(len(facts)), len(facts))
    return passage([facts[i] for i in order], [templates[i] for i in order], rng).text
