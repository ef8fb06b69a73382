"""Which texts stand in another set of texts too, word for word or nearly."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil

# Chinese and Japanese write no spaces: each of their characters counts as a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")

Words = tuple[str, ...]
Bag = frozenset[tuple[str, int]]  # each word with a number: how often it has come before


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


def similarity(one: Bag, other: Bag) -> float:
    """Return the Jaccard index, shared words over all words; of two empty ones 1."""
    shared = len(one & other)
    return shared / max(len(one) + len(other) - shared, 1) if one or other else 1.0


def bag_of(words: Words) -> Bag:
    """Return the words, the second occurrence of one as something else than the first."""
    seen: Counter[str] = Counter()
    bag = []
    for word in words:
        bag.append((word, seen[word]))
        seen[word] += 1
    return frozenset(bag)


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


def _first_words(bag: Bag, often: Counter[tuple[str, int]], threshold: float) -> list[tuple[str, int]]:
    # Rounding must not take a word away: 0.8 · 10 is a little above 8.
    count = len(bag) - ceil(threshold * len(bag) - 1e-9) + 1
    return sorted(bag, key=lambda word: (often[word], word))[:count]
