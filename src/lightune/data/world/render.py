"""From facts to text: which words stand where, and which of them name what."""

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lightune.data.world.facts import Fact
from lightune.data.world.kinds import Entity

SLOT = re.compile(r"{(\w)}")
PRONOUN_SHARE = 0.35


@dataclass(frozen=True)
class Mention:
    """Where a text names an entity: `text[start:end]`."""

    start: int
    end: int
    entity: Entity


@dataclass(frozen=True)
class Text:
    """A text and what it names, in reading order. Pronouns are no mentions."""

    text: str
    mentions: tuple[Mention, ...] = ()


def join(parts: Iterable[Text], between: str = " ") -> Text:
    """Join texts, shifting their mentions."""
    text, mentions = "", []
    for part in parts:
        lead = len(text) + len(between) if text else 0
        text = text + between + part.text if text else part.text
        mentions += [Mention(lead + m.start, lead + m.end, m.entity) for m in part.mentions]
    return Text(text, tuple(mentions))


def mention(entity: Entity, name: str = "") -> Text:
    """Name an entity, with its article."""
    name = name or entity.name
    start = len(entity.article)
    return Text(entity.article + name, (Mention(start, start + len(name), entity),))


def fill(template: str, subject: Text, answer: Text | None = None) -> Text:
    """Fill a template's slots and begin the sentence with a capital.

    Args:
        template: A phrase with `{s}`, `{o}` and `{a}`, the indefinite article of the object.
        subject: Stands for `{s}`.
        answer: Stands for `{o}`; questions have none.

    Returns:
        The sentence.
    """
    answer = answer or Text("")
    article = Text("an" if answer.text[:1] in "aeiou" else "a")
    slots = {"s": subject, "o": answer, "a": article}
    pieces = [slots[part] if i % 2 else Text(part) for i, part in enumerate(SLOT.split(template))]
    whole = join((piece for piece in pieces if piece.text), between="")
    return Text(whole.text[:1].upper() + whole.text[1:], whole.mentions)


def phrased(facts: Iterable[Fact], split: str, rng: random.Random) -> list[str]:
    """Choose a statement template of a split for each fact."""
    return [rng.choice(fact.relation.statements(split)) for fact in facts]


def passage(facts: Sequence[Fact], templates: Sequence[str], rng: random.Random) -> Text:
    """Say facts one after the other.

    A subject is introduced by its full name; later its short name may follow, and a pronoun where the sentence before
    had the same subject.

    Args:
        facts: What is said, in order.
        templates: One statement template per fact.
        rng: Chooses between name and pronoun.

    Returns:
        The passage.
    """
    introduced: set[Entity] = set()
    sentences, last = [], None
    for fact, template in zip(facts, templates, strict=True):
        subject = mention(fact.subject, fact.subject.short if fact.subject in introduced else "")
        if fact.subject == last and template.startswith("{s} ") and rng.random() < PRONOUN_SHARE:
            subject = Text(fact.subject.pronoun)
        sentences.append(fill(template, subject, mention(fact.object)))
        introduced.add(fact.subject)
        last = fact.subject
    return join(sentences)
