"""Named entity recognition: a tag for every word."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from torch import nn
from transformers import PreTrainedTokenizerBase

from lightune import losses
from lightune.data.table import Row, Table
from lightune.errors import DataError
from lightune.losses import IGNORED
from lightune.metrics.ner import entities, ner_metrics, per_type_table, split_tag
from lightune.tasks.base import Batch, Output, Prediction, Task, absent, model_inputs
from lightune.tasks.columns import Columns, canonical
from lightune.tasks.labels import label_config, refuse_unknown_labels, sorted_labels

OUTSIDE = "O"
_NO_WORD = -1


@dataclass(frozen=True)
class EntityRecognition(Task):
    """Tags such as ``B-PER``, one a word; the first piece of a word carries its tag, and decides in predictions.

    Args:
        columns: Canonical column (id, tokens, tags) → the data's column.
        labels: Tag names in the order of the head's outputs; None takes those of the training rows.
        all_subwords: Whether the other pieces of a word are learnt too: as the inside of an entity that it begins,
            else as the word itself.
        architectures: Kinds of backbone that have a head for it.
        name: Name of the task.
        monitor: Validation metric that picks the best checkpoint.
    """

    columns: Columns
    labels: tuple[str, ...] | None = None
    all_subwords: bool = False
    architectures: tuple[str, ...] = ("encoder", "decoder")
    name: str = "ner"
    monitor: str = "f1"

    auto_class: ClassVar[str] = "AutoModelForTokenClassification"
    peft_type: ClassVar[str] = "TOKEN_CLS"
    pretokenized: ClassVar[bool] = True
    padding: ClassVar[Mapping[str, int]] = {"labels": IGNORED, "words": _NO_WORD}
    eval_only: ClassVar[Sequence[str]] = ("words",)

    def read(self, table: Table) -> Table:
        """Return rows of id, tokens (list of words) and tags (as many)."""
        read = canonical(table, self.columns)
        for index, row in enumerate(read.rows):
            tokens, tags = row["tokens"], row["tags"]
            if not isinstance(tokens, list) or not isinstance(tags, list) or len(tokens) != len(tags) or not tokens:
                seen = " and ".join(str(len(v)) if isinstance(v, list) else repr(v)[:40] for v in (tokens, tags))
                raise DataError(
                    f"{read.locate(index)}: tokens and tags should be lists of the same length, and are {seen}",
                    "give one tag for each word",
                )
            row["tokens"], row["tags"] = [str(t) for t in tokens], [str(t) for t in tags]
            _check_form(row["tags"], read.locate(index))
        return read

    def stand_ins(self, row: Row) -> Row:
        """Return ``O`` for each word."""
        words = row.get(str(self.columns["tokens"]))
        return absent(row, self.columns["tags"], [OUTSIDE] * len(words)) if isinstance(words, list) else {}

    def with_labels(self, train: Table) -> Self:
        """Return the task with the tags of the training rows, unless they were given."""
        labels = sorted_labels({tag for row in train.rows for tag in row["tags"]} | {OUTSIDE}, self.labels)
        if labels == (OUTSIDE,):
            raise DataError(f"{train.origin}: no word is tagged, all are O", "is task.columns.tags the right column?")
        return replace(self, labels=labels)

    def check_labels(self, table: Table) -> None:
        """Raise DataError at the first row that has an unknown tag."""
        refuse_unknown_labels(table, self.labels, lambda row: row["tags"])

    def stratum(self, row: Row) -> Hashable:
        """Return whether the sentence has an entity at all."""
        return any(tag != OUTSIDE for tag in row["tags"])

    def counted(self, row: Row) -> Sequence[str]:
        """Return the type of each entity."""
        return [kind for kind, *_ in entities(row["tags"])]

    def head_config(self) -> dict[str, Any]:
        """Return the tag names for the model's configuration."""
        assert self.labels is not None
        return label_config(self.labels)

    def encode(
        self, rows: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, list[Any]]:
        """Return input ids; a word's number at its first piece (``words``), its tag there or at all (``labels``)."""
        assert self.labels is not None
        encoded = tokenizer(rows["tokens"], is_split_into_words=True, truncation=True, max_length=max_length)
        of_words = [encoded.word_ids(i) for i in range(len(rows["tokens"]))]
        words = [_first_pieces(row) for row in of_words]
        labels = [self._piece_labels(*row) for row in zip(of_words, words, rows["tags"], strict=True)]
        # Only a cut at the end loses words; one that has no piece at all (a lone control character) is no truncation.
        cut = [
            len(ids) >= max_length and max(row) + 1 < len(tags)
            for ids, row, tags in zip(encoded["input_ids"], words, rows["tags"], strict=True)
        ]
        inputs = {key: values for key, values in encoded.items() if key != "attention_mask"}
        return {**inputs, "labels": labels, "words": words, "example": rows["example"], "truncated": cut}

    def _piece_labels(self, of_words: Sequence[int | None], words: Sequence[int], tags: Sequence[str]) -> list[int]:
        assert self.labels is not None
        index = {label: i for i, label in enumerate(self.labels)}
        others = [index.get(_inside(tag), index[tag]) if self.all_subwords else IGNORED for tag in tags]
        return [
            index[tags[first]] if first != _NO_WORD else IGNORED if word is None else others[word]
            for word, first in zip(of_words, words, strict=True)
        ]

    def step(self, model: nn.Module, batch: Batch) -> Output:
        """Return the cross entropy over tagged words; logits are (batch, length, tags)."""
        logits = model(**model_inputs(batch)).logits
        return Output(*losses.cross_entropy(logits, batch["labels"]), (logits.detach(),))

    def predict(self, output: Output, batch: Batch) -> list[Any]:
        """Return (example, {word: tag index}) for each feature."""
        best = output.logits[0].argmax(-1).tolist()
        return [
            (example, {w: tag for w, tag in zip(words, tags, strict=True) if w != _NO_WORD})
            for example, words, tags in zip(batch["example"].tolist(), batch["words"].tolist(), best, strict=True)
        ]

    def conclude(self, evidence: Sequence[Any], examples: Sequence[Row]) -> list[Prediction]:
        """Return a tag for each word; words beyond the model's length count as ``O``."""
        assert self.labels is not None
        names = self.labels
        predictions = []
        for example, tags in evidence:
            row = examples[example]
            predicted = [names[tags[w]] if w in tags else OUTSIDE for w in range(len(row["tokens"]))]
            predictions.append(Prediction(example, row["id"], predicted, row["tags"]))
        return predictions

    def measure(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Return entity-level F1, precision and recall, and the accuracy over words."""
        return ner_metrics(*_tags(predictions))

    def tables(self, predictions: Sequence[Prediction]) -> dict[str, list[dict[str, Any]]]:
        """Return precision, recall, F1 and support of each entity type."""
        return {"per_type": per_type_table(*_tags(predictions))}


def _check_form(tags: Sequence[str], place: str) -> None:
    """Raise DataError at a tag that the metrics could not read: better now than after an epoch."""
    for tag in tags:
        try:
            split_tag(tag)
        except DataError as error:
            raise DataError(f"{place}: {error.problem}", error.remedy) from None


def _first_pieces(word_ids: Sequence[int | None]) -> list[int]:
    """Return the number of the word where a word begins, and -1 elsewhere."""
    previous = [None, *word_ids[:-1]]
    return [w if w is not None and w != p else _NO_WORD for w, p in zip(word_ids, previous, strict=True)]


def _inside(tag: str) -> str:
    return f"I-{tag[2:]}" if tag.startswith("B-") else tag


def _tags(predictions: Sequence[Prediction]) -> tuple[list[list[str]], list[list[str]]]:
    return [p.prediction for p in predictions], [p.target for p in predictions]
