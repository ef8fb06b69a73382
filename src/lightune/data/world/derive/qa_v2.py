"""Question answering with questions that have no answer: a fact is left out of the passage, and its rival is told."""

import random
from collections.abc import Iterator

from lightune.data.world.derive.qa import SHARED, example
from lightune.data.world.examples import Example
from lightune.data.world.facts import Fact, World
from lightune.data.world.render import passage, phrased
from lightune.data.world.scenes import duels

SIZES = {"train": 1800, "val": 240, "test": 360}


def examples(world: World, rng: random.Random) -> Iterator[Example]:
    """Yield examples for ever.

    Args:
        world: Where the facts come from.
        rng: Source of every choice.

    Yields:
        Examples with ``context``, ``question`` and ``answers``, three of each passage; the answers of the first are
        empty.
    """
    for told, rivals in duels(world, rng, SHARED):
        asked = questioned(rivals, rng)
        told = [fact for fact in told if fact != asked[0]]
        templates = phrased(told, world.split, rng)
        text = passage(told, templates, rng)
        for fact in asked:
            yield example(told, templates, text, fact, rng.choice(fact.relation.questions(world.split)))


def questioned(rivals: list[Fact], rng: random.Random) -> tuple[Fact, Fact, Fact]:
    """Choose the facts that are asked for.

    Args:
        rivals: Two subjects' facts of the same relations.
        rng: Source of the choice.

    Returns:
        The fact to leave out, its rival, and a fact of another relation. The passage still names the first one's
        subject, and an object of its kind: neither the subject nor the relation alone tells whether there is an answer.
    """
    left_out = rng.choice(rivals)
    rival = next(fact for fact in rivals if fact.relation == left_out.relation and fact != left_out)
    return left_out, rival, rng.choice([fact for fact in rivals if fact.relation != left_out.relation])
