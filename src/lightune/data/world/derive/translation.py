"""Two facts in English, and the same in German.

The German phrases are the same in all splits: a language has to be learnt and cannot be guessed. The English ones and
all names are held out as everywhere.
"""

import random
import re
from collections.abc import Iterator

from lightune.data.world.examples import Example
from lightune.data.world.facts import Fact, World, names
from lightune.data.world.render import fill, mention, phrased
from lightune.data.world.tables.german import MONTHS, PHRASES

# Few, for the backbone is a decoder that takes minutes where the encoders of the other tasks take seconds.
SIZES = {"train": 600, "val": 60, "test": 160}
SENTENCES = 2

MONTH = re.compile(rf"\b({'|'.join(MONTHS)})\b")


def examples(world: World, rng: random.Random) -> Iterator[Example]:
    """Yield examples for ever.

    Args:
        world: Where the facts come from.
        rng: Source of every choice.

    Yields:
        Examples with ``en`` and ``de``.
    """
    known = [fact for facts in world.facts.values() for fact in facts if fact.relation.name in PHRASES]
    while True:
        told = rng.sample(known, SENTENCES)
        templates = phrased(told, world.split, rng)
        english = [english_of(fact, said) for fact, said in zip(told, templates, strict=True)]
        row = {"en": " ".join(english), "de": " ".join(german(fact) for fact in told)}
        yield Example(row, names(told), tuple(templates))


def english_of(fact: Fact, said: str) -> str:
    """Tell a fact by an English phrase."""
    return fill(said, mention(fact.subject), mention(fact.object)).text


def german(fact: Fact) -> str:
    """Tell a fact in German."""
    name, phrase = fact.object.name, PHRASES[fact.relation.name]
    if name.isdigit():  # a year without a month
        phrase = phrase.replace("im {o}", "{o}")
    elif any(letter.isdigit() for letter in name):  # people are called March and May too
        name = MONTH.sub(lambda month: MONTHS[month[0]], name)
    text = phrase.format(s=fact.subject.name, o=name)
    return text[:1].upper() + text[1:]
