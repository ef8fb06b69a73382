"""Extractive question answering on the Hugging Face side.

The recipe is that of transformers' example ``run_qa``, with post-processing vectorised over windows where that script
loops over pairs of positions. Metrics come from torchmetrics.
"""

from typing import Any, cast

import numpy as np
from peft import TaskType
from transformers import AutoModelForQuestionAnswering, DataCollatorWithPadding, PreTrainedTokenizerBase

from hf_base import Array, Batch, Collator, Encoded, without_length

STRIDE = 128
N_BEST = 20
MAX_ANSWER_TOKENS = 30


class QaTask:
    """Extractive question answering over windows of the passage."""

    auto_class: Any = AutoModelForQuestionAnswering
    peft_type = TaskType.QUESTION_ANS
    monitor = "f1"
    extra_columns: tuple[str, ...] = ("row", "first_char", "last_char")

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        from torchmetrics.functional.text import squad  # before any clock runs, and for this task only

        self.metric = squad

    def model_arguments(self) -> dict[str, Any]:
        """Return nothing: the head's size is fixed."""
        return {}

    def encode(self, batch: Batch) -> Batch:
        """Cut (question, passage) pairs into windows and mark the first answer's tokens in each."""
        encoding = self.tokenizer(
            batch["question"],
            batch["context"],
            truncation="only_second",
            max_length=self.max_length,
            stride=STRIDE,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        source = encoding["overflow_to_sample_mapping"]
        offsets = [_context_offsets(encoding, index) for index in range(len(source))]
        spans = [_token_span(found, batch["answers"][row]) for found, row in zip(offsets, source, strict=True)]
        return {
            **{name: encoding[name] for name in self.tokenizer.model_input_names},
            "start_positions": [start for start, _ in spans],
            "end_positions": [end for _, end in spans],
            "length": [len(ids) for ids in encoding["input_ids"]],
            "row": [batch["row"][row] for row in source],
            "first_char": [found[:, 0] for found in offsets],
            "last_char": [found[:, 1] for found in offsets],
        }

    def collator(self) -> Collator:
        """Pad to the longest feature of the batch."""
        return without_length(DataCollatorWithPadding(self.tokenizer))

    def reduce_logits(self, logits: Any, labels: Any) -> Any:
        """Keep start and end logits."""
        return logits

    def score(self, split: Encoded, predictions: list[Any]) -> dict[str, float]:
        """Exact match and F1 of the best span over all windows of each question."""
        texts = best_answers(split, predictions)
        found = [{"id": row["id"], "prediction_text": text} for row, text in zip(split.rows, texts, strict=True)]
        wanted = [{"id": row["id"], "answers": row["answers"]} for row in split.rows]
        scores = self.metric(cast(Any, found), cast(Any, wanted))
        return {name: scores[name].item() / 100 for name in ("f1", "exact_match")}


def _context_offsets(encoding: Any, index: int) -> Array:
    """Return character offsets ``(length, 2)`` of one window, -1 at every token outside the passage."""
    offsets = np.array(encoding["offset_mapping"][index], dtype=np.int32)
    inside = np.array([part == 1 for part in encoding.sequence_ids(index)])
    offsets[~inside] = -1
    return offsets


def _token_span(offsets: Array, answers: dict[str, list[Any]]) -> tuple[int, int]:
    """Return first and last token of the first answer, or 0, 0 (the [CLS] token) where the window lacks it."""
    first = answers["answer_start"][0]
    last = first + len(answers["text"][0])
    inside = np.flatnonzero(offsets[:, 0] >= 0)
    starts, ends = offsets[inside, 0], offsets[inside, 1]
    if first < starts[0] or last > ends[-1]:
        return 0, 0
    start = np.searchsorted(starts, first, side="right") - 1
    end = np.searchsorted(ends, last, side="left")
    return int(inside[start]), int(inside[end])


def best_spans(start: Array, end: Array, inside: Array) -> tuple[Array, Array, Array]:
    """Find each window's best span among the ``N_BEST`` best starts and ends.

    Args:
        start: Start logits ``(batch, length)``.
        end: End logits ``(batch, length)``.
        inside: True at tokens of the passage ``(batch, length)``.

    Returns:
        Score (the sum of the two logits; minus infinity where no span is allowed), first and last token, ``(batch,)``.
    """
    best = min(N_BEST, start.shape[1])
    start, end = np.where(inside, start, -np.inf), np.where(inside, end, -np.inf)
    starts = np.argpartition(-start, best - 1, axis=1)[:, :best]
    ends = np.argpartition(-end, best - 1, axis=1)[:, :best]
    total = np.take_along_axis(start, starts, 1)[:, :, None] + np.take_along_axis(end, ends, 1)[:, None, :]
    extent = ends[:, None, :] - starts[:, :, None]
    total[(extent < 0) | (extent >= MAX_ANSWER_TOKENS)] = -np.inf
    flat = total.reshape(len(total), -1).argmax(axis=1)
    window = np.arange(len(total))
    return total.reshape(len(total), -1)[window, flat], starts[window, flat // best], ends[window, flat % best]


def best_answers(split: Encoded, predictions: list[Any]) -> list[str]:
    """Return one answer text per example; the empty text where no window offers an allowed span."""
    scores = np.full(len(split.rows), -np.inf)
    answers = [""] * len(split.rows)
    position = 0
    for start, end in predictions:
        windows = range(position, position + len(start))
        position += len(start)
        inside = np.zeros(start.shape, dtype=bool)
        for line, window in enumerate(windows):
            first_char = split.extra["first_char"][window]
            inside[line, : len(first_char)] = first_char >= 0
        for window, score, first, last in zip(windows, *best_spans(start, end, inside), strict=True):
            row = int(split.extra["row"][window])
            if score > scores[row]:
                scores[row] = score
                begin, stop = split.extra["first_char"][window][first], split.extra["last_char"][window][last]
                answers[row] = split.rows[row]["context"][begin:stop]
    return answers
