"""Classification and named entities on the Hugging Face side, as in transformers' ``run_glue`` and ``run_ner``.

Metrics come from scikit-learn and seqeval.
"""

from functools import partial
from typing import Any

import numpy as np
from peft import TaskType
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    PreTrainedTokenizerBase,
)

from hf_base import Batch, Collator, Encoded, without_length
from hf_data import Row

IGNORED = -100


class ClassificationTask:
    """Single-label classification of texts or pairs of texts."""

    auto_class: Any = AutoModelForSequenceClassification
    peft_type = TaskType.SEQ_CLS
    monitor = "f1_macro"
    extra_columns: tuple[str, ...] = ("row",)

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int, train: list[Row]) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        from sklearn import metrics  # before any clock runs, and for this task only

        self.metrics = metrics
        self.labels = sorted({row["label"] for row in train})
        self.index = {label: index for index, label in enumerate(self.labels)}

    def model_arguments(self) -> dict[str, Any]:
        """Return the number of labels and their names."""
        return {"num_labels": len(self.labels), "id2label": dict(enumerate(self.labels)), "label2id": self.index}

    def encode(self, batch: Batch) -> Batch:
        """Tokenise texts, truncating the longer part first."""
        pair = batch.get("text_pair")
        encoding = self.tokenizer(batch["text"], pair, truncation=True, max_length=self.max_length)
        return {
            **{name: encoding[name] for name in self.tokenizer.model_input_names},
            "labels": [self.index[label] for label in batch["label"]],
            "length": [len(ids) for ids in encoding["input_ids"]],
            "row": batch["row"],
        }

    def collator(self) -> Collator:
        """Pad to the longest feature of the batch."""
        return without_length(DataCollatorWithPadding(self.tokenizer))

    def reduce_logits(self, logits: Any, labels: Any) -> Any:
        """Keep the best class only."""
        return logits.argmax(dim=-1)

    def score(self, split: Encoded, predictions: list[Any]) -> dict[str, float]:
        """Accuracy, averaged F1, precision and recall, and Matthews' correlation."""
        found = np.concatenate(predictions)
        wanted = np.array([self.index[split.rows[int(row)]["label"]] for row in split.extra["row"]])
        average = partial(self.metrics.precision_recall_fscore_support, wanted, found, zero_division=0)
        macro, micro = average(average="macro"), average(average="micro")
        return {
            "accuracy": float(self.metrics.accuracy_score(wanted, found)),
            "precision_macro": float(macro[0]),
            "recall_macro": float(macro[1]),
            "f1_macro": float(macro[2]),
            "f1_micro": float(micro[2]),
            "mcc": float(self.metrics.matthews_corrcoef(wanted, found)),
        }


class NerTask:
    """Named entities: one BIO tag per word, predicted at the word's first token."""

    auto_class: Any = AutoModelForTokenClassification
    peft_type = TaskType.TOKEN_CLS
    monitor = "f1"
    extra_columns: tuple[str, ...] = ("row", "words")

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int, train: list[Row]) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        from seqeval import metrics

        self.metrics = metrics
        self.tags = sorted({tag for row in train for tag in row["tags"]})
        self.index = {tag: index for index, tag in enumerate(self.tags)}

    def model_arguments(self) -> dict[str, Any]:
        """Return the number of tags and their names."""
        return {"num_labels": len(self.tags), "id2label": dict(enumerate(self.tags)), "label2id": self.index}

    def encode(self, batch: Batch) -> Batch:
        """Tokenise words; a tag stands at each word's first token and -100 everywhere else."""
        encoding = self.tokenizer(
            batch["tokens"], is_split_into_words=True, truncation=True, max_length=self.max_length
        )
        words = [_first_tokens(encoding.word_ids(index)) for index in range(len(batch["tokens"]))]
        unknown = self.index["O"]
        labels = [
            [IGNORED if word < 0 else self.index.get(tags[word], unknown) for word in heads]
            for heads, tags in zip(words, batch["tags"], strict=True)
        ]
        return {
            **{name: encoding[name] for name in self.tokenizer.model_input_names},
            "labels": labels,
            "length": [len(ids) for ids in encoding["input_ids"]],
            "row": batch["row"],
            "words": words,
        }

    def collator(self) -> Collator:
        """Pad inputs and labels to the longest feature of the batch."""
        return without_length(DataCollatorForTokenClassification(self.tokenizer))

    def reduce_logits(self, logits: Any, labels: Any) -> Any:
        """Keep the best tag of each token only."""
        return logits.argmax(dim=-1)

    def score(self, split: Encoded, predictions: list[Any]) -> dict[str, float]:
        """Entity-level scores; a word cut off or without tokens counts as predicted ``O``."""
        found = [["O"] * len(row["tokens"]) for row in split.rows]
        lines = (line for batch in predictions for line in batch)
        for row, words, line in zip(split.extra["row"], split.extra["words"], lines, strict=True):
            for position in np.flatnonzero(words >= 0):
                found[int(row)][words[position]] = self.tags[line[position]]
        wanted = [row["tags"] for row in split.rows]
        return {
            "f1": float(self.metrics.f1_score(wanted, found, average="micro")),
            "f1_macro": float(self.metrics.f1_score(wanted, found, average="macro")),
            "precision": float(self.metrics.precision_score(wanted, found, average="micro")),
            "recall": float(self.metrics.recall_score(wanted, found, average="micro")),
            "accuracy": float(self.metrics.accuracy_score(wanted, found)),
        }


def _first_tokens(word_ids: list[int | None]) -> list[int]:
    """Return for each token the word that starts there, -1 elsewhere."""
    previous = [None, *word_ids[:-1]]
    return [
        word if word is not None and word != before else -1 for word, before in zip(word_ids, previous, strict=True)
    ]
