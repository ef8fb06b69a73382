"""Named entities: sentences of the world and asides, cut into words, each name tagged in BIO."""

import random
import re
from collections.abc import Iterator

from lightune.data.world.examples import Example
from lightune.data.world.facts import Fact, World
from lightune.data.world.kinds import Entity
from lightune.data.world.render import Text, fill, join, mention
from lightune.data.world.scenes import Casting, topic_cycle
from lightune.data.world.tables.asides import ASIDES

SIZES = {"train": 1200, "val": 200, "test": 360}
SHORT_SHARE = 0.5
WORD = re.compile(r"\d[\d,]*\d|\w+|'s|[^\w\s]")
SLOT = re.compile(r"{(short )?(\w+)}")

KINDS = {
    "PER": ("person",),
    "LOC": ("city", "region", "river", "mountain", "sea", "building"),
    "ORG": ("school", "publisher", "company", "team"),
    "WORK": ("novel", "opera"),
    "EVENT": ("battle", "cup", "festival"),
    "DATE": ("birth", "date", "day", "charter"),
}
TYPES = {kind: label for label, kinds in KINDS.items() for kind in kinds}

Part = tuple[Text, str]  # a sentence and its template


def examples(world: World, rng: random.Random) -> Iterator[Example]:
    """Yield examples for ever: one statement and one or two asides, in any order.

    Args:
        world: Where names and facts come from.
        rng: Source of every choice.

    Yields:
        Examples with ``tokens`` and ``tags``.
    """
    casting = Casting(world, rng)
    for topic in topic_cycle(rng):
        subject = casting.subjects(casting.kind(topic), 1)[0]
        parts = [statement(rng.choice(world.facts[subject]), world.split, rng)]
        asides = ASIDES[world.split].strip().splitlines()
        parts += [aside(template, world, rng) for template in rng.sample(asides, rng.randint(1, 2))]
        rng.shuffle(parts)
        yield example(parts)


def statement(fact: Fact, split: str, rng: random.Random) -> Part:
    """Say a fact, with short names here and there."""
    template = rng.choice(fact.relation.statements(split))
    return fill(template, called(fact.subject, rng), called(fact.object, rng)), template


def called(entity: Entity, rng: random.Random) -> Text:
    """Name an entity, by its short name in `SHORT_SHARE` of the cases."""
    return mention(entity, entity.short if rng.random() < SHORT_SHARE else "")


def aside(template: str, world: World, rng: random.Random) -> Part:
    """Fill an aside with entities of the world."""
    pieces, end = [], 0
    for slot in SLOT.finditer(template):
        pieces += [Text(template[end : slot.start()]), slot_text(slot, world, rng)]
        end = slot.end()
    whole = join([piece for piece in [*pieces, Text(template[end:])] if piece.text], between="")
    return Text(whole.text[:1].upper() + whole.text[1:], whole.mentions), template


def slot_text(slot: re.Match[str], world: World, rng: random.Random) -> Text:
    """Choose what fills a slot of an aside."""
    entity = rng.choice(world.entities[slot[2]])
    if slot[2] == "people":
        return Text(entity.name)
    return mention(entity, entity.short if slot[1] else "")


def example(parts: list[Part]) -> Example:
    """Cut sentences into words and tag them."""
    text = join(sentence for sentence, _ in parts)
    words = list(WORD.finditer(text.text))
    row = {"tokens": [word[0] for word in words], "tags": [tag(word, text) for word in words]}
    named = tuple(sorted({m.entity.name for m in text.mentions}))
    return Example(row, named, tuple(template for _, template in parts))


def tag(word: re.Match[str], text: Text) -> str:
    """Return the BIO tag of one word."""
    for found in text.mentions:
        if found.start <= word.start() < found.end and found.entity.kind in TYPES:
            return ("B-" if word.start() == found.start else "I-") + TYPES[found.entity.kind]
    return "O"
