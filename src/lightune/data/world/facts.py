"""The world itself: for each split, its entities and the facts between them."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from lightune.data.world.kinds import Entity, populate, split_words
from lightune.data.world.relations import SPLITS, Relation, relations


@dataclass(frozen=True)
class Fact:
    """A relation that holds between two entities."""

    subject: Entity
    relation: Relation
    object: Entity


@dataclass(frozen=True)
class World:
    """What exists and what holds in one split.

    Args:
        split: Name of the split.
        entities: Entities by kind.
        facts: By subject, its facts in the order of the relations.
    """

    split: str
    entities: dict[str, list[Entity]]
    facts: dict[Entity, list[Fact]]

    def subjects(self, kind: str) -> list[Entity]:
        """Return the entities of a kind that have facts."""
        return [entity for entity in self.entities[kind] if entity in self.facts]


def names(facts: Iterable[Fact]) -> tuple[str, ...]:
    """Return the names of all entities that facts speak of, sorted."""
    return tuple(sorted({entity.name for fact in facts for entity in (fact.subject, fact.object)}))


class Deck:
    """Entities dealt in a shuffled order, again and again, so that all are used about equally often.

    Args:
        cards: What is dealt.
        rng: Source of the shuffles.
    """

    def __init__(self, cards: list[Entity], rng: random.Random) -> None:
        self.cards = cards
        self.rng = rng
        self.left: list[Entity] = []

    def deal(self, avoid: list[Entity]) -> Entity:
        """Return the next card that is not to be avoided."""
        if len(self.left) <= len(avoid):
            self.left = self.rng.sample(self.cards, len(self.cards)) + self.left
        spot = next(i for i in reversed(range(len(self.left))) if self.left[i] not in avoid)
        return self.left.pop(spot)


@lru_cache(maxsize=4)
def build(seed: int) -> dict[str, World]:
    """Build the world.

    Args:
        seed: Decides which words belong to which split, and who did what.

    Returns:
        One world per split; they share no entity.
    """
    words = split_words(seed)
    return {split: settle(split, words[split], random.Random(f"{seed}:{split}:facts")) for split in SPLITS}


def settle(split: str, words: dict[str, list[str]], rng: random.Random) -> World:
    """Populate one split's world and decide its facts."""
    entities = populate(split, words, rng)
    decks = {kind: Deck(members, rng) for kind, members in entities.items()}
    facts: dict[Entity, list[Fact]] = {}
    for relation in relations():
        for subject in entities[relation.subject]:
            known = facts.setdefault(subject, [])
            avoid = [subject, *(fact.object for fact in known)]
            known.append(Fact(subject, relation, decks[relation.object].deal(avoid)))
    return World(split, entities, facts)
