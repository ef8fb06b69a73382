"""Multiple choice: a passage about a subject, and four sentences; only one fits what the subject is, and goes on."""

import random
from collections.abc import Iterator

from lightune.data.world.examples import Example
from lightune.data.world.facts import Fact, World, names
from lightune.data.world.relations import subjects_of, topics
from lightune.data.world.render import fill, mention, passage
from lightune.data.world.scenes import Casting, topic_cycle

SIZES = {"train": 1200, "val": 200, "test": 360}
QUESTION = "What comes next?"
TOLD = 2
CHOICES = 4


def examples(world: World, rng: random.Random) -> Iterator[Example]:
    """Yield examples for ever.

    Args:
        world: Where the facts come from.
        rng: Source of every choice.

    Yields:
        Examples with ``context``, ``question``, ``choices`` (sentences, in any order) and ``answer`` (an index).
    """
    casting = Casting(world, rng)
    for topic in topic_cycle(rng):
        kind = casting.kind(topic)
        (subject,) = casting.subjects(kind, 1)
        *told, right = casting.facts(subject, rng.sample(subjects_of(topic)[kind], TOLD + 1))
        endings = [right, *(Fact(subject, f.relation, f.object) for f in strangers(casting, kind))]
        yield example(told, endings, world.split, rng)


def strangers(casting: Casting, kind: str) -> list[Fact]:
    """Choose facts of subjects of other kinds, each of another one."""
    kinds = [other for topic in topics() for other in subjects_of(topic) if other != kind]
    subjects = [casting.subjects(other, 1)[0] for other in casting.rng.sample(kinds, CHOICES - 1)]
    return [casting.rng.choice(casting.world.facts[subject]) for subject in subjects]


def example(told: list[Fact], endings: list[Fact], split: str, rng: random.Random) -> Example:
    """Tell the passage, and the endings (the first is right) as sentences in any order."""
    templates = [rng.choice(fact.relation.statements(split)) for fact in [*told, *endings]]
    said = [
        fill(template, mention(fact.subject), mention(fact.object)).text
        for fact, template in zip(endings, templates[TOLD:], strict=True)
    ]
    order = rng.sample(range(CHOICES), CHOICES)
    row = {
        "context": passage(told, templates[:TOLD], rng).text,
        "question": QUESTION,
        "choices": [said[i] for i in order],
        "answer": order.index(0),
    }
    return Example(row, names(told + endings), tuple(templates))
