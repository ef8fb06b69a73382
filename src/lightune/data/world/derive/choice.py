"""Multiple choice: which of four sentences about two subjects answers a question about one of them."""

import random
from collections.abc import Iterator

from lightune.data.world.examples import Example
from lightune.data.world.facts import World, names
from lightune.data.world.render import fill, mention, phrased
from lightune.data.world.scenes import duels

SIZES = {"train": 1600, "val": 200, "test": 360}
SHARED = 2


def examples(world: World, rng: random.Random) -> Iterator[Example]:
    """Yield examples for ever.

    Args:
        world: Where the facts come from.
        rng: Source of every choice.

    Yields:
        Examples with ``question``, ``choices`` (the sentence that answers it, the same of another subject, and
        something else of either, in any order) and ``answer`` (an index).
    """
    for _, rivals in duels(world, rng, SHARED):
        told = rng.sample(rivals, len(rivals))
        asked = rng.choice(told)
        templates = phrased(told, world.split, rng)
        question = rng.choice(asked.relation.questions(world.split))
        sentences = [
            fill(template, mention(fact.subject), mention(fact.object)).text
            for fact, template in zip(told, templates, strict=True)
        ]
        row = {
            "question": fill(question, mention(asked.subject)).text,
            "choices": sentences,
            "answer": told.index(asked),
        }
        yield Example(row, names(told), (*templates, question))
