"""The entities of one split, made from the words that belong to it."""

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import cycle

from lightune.data.world.relations import SPLITS
from lightune.data.world.tables import names, places, things, works
from lightune.data.world.tables.patterns import PATTERNS

SHARES = (0.60, 0.75)  # train's words end at the first share of a shuffled table, val's at the second
NAMES_PER_PATTERN = {"train": 10, "val": 4, "test": 6}
DATES = {"train": 130, "val": 30, "test": 60}

SLOT = re.compile(r"{(\w+)}")

Words = dict[str, list[str]]


@dataclass(frozen=True)
class Entity:
    """A thing of the world, or a value such as a date or a number.

    Args:
        kind: What it is: person, city, date …
        name: Its full name, without article.
        article: What stands before the name within a sentence: "the " or nothing.
        short: The name used once it has been introduced.
        pronoun: The pronoun that may stand for it.
    """

    kind: str
    name: str
    article: str = ""
    short: str = ""
    pronoun: str = "it"


def split_words(seed: int) -> dict[str, Words]:
    """Deal the words of every table to the splits.

    Args:
        seed: Seed of the shuffle.

    Returns:
        By split, each table's share; no word of a table belongs to two splits.
    """
    tables: Words = {
        name: rows
        for module in (names, places, works, things)
        for name, rows in vars(module).items()
        if isinstance(rows, list) and name != "MONTHS"
    }
    tables |= {unit: [f"{number:,} {noun}" for number in rows] for unit, (rows, noun) in things.NUMBERS.items()}
    tables |= {key: [str(year) for year in getattr(things, key)] for key in ("BIRTH_YEARS", "DEED_YEARS")}
    tables["CHARTER_YEARS"] = [str(year) for year in things.CHARTER_YEARS]
    dealt: dict[str, Words] = {split: {} for split in SPLITS}
    for name, rows in tables.items():
        deck = random.Random(f"{seed}:{name}").sample(rows, len(rows))
        low, high = (round(share * len(deck)) for share in SHARES)
        for split, part in zip(SPLITS, (deck[:low], deck[low:high], deck[high:]), strict=True):
            dealt[split][name] = part
    return dealt


def populate(split: str, words: Words, rng: random.Random) -> dict[str, list[Entity]]:
    """Make the entities of a split.

    Args:
        split: Name of the split.
        words: Its share of the tables.
        rng: Source of the remaining choices.

    Returns:
        Entities by kind.
    """
    towns = words["STEMS"] + words["TOWNS"]
    found = {
        "person": people(words, rng),
        "city": plain("city", towns),
        "region": plain("region", words["REGIONS"]),
        "river": plain("river", [f"the {name}" for name in words["RIVERS"]]),
        "mountain": plain("mountain", words["MOUNTAINS"]),
        "sea": plain("sea", words["SEAS"]),
        "novel": plain("novel", words["NOVELS"]),
        "opera": plain("opera", words["OPERAS"]),
        "substance": plain("substance", words["SUBSTANCES"]),
        "profession": plain("profession", words["PROFESSIONS"]),
        "product": plain("product", words["PRODUCTS"]),
        "people": plain("people", words["PEOPLES"]),
        "material": plain("material", words["MATERIALS"]),
        "use": plain("use", words["USES"]),
        "charter": plain("charter", words["CHARTER_YEARS"]),
        "birth": plain("birth", words["BIRTH_YEARS"]),
        "date": dates("date", words["DEED_YEARS"], DATES[split], rng),
        "day": dates("day", words["DEED_YEARS"], DATES[split], rng),
    }
    found |= {unit: plain(unit, words[unit]) for unit in things.NUMBERS}
    slots = words | {"PLACE": towns}
    found |= {kind: composed(kind, slots, NAMES_PER_PATTERN[split], rng) for kind in PATTERNS}
    return found


def plain(kind: str, rows: Iterable[str]) -> list[Entity]:
    """Make one entity of each name; a leading "the" becomes the article."""
    return [named(kind, row) for row in rows]


def named(kind: str, text: str, short: str = "") -> Entity:
    """Make an entity from a name that may begin with an article."""
    name = text.removeprefix("the ")
    return Entity(kind, name, "the " if name != text else "", short or name)


def people(words: Words, rng: random.Random) -> list[Entity]:
    """Make one person of each surname, women and men in turn."""
    surnames = rng.sample(words["STEMS"] + words["SURNAMES"], len(words["STEMS"]) + len(words["SURNAMES"]))
    sexes = cycle([(cycle(words["WOMEN"]), "she"), (cycle(words["MEN"]), "he")])
    return [
        Entity("person", f"{next(first)} {surname}", "", surname, pronoun)
        for surname, (first, pronoun) in zip(surnames, sexes, strict=False)
    ]


def composed(kind: str, slots: Words, per_pattern: int, rng: random.Random) -> list[Entity]:
    """Fill the patterns of a kind with words of the split.

    Args:
        kind: Kind of entity, a key of `PATTERNS`.
        slots: Words by slot.
        per_pattern: How many names each pattern gives.
        rng: Chooses the words.

    Returns:
        Entities with different names. A team's short name is its town's.
    """
    found: dict[str, Entity] = {}
    for pattern in PATTERNS[kind]:
        keys = SLOT.findall(pattern)
        picks = [rng.sample(slots[key], min(per_pattern, len(slots[key]))) for key in keys]
        for parts in zip(*picks, strict=True):
            text = pattern
            for part in parts:
                text = SLOT.sub(part, text, count=1)
            found[text] = named(kind, text, parts[0] if kind == "team" else "")
    return list(found.values())


def dates(kind: str, years: list[str], count: int, rng: random.Random) -> list[Entity]:
    """Make different dates in the given years: days ("3 May 1850"), or bare years and months ("May 1850")."""
    texts = [f"{month} {year}" for month in things.MONTHS for year in years]
    texts = [f"{rng.randint(1, 28)} {text}" for text in texts] if kind == "day" else texts + 6 * years
    return plain(kind, dict.fromkeys(rng.sample(texts, min(count, len(texts)))))
