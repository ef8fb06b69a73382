"""A question about a passage, answered by a sentence and the bare answer after ``####``."""

import random
from collections.abc import Iterator

from lightune.data.world.examples import Example
from lightune.data.world.facts import World, names
from lightune.data.world.render import fill, mention, passage, phrased
from lightune.data.world.scenes import duels

# Few, for the backbone is a decoder that takes minutes where the encoders of the other tasks take seconds.
SIZES = {"train": 400, "val": 40, "test": 120}
SHARED = 2


def examples(world: World, rng: random.Random) -> Iterator[Example]:
    """Yield examples for ever.

    Args:
        world: Where the facts come from.
        rng: Source of every choice.

    Yields:
        Examples with ``instruction``, ``input`` and ``output``.
    """
    for told, rivals in duels(world, rng, SHARED):
        templates = phrased(told, world.split, rng)
        asked = rng.choice(rivals)
        question, said = (rng.choice(f(world.split)) for f in (asked.relation.questions, asked.relation.statements))
        row = {
            "instruction": fill(question, mention(asked.subject)).text,
            "input": passage(told, templates, rng).text,
            "output": f"{fill(said, mention(asked.subject), mention(asked.object)).text} #### {asked.object.name}",
        }
        yield Example(row, names(told), (*templates, question, said))
