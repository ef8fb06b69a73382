"""Question answering: a passage with competing facts, a question about one, its object as the answer."""

import random
from collections.abc import Iterator

from lightune.data.world.examples import Example
from lightune.data.world.facts import Fact, World, names
from lightune.data.world.render import Text, fill, mention, passage, phrased
from lightune.data.world.scenes import duels

SIZES = {"train": 1600, "val": 200, "test": 320}
QUESTIONS_PER_PASSAGE = 2
SHARED = 2


def examples(world: World, rng: random.Random) -> Iterator[Example]:
    """Yield examples for ever.

    Args:
        world: Where the facts come from.
        rng: Source of every choice.

    Yields:
        Examples with ``context``, ``question`` and ``answers``.
    """
    for told, rivals in duels(world, rng, SHARED):
        templates = phrased(told, world.split, rng)
        text = passage(told, templates, rng)
        for fact in rng.sample(rivals, QUESTIONS_PER_PASSAGE):
            question = rng.choice(fact.relation.questions(world.split))
            yield example(told, templates, text, fact, question)


def example(told: list[Fact], templates: list[str], text: Text, asked: Fact, question: str) -> Example:
    """Make one example from a passage and the fact that is asked for; it has no answer where that is not told."""
    found = [m for m in text.mentions if m.entity == asked.object][:1]
    row = {
        "context": text.text,
        "question": fill(question, mention(asked.subject)).text,
        "answers": {"text": [text.text[m.start : m.end] for m in found], "answer_start": [m.start for m in found]},
    }
    return Example(row, names(told), (*templates, question))
