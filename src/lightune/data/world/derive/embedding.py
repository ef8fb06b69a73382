"""Finding a passage: a question, the passage that answers it, and one that says other things of the same subject."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lightune.data.world.examples import Example
from lightune.data.world.facts import Fact, World, names
from lightune.data.world.kinds import Entity
from lightune.data.world.relations import Relation
from lightune.data.world.render import fill, mention, passage, phrased

SIZES = {"train": 1200, "val": 200, "test": 360}


@dataclass(frozen=True)
class Half:
    """A part of what is known of a subject, and which of it is asked for."""

    told: tuple[Fact, ...]
    asked: Fact


def examples(world: World, rng: random.Random) -> Iterator[Example]:
    """Yield two examples for each subject of the world, whose facts are dealt to two passages.

    Args:
        world: Where the facts come from.
        rng: Source of every choice.

    Yields:
        Examples with ``text`` (a question), ``text_pair`` (the passage that answers it) and ``negative`` (a passage
        with the subject's other facts, and with what is asked for, but of a rival). No other passage answers it.
    """
    dealt = {subject: deal(facts, rng) for subject, facts in world.facts.items()}
    for subject in rng.sample(list(dealt), len(dealt)):
        halves = dealt[subject]
        rivals = [rival(world, dealt, half.asked, rng) for half in halves]
        # Each passage answers its own question, and says of another subject what the other question asks for.
        told = [[*half.told, *other] for half, other in zip(halves, reversed(rivals), strict=True)]
        said = [phrased(facts, world.split, rng) for facts in told]
        texts = [shuffled(facts, templates, rng) for facts, templates in zip(told, said, strict=True)]
        for half, passages in zip(halves, (texts, texts[::-1]), strict=True):
            yield example(half.asked, passages, [*told[0], *told[1]], [*said[0], *said[1]], world.split, rng)


def deal(facts: Sequence[Fact], rng: random.Random) -> tuple[Half, Half]:
    """Deal a subject's facts to two passages, and choose one of each to ask for."""
    order = rng.sample(facts, len(facts))
    parts = tuple(order[: len(order) // 2]), tuple(order[len(order) // 2 :])
    one, other = (Half(part, rng.choice(part)) for part in parts)
    return one, other


def rival(world: World, dealt: Mapping[Entity, Sequence[Half]], asked: Fact, rng: random.Random) -> list[Fact]:
    """Return what is asked for, of another subject that nobody asks it of."""
    others = [s for s in world.subjects(asked.subject.kind) if asked.relation not in relations_asked(dealt[s])]
    subject = rng.choice(others)
    return [fact for fact in world.facts[subject] if fact.relation == asked.relation]


def relations_asked(halves: Sequence[Half]) -> list[Relation]:
    """Return the relations that questions about a subject are for."""
    return [half.asked.relation for half in halves]


def shuffled(facts: Sequence[Fact], templates: Sequence[str], rng: random.Random) -> str:
    """Say facts in any order."""
    order = rng.sample(range(len(facts)), len(facts))
    return passage([facts[i] for i in order], [templates[i] for i in order], rng).text


def example(
    asked: Fact, passages: Sequence[str], told: Sequence[Fact], templates: Sequence[str], split: str, rng: random.Random
) -> Example:
    """Ask for a fact that the first of two passages tells."""
    question = rng.choice(asked.relation.questions(split))
    row = {"text": fill(question, mention(asked.subject)).text, "text_pair": passages[0], "negative": passages[1]}
    return Example(row, names(told), (*templates, question))
