"""Which texts stand in another set of texts too, or twice in one, word for word or nearly."""

import re
import unicodedata
from array import array
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, TypeVar

# Chinese and Japanese write no spaces: each of their characters counts as a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")

Numbered = TypeVar("Numbered", bound=Hashable)
Words = tuple[str, ...]
Word = tuple[str, int]  # a word, and how often it has come before in its text
Bag = frozenset[Word]


@dataclass
class Overlap:
    """What of some texts is found among others.

    Args:
        exact: Position of a text → position of another with the same words.
        near: Position of a text → position of another with nearly the same words; none of those in `exact`.
    """

    exact: dict[int, int] = field(default_factory=dict)
    near: dict[int, int] = field(default_factory=dict)


def words_of(text: str) -> Words:
    """Return the words of a text, without case, punctuation and the width of characters."""
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def similarity(one: frozenset[Numbered], other: frozenset[Numbered]) -> float:
    """Return the Jaccard index, shared words over all words; of two empty ones 1."""
    shared = len(one & other)
    return shared / max(len(one) + len(other) - shared, 1) if one or other else 1.0


def bag_of(words: Words) -> Bag:
    """Return the words, the second occurrence of one as something else than the first."""
    return frozenset(_numbered(words))


def _numbered(words: Words) -> list[Word]:
    seen: Counter[str] = Counter()
    numbered = []
    for word in words:
        numbered.append((word, seen[word]))
        seen[word] += 1
    return numbered


def overlap(texts: Sequence[str], others: Iterable[str], threshold: float) -> Overlap:
    """Find the texts that stand among others.

    No pair is missed: two sets as alike as the threshold share one of their first words, in any fixed order, where
    ``|x| − ⌈threshold · |x|⌉ + 1`` words count as the first (prefix filtering: Chaudhuri et al. 2006, Bayardo et al.
    2007). With the rarest words first, few pairs have to be compared. The others are gone through once, and not kept.

    Args:
        texts: Such as those of a test set.
        others: Such as those of a training set.
        threshold: Least `similarity` of nearly the same words, above 0.
    """
    found = Overlap()
    read = [words_of(text) for text in texts]
    bags = [bag_of(words) for words in read]
    same: dict[Words, list[int]] = defaultdict(list)
    for number, words in enumerate(read):
        same[words].append(number)
    often = Counter(word for bag in bags for word in bag)
    starts: dict[tuple[str, int], list[int]] = defaultdict(list)
    for number, bag in enumerate(bags):
        for word in _first_words(bag, often, threshold):
            starts[word].append(number)
    for place, other in enumerate(others):
        words = words_of(other)
        for number in same.pop(words, ()):
            found.exact[number] = place
        bag = bag_of(words)
        near = {number for word in _first_words(bag, often, threshold) for number in starts.get(word, ())}
        for number in near - found.near.keys() - found.exact.keys():
            if similarity(bags[number], bag) >= threshold:
                found.near[number] = place
    found.near = {number: place for number, place in found.near.items() if number not in found.exact}
    return found


def doubles(texts: Iterable[str], threshold: float) -> Overlap:
    """Find the texts that say again what an earlier one says, by the same filter as `overlap`.

    Args:
        texts: Such as those of a training set.
        threshold: Least `similarity` of nearly the same words, above 0.

    Returns:
        For each text the first with the same words, or else the first with nearly the same ones: of those that are like
        no text before them, so that of a group of alike texts all but one are found.
    """
    found = Overlap()
    read = _distinct(texts, found)
    often = Counter(word for words in read.values() for word in words)
    starts: dict[int, list[int]] = defaultdict(list)
    for number, words in read.items():
        bag = frozenset(words)
        first = _first_words(bag, often, threshold)
        places = sorted({place for word in first for place in starts[word]})
        alike = (place for place in places if _as_long(len(words), len(read[place]), threshold))
        near = next((place for place in alike if similarity(bag, frozenset(read[place])) >= threshold), None)
        if near is not None:
            found.near[number] = near
            continue
        for word in first:
            starts[word].append(number)
    return found


def _distinct(texts: Iterable[str], found: Overlap) -> dict[int, "array[int]"]:
    """Return position → words as numbers, which take little memory; note in `found` what repeats an earlier text."""
    numbers: Any = defaultdict(lambda: len(numbers))
    first: dict[bytes, int] = {}
    kept = {}
    for number, text in enumerate(texts):
        words = array("L", [numbers[word] for word in _numbered(words_of(text))])
        place = first.setdefault(words.tobytes(), number)
        if place == number:
            kept[number] = words
        else:
            found.exact[number] = place
    return kept


def _as_long(one: int, other: int, threshold: float) -> bool:
    """Return whether texts of so many words can be alike."""
    return min(one, other) >= threshold * max(one, other) - 1e-9


def _first_words(bag: frozenset[Numbered], often: Counter[Numbered], threshold: float) -> list[Numbered]:
    # Rounding must not take a word away: 0.8 · 10 is a little above 8.
    count = len(bag) - ceil(threshold * len(bag) - 1e-9) + 1
    return sorted(bag, key=lambda word: (often[word], word))[:count]
