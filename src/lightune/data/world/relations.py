"""What can be said of the world: typed relations, and the phrases by which they are said and asked."""

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

SPLITS = ("train", "val", "test")
PHRASE_ROOM = "lightune.data.world.phrases"


@dataclass(frozen=True, eq=False)
class Relation:
    """A typed relation between a subject and an object, with its phrases; each is equal to itself alone.

    Args:
        topic: What a text made of such facts is about.
        subject: Kind of the subject.
        name: Name of the relation.
        object: Kind of the object.
        say: Statements, one a line.
        ask: Questions whose answer is the object, one a line.
    """

    topic: str
    subject: str
    name: str
    object: str
    say: str
    ask: str

    def statements(self, split: str) -> list[str]:
        """Return the statement templates that belong to a split."""
        return phrases_of(self.say, split)

    def questions(self, split: str) -> list[str]:
        """Return the question templates that belong to a split."""
        return phrases_of(self.ask, split)


def phrases_of(block: str, split: str) -> list[str]:
    """Cut a block of phrases: the last two lines are test's, a quarter before them is val's, the rest train's.

    Args:
        block: Phrases, one a line.
        split: Name of the split.

    Returns:
        The split's phrases, in the block's order.
    """
    lines = [line.strip() for line in block.strip().splitlines()]
    test, val = len(lines) - 2, len(lines) - 2 - len(lines) // 4
    return {"train": lines[:val], "val": lines[val:test], "test": lines[test:]}[split]


@cache
def relations() -> tuple[Relation, ...]:
    """Return every relation, in the order of topics and then of their files."""
    room = import_module(PHRASE_ROOM)
    topics = sorted(module.name for module in iter_modules(room.__path__))
    return tuple(row for topic in topics for row in import_module(f"{PHRASE_ROOM}.{topic}").RELATIONS)


@cache
def topics() -> tuple[str, ...]:
    """Return the names of the topics, sorted."""
    return tuple(sorted({relation.topic for relation in relations()}))


@cache
def subjects_of(topic: str) -> dict[str, tuple[Relation, ...]]:
    """Return the relations of a topic by the kind of their subject."""
    chosen = [relation for relation in relations() if relation.topic == topic]
    return {
        kind: tuple(relation for relation in chosen if relation.subject == kind)
        for kind in dict.fromkeys(relation.subject for relation in chosen)
    }
