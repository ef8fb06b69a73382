"""Extractive question answering: the answer is a span of the passage."""

import unicodedata
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from lightune import losses
from lightune.data.table import Row, Table
from lightune.errors import DataError
from lightune.metrics.qa import exact_match, f1
from lightune.tasks.base import Batch, Columns, Output, Prediction, Task, canonical, model_inputs, require_text

_NOT_CONTEXT = -1


@dataclass(frozen=True)
class QuestionAnswering(Task):
    """The answer to a question as a span of a passage, in SQuAD's form.

    A long passage becomes several windows that overlap by `stride` tokens; each window is a feature. The answer of an
    example is the span with the highest score in any of its windows.

    Args:
        columns: Canonical column (id, context, question, answers) → the data's column.
        stride: Tokens that two windows share; at most a third of the length.
        max_answer_length: Longest answer that is predicted, in tokens.
        architectures: Kinds of backbone that have a head for it.
        name: Name of the task.
        monitor: Validation metric that picks the best checkpoint.
    """

    columns: Columns
    stride: int = 128
    max_answer_length: int = 30
    architectures: tuple[str, ...] = ("encoder", "decoder")
    name: str = "qa"
    monitor: str = "f1"

    auto_class: ClassVar[str] = "AutoModelForQuestionAnswering"
    peft_type: ClassVar[str] = "QUESTION_ANS"
    padding: ClassVar[Mapping[str, int]] = {"char_starts": _NOT_CONTEXT, "char_ends": _NOT_CONTEXT}
    eval_only: ClassVar[Sequence[str]] = ("char_starts", "char_ends")

    def read(self, table: Table) -> Table:
        """Return rows of id, context, question and answers {text: [...], answer_start: [...]}."""
        read = canonical(table, self.columns)
        for column in ("context", "question"):
            require_text(read, column, self.columns[column])
        for index, row in enumerate(read.rows):
            row["answers"] = _checked_answers(row, read.locate(index))
        return read

    def group(self, row: Row) -> Hashable:
        """Return the passage: its questions stay in one split."""
        return row["context"]

    def encode(
        self, rows: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, list[Any]]:
        """Return one feature a window: input ids, the answer's first and last token, characters of each context token.

        Where the answer does not lie wholly in a window, ``start`` and ``end`` are 0.
        """
        room = max_length - tokenizer.num_special_tokens_to_add(pair=True)
        questions, cut = _short_enough(rows["question"], tokenizer, room // 2)
        encoded = tokenizer(
            questions,
            rows["context"],
            truncation="only_second",
            max_length=max_length,
            stride=min(self.stride, max_length // 3, room - room // 2 - 1),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        origin = encoded.pop("overflow_to_sample_mapping")
        offsets = encoded.pop("offset_mapping")
        columns: dict[str, list[Any]] = {key: v for key, v in encoded.items() if key != "attention_mask"}
        spans = [_context_offsets(offsets[i], encoded.sequence_ids(i)) for i in range(len(origin))]
        answers = [
            _answer_tokens(*span, rows["answers"][e], begins=e != before, ends_it=e != after)
            for span, before, e, after in zip(spans, [None, *origin[:-1]], origin, [*origin[1:], None], strict=True)
        ]
        columns["char_starts"], columns["char_ends"] = [s for s, _ in spans], [e for _, e in spans]
        columns["start"], columns["end"] = [s for s, _ in answers], [e for _, e in answers]
        columns["example"] = [rows["example"][e] for e in origin]
        columns["truncated"] = [cut[e] for e in origin]
        return columns

    def step(self, model: nn.Module, batch: Batch) -> Output:
        """Return the mean of start and end cross entropy of each window; logits are two of (batch, length)."""
        outputs = model(**model_inputs(batch))
        logits = (outputs.start_logits, outputs.end_logits)
        loss = losses.span_cross_entropy(*logits, batch["start"], batch["end"], mask=batch["attention_mask"])
        return Output(*loss, tuple(part.detach() for part in logits))

    def predict(self, output: Output, batch: Batch) -> list[Any]:
        """Return (example, first character, end character, score) of each window's best span."""
        inside = batch["char_starts"] != _NOT_CONTEXT
        start_logits, end_logits = output.logits
        start, end, score = best_spans(start_logits, end_logits, inside, self.max_answer_length)
        first = batch["char_starts"].gather(1, start[:, None]).squeeze(1)
        last = batch["char_ends"].gather(1, end[:, None]).squeeze(1)
        return list(zip(batch["example"].tolist(), first.tolist(), last.tolist(), score.tolist(), strict=True))

    def conclude(self, evidence: Sequence[Any], examples: Sequence[Row]) -> list[Prediction]:
        """Return the best span of all windows of each example, scored by exact match and F1."""
        best: dict[int, tuple[float, int, int]] = {}
        for example, first, last, score in evidence:
            # On equal scores the earlier span wins, whatever the order in which windows were seen.
            if example not in best or (score, -first) > (best[example][0], -best[example][1]):
                best[example] = (score, first, last)
        return [_answer(e, examples[e], *span) for e, span in sorted(best.items())]

    def measure(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Return exact match and F1 as SQuAD defines them, from 0 to 1."""
        total = max(len(predictions), 1)
        return {key: sum(p.scores[key] for p in predictions) / total for key in ("exact_match", "f1")}


def best_spans(start: Tensor, end: Tensor, inside: Tensor, longest: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return each row's span with the highest sum of start and end score.

    Args:
        start: Score of each position as the first token of the answer, ``(batch, length)``.
        end: Score of each position as its last token, ``(batch, length)``.
        inside: True where a token belongs to the passage, ``(batch, length)``.
        longest: Longest span, in tokens.

    Returns:
        First position, last position (inclusive) and score, ``(batch,)`` each. The search is exact: it looks at all
        ``length × longest`` spans.
    """
    lowest = torch.finfo(torch.float32).min / 4  # two of them can be added
    start = start.float().masked_fill(~inside, lowest)
    end = end.float().masked_fill(~inside, lowest)
    width = min(longest, start.size(1))
    padded = nn.functional.pad(end, (0, width - 1), value=lowest)
    sums = start[:, :, None] + padded.unfold(1, width, 1)  # (batch, first position, length - 1)
    score, flat = sums.flatten(1).max(1)
    first = flat // width
    return first, first + flat % width, score


def _answer(example: int, row: Row, score: float, first: int, last: int) -> Prediction:
    context = row["context"]
    # Tokenizers that strip accents leave a combining mark after the last letter outside the token.
    while last < len(context) and unicodedata.category(context[last]).startswith("M"):
        last += 1
    text = context[first:last].strip() if first >= 0 else ""  # byte-level tokens begin with a space
    references = row["answers"]["text"]
    scores = {"score": score, "exact_match": exact_match(text, references), "f1": f1(text, references)}
    return Prediction(example, row["id"], text, references, scores)


def _checked_answers(row: Row, place: str) -> dict[str, list[Any]]:
    """Return the answers as lists of texts and offsets.

    A plain text is searched for in the passage; offsets that are given must hold the text.
    """
    answers, context = row["answers"], row["context"]
    if isinstance(answers, str):
        if not answers.strip() or answers not in context:
            raise DataError(
                f"{place}: the answer {answers!r} does not stand in the context",
                "mend it (capitals and spaces count), or leave the row out",
            )
        answers = {"text": [answers], "answer_start": [context.find(answers)]}
    if not isinstance(answers, dict) or not all(isinstance(answers.get(k), list) for k in ("text", "answer_start")):
        raise DataError(
            f"{place}: answers should be a text or {{'text': [...], 'answer_start': [...]}}, and is {answers!r:.60}",
            "bring the column into that form, or name another one: task.columns.answers=…",
        )
    texts, starts = list(answers["text"]), list(answers["answer_start"])
    if not texts or len(texts) != len(starts):
        raise DataError(
            f"{place}: the question has {len(texts)} answers and {len(starts)} offsets",
            "give each answer its offset; leave out questions that have no answer",
        )
    for text, start in zip(texts, starts, strict=True):
        if not isinstance(text, str) or not isinstance(start, int):
            raise DataError(
                f"{place}: an answer is {text!r:.60} at {start!r:.60}",
                "an answer is a text, and its offset a whole number of characters",
            )
        _check_place(text, start, context, place)
    return {"text": texts, "answer_start": starts}


def _check_place(text: str, start: int, context: str, place: str) -> None:
    if not text.strip() or start < 0 or context[start : start + len(text)] != text:
        there = context[max(start, 0) : max(start, 0) + len(text)]
        raise DataError(
            f"{place}: the answer {text!r} does not stand at character {start} of the context, but {there!r} does",
            "mend answer_start, or give the answer as a plain text and it is searched for",
        )


def _short_enough(
    questions: Sequence[str], tokenizer: PreTrainedTokenizerBase, longest: int
) -> tuple[list[str], list[bool]]:
    """Cut questions that would leave no room for the passage; returns them and which were cut."""
    encoded = tokenizer(list(questions), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    cut = [len(ids) > longest for ids in encoded["input_ids"]]
    kept = [
        question[: offsets[longest - 1][1]] if is_cut else question
        for question, offsets, is_cut in zip(questions, encoded["offset_mapping"], cut, strict=True)
    ]
    return kept, cut


def _context_offsets(
    offsets: Sequence[tuple[int, int]], sequence_ids: Sequence[int | None]
) -> tuple[list[int], list[int]]:
    """Return first and end character of each token that belongs to the passage, -1 for the others."""
    inside = [sequence == 1 for sequence in sequence_ids]
    return (
        [start if there else _NOT_CONTEXT for (start, _), there in zip(offsets, inside, strict=True)],
        [end if there else _NOT_CONTEXT for (_, end), there in zip(offsets, inside, strict=True)],
    )


def _answer_tokens(
    starts: Sequence[int], ends: Sequence[int], answers: Mapping[str, Sequence[Any]], begins: bool, ends_it: bool
) -> tuple[int, int]:
    """Return first and last token of the first answer, or 0 and 0 where the window does not hold all of it.

    Args:
        starts: First character of each token, -1 outside the passage.
        ends: End character of each token.
        answers: Of the example.
        begins: Whether the passage begins with this window.
        ends_it: Whether it ends with this window.
    """
    text = answers["text"][0]
    begin = answers["answer_start"][0] + len(text) - len(text.lstrip())
    stop = begin + len(text.strip())
    inside = [i for i, first in enumerate(starts) if first != _NOT_CONTEXT]
    tokens = [i for i in inside if starts[i] < stop and ends[i] > begin]
    if not tokens:
        return 0, 0
    # Tokenizers drop some characters (control characters, say), so it is only at the edge between two windows that an
    # end which no token covers tells of a cut.
    first, last = tokens[0], tokens[-1]
    whole_before = begins or first > inside[0] or starts[first] <= begin
    whole = whole_before and (ends_it or last < inside[-1] or ends[last] >= stop)
    return (first, last) if whole else (0, 0)
