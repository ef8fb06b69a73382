"""What a text speaks of: facts chosen so that they compete with each other."""

import random
from collections.abc import Iterator, Sequence

from lightune.data.world.facts import Deck, Fact, World
from lightune.data.world.kinds import Entity
from lightune.data.world.relations import Relation, subjects_of, topics


class Casting:
    """Deals the subjects of a world, topic by topic, so that all come on stage about equally often.

    Args:
        world: Whose subjects.
        rng: Source of the choices.
    """

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world = world
        self.rng = rng
        kinds = [kind for topic in topics() for kind in subjects_of(topic)]
        self.decks = {kind: Deck(world.subjects(kind), rng) for kind in kinds}

    def kind(self, topic: str) -> str:
        """Return the kind of the next scene's subjects."""
        return self.rng.choice(list(subjects_of(topic)))

    def subjects(self, kind: str, count: int) -> list[Entity]:
        """Return different subjects of one kind."""
        chosen: list[Entity] = []
        while len(chosen) < count:
            chosen.append(self.decks[kind].deal(chosen))
        return chosen

    def facts(self, subject: Entity, chosen: Sequence[Relation]) -> list[Fact]:
        """Return a subject's facts of the given relations, in that order."""
        known = {fact.relation: fact for fact in self.world.facts[subject]}
        return [known[relation] for relation in chosen]


def topic_cycle(rng: random.Random) -> Iterator[str]:
    """Yield topics for ever, each as often as the others."""
    while True:
        yield from rng.sample(topics(), len(topics()))


def duel(casting: Casting, topic: str, shared: int) -> tuple[list[Fact], list[Fact]]:
    """Choose facts about two subjects that have the same relations, so that each object has a rival of its kind.

    Args:
        casting: Deals the subjects.
        topic: What the facts are about.
        shared: How many relations both subjects have; every other time, the first subject has one more.

    Returns:
        All facts in the order in which they are told, and those of them that have a rival.
    """
    rng = casting.rng
    kind = casting.kind(topic)
    while True:
        chosen = rng.sample(subjects_of(topic)[kind], shared + rng.randint(0, 1))
        first, second = casting.subjects(kind, 2)
        groups = [casting.facts(first, chosen), casting.facts(second, chosen[:shared])]
        if distinct(groups[0] + groups[1]):
            break
    told = [fact for group in rng.sample(groups, 2) for fact in rng.sample(group, len(group))]
    if rng.random() < 0.5:
        rng.shuffle(told)
    return told, [fact for fact in told if fact.relation in chosen[:shared]]


def duels(world: World, rng: random.Random, shared: int) -> Iterator[tuple[list[Fact], list[Fact]]]:
    """Yield the facts of one duel after the other, as `duel` returns them, from topic to topic for ever.

    Args:
        world: Where the facts come from.
        rng: Source of every choice.
        shared: How many relations both subjects have.
    """
    casting = Casting(world, rng)
    for topic in topic_cycle(rng):
        yield duel(casting, topic, shared)


def distinct(told: list[Fact]) -> bool:
    """Tell whether each object stands for one fact only: it is no other fact's object and nobody's subject."""
    objects = [fact.object for fact in told]
    return len(set(objects)) == len(objects) and not set(objects) & {fact.subject for fact in told}
