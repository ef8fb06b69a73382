"""Multiple choice: two subjects that have the same two relations to things of one kind, and a question about one."""

import random
from collections.abc import Iterator
from itertools import combinations, cycle

from lightune.data.world.examples import Example
from lightune.data.world.facts import Fact, World, names
from lightune.data.world.relations import Relation, subjects_of, topics
from lightune.data.world.render import fill, mention, passage
from lightune.data.world.scenes import Casting, distinct

SIZES = {"train": 1600, "val": 200, "test": 360}
QUESTIONS_PER_PASSAGE = 2


def examples(world: World, rng: random.Random) -> Iterator[Example]:
    """Yield examples for ever.

    Args:
        world: Where the facts come from.
        rng: Source of every choice.

    Yields:
        Examples with ``context``, ``question``, ``choices`` (all objects of the passage, in any order) and ``answer``
        (an index).
    """
    casting = Casting(world, rng)
    for pair in cycle(alike()):
        told = quartet(casting, pair)
        templates = [rng.choice(fact.relation.statements(world.split)) for fact in told]
        text = passage(told, templates, rng).text
        for asked in rng.sample(told, QUESTIONS_PER_PASSAGE):
            question = rng.choice(asked.relation.questions(world.split))
            objects = rng.sample([fact.object for fact in told], len(told))
            row = {
                "context": text,
                "question": fill(question, mention(asked.subject)).text,
                "choices": [mention(entity).text for entity in objects],
                "answer": objects.index(asked.object),
            }
            yield Example(row, names(told), (*templates, question))


def alike() -> list[tuple[Relation, Relation]]:
    """Return the pairs of relations of one subject whose objects are of one kind, such as its coach and captain."""
    families = [relations for topic in topics() for relations in subjects_of(topic).values()]
    return [pair for family in families for pair in combinations(family, 2) if pair[0].object == pair[1].object]


def quartet(casting: Casting, pair: tuple[Relation, Relation]) -> list[Fact]:
    """Choose the facts of two subjects, in the order in which they are told: one after the other, or mixed."""
    rng = casting.rng
    while True:
        groups = [casting.facts(subject, rng.sample(pair, 2)) for subject in casting.subjects(pair[0].subject, 2)]
        told = [fact for group in groups for fact in group]
        if distinct(told):
            return told if rng.random() < 0.5 else rng.sample(told, len(told))
