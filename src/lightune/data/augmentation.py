"""Altered copies of training texts: easy data augmentation (Wei and Zou 2019). Needs no torch.

Each copy is altered in one way, chosen at random among those that are switched on: words are left out, change places,
are replaced by synonyms, or synonyms of them are put in elsewhere. What is altered depends on the seed and on the text
alone, so that every process and every later run sees the same copies.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lightune.data.table import Row, Table
from lightune.errors import ConfigError, DataError, nearest
from lightune.numbers import is_number

EXAMPLE = "'data.augment={copies: 1, delete: 0.1, swap: 0.1}'"

Thesaurus = Mapping[str, Sequence[str]]
Alteration = Callable[[list[str], int, random.Random, Thesaurus], list[str]]


@dataclass(frozen=True)
class Augmentation:
    """What is done to training texts.

    Args:
        copies: Altered copies of each training example.
        delete: Share of a text's words that are left out; 0 leaves this alteration out, as for those below.
        swap: Share of words that change places with another.
        replace: Share of words that a synonym is put in the place of.
        insert: Share of words of which a synonym is put in at a random place.
        back_translation: Two encoder-decoders, there and back; adds one more copy of each example, translated so.
        thesaurus: A file with a word, a tab, and its synonyms with commas between them on each line; or ``wordnet``, if
            NLTK has it.
    """

    copies: int = 1
    delete: float = 0.1
    swap: float = 0.1
    replace: float = 0.0
    insert: float = 0.0
    thesaurus: str | None = None
    back_translation: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.copies < (0 if self.back_translation else 1):
            raise ConfigError(
                f"data.augment.copies={self.copies}: expected 1 or more", "type data.augment=null for none"
            )
        for name in ALTERATIONS:
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(
                    f"data.augment.{name}={getattr(self, name)}: expected a share of the words, from 0 to 1",
                    f"type for instance data.augment.{name}=0.1",
                )
        if not self.shares and not self.back_translation:
            raise ConfigError("data.augment: every alteration is 0", "type for instance data.augment.swap=0.1")
        if (self.replace or self.insert) and not self.thesaurus:
            raise ConfigError(
                "data.augment: replace and insert need synonyms", "type data.augment.thesaurus=<file> or wordnet"
            )

    @classmethod
    def of(cls, settings: Any) -> "Augmentation":
        """Return the augmentation that a mapping of the arguments describes.

        Raises:
            ConfigError: It is none, names another argument, or one has no use.
        """
        if not isinstance(settings, Mapping):
            raise ConfigError(f"data.augment={settings}: expected settings", f"type {EXAMPLE}")
        known = [argument.name for argument in fields(cls)]
        for name, value in settings.items():
            if name not in known:
                raise ConfigError(f"data.augment.{name}: there is no such setting", nearest(name, known))
            if name not in ("thesaurus", "back_translation") and not is_number(value):
                raise ConfigError(f"data.augment.{name}={value}: expected a number", f"type {EXAMPLE}")
        return cls(**settings)

    @property
    def shares(self) -> dict[str, float]:
        """Return the share of words of each alteration that is switched on."""
        return {name: share for name in ALTERATIONS if (share := getattr(self, name))}

    def copies_of(self, table: Table, columns: Sequence[str], seed: int, cache: Path = Path()) -> Table:
        """Return the table's rows, and after them their altered copies.

        Args:
            table: Canonical rows to train on.
            columns: Those whose texts are altered.
            seed: Chooses what is altered.
            cache: Folder in which translations are kept.

        Returns:
            ``len(table) * (1 + copies)`` rows. A copy has the id of its row with ``~1``, ``~2``, … after it. With
            back-translation there are as many more, ``~back``.

        Raises:
            DataError: The file of synonyms is missing, or not of the form it should have.
        """
        synonyms = read_thesaurus(self.thesaurus) if self.thesaurus else {}
        altered = [
            {**self._altered(row, columns, f"{seed}/{copy}", synonyms), "id": f"{row['id']}~{copy}"}
            for copy in range(1, self.copies + 1 if self.shares else 1)
            for row in table.rows
        ]
        rows = [*table.rows, *altered, *self._translated(table.rows, columns, cache)]
        located = table.take(i % len(table) for i in range(len(rows)))
        return Table(rows, located.origin, located.lines, located.numbers, located.files)

    def _translated(self, rows: Sequence[Row], columns: Sequence[str], cache: Path) -> list[Row]:
        if self.back_translation is None:
            return []
        from lightune.data.back_translation import back_translated

        wanted = [(row, column) for row in rows for column in columns if isinstance(row.get(column), str)]
        texts = iter(back_translated([row[column] for row, column in wanted], self.back_translation, cache))
        copies = {id(row): {**row, "id": f"{row['id']}~back"} for row in rows}
        for row, column in wanted:
            # What came back empty, or as a blank, says nothing.
            copies[id(row)][column] = next(texts).strip() or row[column]
        return list(copies.values())

    def _altered(self, row: Row, columns: Sequence[str], seed: str, synonyms: Thesaurus) -> Row:
        texts = {column: row[column] for column in columns if isinstance(row.get(column), str)}
        drawn = random.Random(f"{seed}/{sorted(texts.items())}")
        return {**row, **{column: self.altered(text, drawn, synonyms) for column, text in texts.items()}}

    def altered(self, text: str, drawn: random.Random, synonyms: Thesaurus) -> str:
        """Return a text altered in one way; one of a single word stays as it is.

        Args:
            text: Words with spaces between them.
            drawn: Source of the choices.
            synonyms: Word in small letters → its synonyms.
        """
        words = text.split()
        name = drawn.choice(list(self.shares))
        count = max(1, round(self.shares[name] * len(words)))
        return " ".join(ALTERATIONS[name](words, count, drawn, synonyms)) if len(words) > 1 else text


def delete(words: list[str], count: int, drawn: random.Random, synonyms: Thesaurus) -> list[str]:
    """Leave out so many words, but not the last one that is left."""
    gone = set(drawn.sample(range(len(words)), min(count, len(words) - 1)))
    return [word for position, word in enumerate(words) if position not in gone]


def swap(words: list[str], count: int, drawn: random.Random, synonyms: Thesaurus) -> list[str]:
    """Let two words change places, so many times."""
    words = list(words)
    for _ in range(count):
        one, other = drawn.sample(range(len(words)), 2)
        words[one], words[other] = words[other], words[one]
    return words


def replace(words: list[str], count: int, drawn: random.Random, synonyms: Thesaurus) -> list[str]:
    """Put a synonym in the place of so many words, or of all that have one."""
    known = [position for position, word in enumerate(words) if _bare(word) in synonyms]
    chosen = set(drawn.sample(known, min(count, len(known))))
    return [_in_place_of(word, synonyms, drawn) if i in chosen else word for i, word in enumerate(words)]


def insert(words: list[str], count: int, drawn: random.Random, synonyms: Thesaurus) -> list[str]:
    """Put a synonym of a word that has one in at a random place, so many times."""
    known = [_bare(word) for word in words if _bare(word) in synonyms]
    words = list(words)
    for _ in range(count if known else 0):
        words.insert(drawn.randrange(len(words) + 1), drawn.choice(synonyms[drawn.choice(known)]))
    return words


ALTERATIONS: Mapping[str, Alteration] = {"delete": delete, "swap": swap, "replace": replace, "insert": insert}


def _bare(word: str) -> str:
    return word.strip(".,;:!?\"'()[]").lower()


def _in_place_of(word: str, synonyms: Thesaurus, drawn: random.Random) -> str:
    """Return a synonym between the marks that stood round the word, with a capital where it had one."""
    bare = _bare(word)
    begin = word.lower().index(bare)
    chosen = drawn.choice(synonyms[bare])
    chosen = chosen[:1].upper() + chosen[1:] if word[begin].isupper() else chosen
    return word[:begin] + chosen + word[begin + len(bare) :]


def read_thesaurus(source: str) -> Thesaurus:
    """Return synonyms by word, in small letters.

    Args:
        source: A file, or ``wordnet``.

    Raises:
        DataError: There is no such file; a line has another form; or NLTK has no WordNet.
    """
    if source == "wordnet":
        return _WordNet()
    path = Path(source).expanduser()
    if not path.is_file():
        raise DataError(
            f"data.augment.thesaurus={source}: there is no such file", "give a file of synonyms, or wordnet"
        )
    found: dict[str, list[str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        word, tab, others = line.partition("\t")
        listed = [other.strip() for other in others.split(",") if other.strip()]
        if line.strip() and not (tab and word.strip() and listed):
            raise DataError(
                f"{path}, line {number}: expected a word, a tab, and synonyms: {line!r:.60}",
                "write big<TAB>large, huge",
            )
        if listed:
            found.setdefault(word.strip().lower(), []).extend(listed)
    return found


class _WordNet(dict[str, list[str]]):
    """NLTK's WordNet, asked word by word."""

    def __init__(self) -> None:
        super().__init__()
        from nltk.corpus import wordnet

        try:
            wordnet.ensure_loaded()
        except LookupError as error:
            raise DataError(
                "data.augment.thesaurus=wordnet: NLTK has no WordNet here", "type python -m nltk.downloader wordnet"
            ) from error
        self._wordnet: Any = wordnet

    def __contains__(self, word: object) -> bool:
        return bool(self[str(word)])

    def __missing__(self, word: str) -> list[str]:
        names = {name for synset in self._wordnet.synsets(word) for name in synset.lemma_names()}
        self[word] = sorted(name.replace("_", " ") for name in names if name.lower() != word)
        return self[word]
