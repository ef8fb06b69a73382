"""What there is to see in a data set: lengths, labels, numbers, words. Nothing here knows a task by its name."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from lightune.data.encoding import EncodedSplit, encoded
from lightune.data.table import Row
from lightune.forecast.overlap import Overlap, bag_of, similarity, words_of
from lightune.forecast.words import distinctive
from lightune.models.vocabulary import texts_of
from lightune.tasks.base import Task

_ROWS = 20_000  # of a split that are read again; of more, every so many
_UNCUT = 1_000_000  # tokens: more than a text has
_BATCH = 1_000
_MOST_WORDS = 10  # of a label

Splits = Mapping[str, EncodedSplit]
Scored = Sequence[tuple[str, float]]  # words, or labels, and a number of each


@dataclass(frozen=True)
class Facts:
    """What is shown of a data set.

    Args:
        limit: Tokens of a feature, above which something is cut off.
        examples: Split → how many there are.
        truncated: Split → how many of them lose tokens.
        lengths: Split → tokens of each feature, before anything is cut off.
        labels: Split → how often each label occurs; nothing where there are no two.
        numbers: What is measured of rows → split → its values.
        words: Label → the words that tell it from the others in the first split, with their scores.
    """

    limit: int
    examples: Mapping[str, int]
    truncated: Mapping[str, int]
    lengths: Mapping[str, Sequence[int]]
    labels: Mapping[str, Counter[str]]
    numbers: Mapping[str, Mapping[str, Sequence[float]]]
    words: Mapping[str, Scored]


@dataclass(frozen=True)
class Pair:
    """An example and a training example with the same words, or nearly: another one, and an earlier one of train.

    Args:
        split: Of the first.
        number: Its position.
        text: Its text.
        place: Position of the other in train.
        other: Its text.
    """

    split: str
    number: int
    text: str
    place: int
    other: str

    @property
    def shared(self) -> float:
        """The share of the words of both together that both have."""
        return similarity(bag_of(words_of(self.text)), bag_of(words_of(self.other)))


def facts(task: Task, tokenizer: PreTrainedTokenizerBase, splits: Splits, limit: int) -> Facts:
    """Return what is to be seen of the splits.

    Args:
        task: Says what is counted and measured of a row.
        tokenizer: Of the backbone.
        splits: Those that are there, the training split first where it was read.
        limit: Tokens of a feature.
    """
    rows = {split: _some(each.examples) for split, each in splits.items()}
    counts = {split: Counter(label for row in e.examples for label in task.counted(row)) for split, e in splits.items()}
    return Facts(
        limit,
        {split: len(each.examples) for split, each in splits.items()},
        {split: each.truncated for split, each in splits.items()},
        {split: _lengths(some, task, tokenizer) for split, some in rows.items()},
        counts if len(set().union(*counts.values())) > 1 else {},
        _numbers(task, splits),
        label_words(task, next(iter(rows.values()), [])),
    )


def pairs(found: Mapping[str, Overlap], texts: Mapping[str, Sequence[str]]) -> Iterator[Pair]:
    """Yield the examples that stand among the training examples, with these; the evaluated ones first.

    Args:
        found: Split → which of its texts do.
        texts: Split → its texts.
    """
    for split, overlap in sorted(found.items(), key=lambda each: each[0] == "train"):
        for number, place in {**overlap.exact, **overlap.near}.items():
            yield Pair(split, number, texts[split][number], place, texts["train"][place])


def label_words(task: Task, rows: Sequence[Row]) -> dict[str, list[tuple[str, float]]]:
    """Return label → the words that tell it from the others, frequent labels first; nothing where there are no two."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    often: Counter[str] = Counter()
    for row in rows:
        words = Counter(word for text in texts_of([row]) for word in words_of(text))
        often.update(labels := dict.fromkeys(task.counted(row), 1))
        for label in labels:
            counts[label].update(words)
    return (
        distinctive({label: counts[label] for label, _ in often.most_common()}, _MOST_WORDS) if len(often) > 1 else {}
    )


def _numbers(task: Task, splits: Splits) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {}
    for split, each in splits.items():
        for row in each.examples:
            for name, value in task.measured(row).items():
                found.setdefault(name, {}).setdefault(split, []).append(value)
    return found


def _lengths(rows: Sequence[Row], task: Task, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    parts = (encoded(rows[at : at + _BATCH], at, task, tokenizer, _UNCUT) for at in range(0, len(rows), _BATCH))
    return [int(length) for part in parts for length in part["length"]]


def _some(rows: Sequence[Row]) -> Sequence[Row]:
    return rows[:: -(-len(rows) // _ROWS)] if rows else rows
