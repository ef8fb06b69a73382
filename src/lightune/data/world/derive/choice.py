"""Multiple choice: the passages and questions of `qa`, with the objects of both subjects to choose from."""

import random
from collections.abc import Iterator

from lightune.data.world.examples import Example
from lightune.data.world.facts import World, names
from lightune.data.world.render import fill, mention, passage, phrased
from lightune.data.world.scenes import duels

SIZES = {"train": 1600, "val": 200, "test": 360}
QUESTIONS_PER_PASSAGE = 2
SHARED = 2


def examples(world: World, rng: random.Random) -> Iterator[Example]:
    """Yield examples for ever.

    Args:
        world: Where the facts come from.
        rng: Source of every choice.

    Yields:
        Examples with ``context``, ``question``, ``choices`` (what is asked for, the other subject's object of the same
        relation, and both objects of another relation, in any order) and ``answer`` (an index).
    """
    for told, rivals in duels(world, rng, SHARED):
        templates = phrased(told, world.split, rng)
        text = passage(told, templates, rng).text
        for asked in rng.sample(rivals, QUESTIONS_PER_PASSAGE):
            question = rng.choice(asked.relation.questions(world.split))
            objects = rng.sample([fact.object for fact in rivals], len(rivals))
            row = {
                "context": text,
                "question": fill(question, mention(asked.subject)).text,
                "choices": [entity.name for entity in objects],
                "answer": objects.index(asked.object),
            }
            yield Example(row, names(told), (*templates, question))
