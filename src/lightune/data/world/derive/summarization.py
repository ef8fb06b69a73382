"""What a passage says of the one it says most of, in other words."""

import random
from collections.abc import Iterator, Sequence

from lightune.data.world.examples import Example
from lightune.data.world.facts import Fact, World, names
from lightune.data.world.relations import subjects_of
from lightune.data.world.render import passage, phrased
from lightune.data.world.scenes import Casting, distinct, topic_cycle

# Few, for the backbone is a decoder that takes minutes where the encoders of the other tasks take seconds.
SIZES = {"train": 320, "val": 40, "test": 120}
MAIN, OTHERS = 3, 4  # facts about the one, and subjects with a fact each besides


def examples(world: World, rng: random.Random) -> Iterator[Example]:
    """Yield examples for ever.

    Args:
        world: Where the facts come from.
        rng: Source of every choice.

    Yields:
        Examples with ``document`` and ``summary``.
    """
    casting = Casting(world, rng)
    for topic in topic_cycle(rng):
        kind = casting.kind(topic)
        chosen = rng.sample(subjects_of(topic)[kind], MAIN)
        main, *others = casting.subjects(kind, 1 + OTHERS)
        facts = casting.facts(main, chosen)
        rivals = [casting.facts(other, [rng.choice(chosen)])[0] for other in others]
        if distinct(facts + rivals):
            yield example(facts, rivals, world.split, rng)


def example(facts: list[Fact], rivals: list[Fact], split: str, rng: random.Random) -> Example:
    """Tell all facts in any order, and those of the main subject again in that order."""
    told = rng.sample(facts + rivals, len(facts) + len(rivals))
    document = phrased(told, split, rng)
    again = [fact for fact in told if fact in facts]
    said = dict(zip(told, document, strict=True))
    summary = [other_words(fact.relation.statements(split), said[fact], rng) for fact in again]
    return Example(
        {"document": passage(told, document, rng).text, "summary": passage(again, summary, rng).text},
        names(told),
        (*document, *summary),
    )


def other_words(phrases: Sequence[str], said: str, rng: random.Random) -> str:
    """Return a phrase that was not said yet."""
    return rng.choice([phrase for phrase in phrases if phrase != said])
