"""Extractive question answering: the answer is a span of the passage."""

import unicodedata
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from lightune import losses
from lightune.data.table import Row, Table
from lightune.errors import ConfigError, DataError
from lightune.metrics.qa import exact_match, f1, no_answer_metrics, worded
from lightune.numbers import is_number
from lightune.tasks.answers import read_answers
from lightune.tasks.base import Batch, Output, Prediction, Task, absent, model_inputs
from lightune.tasks.columns import Columns, canonical, require_text
from lightune.tasks.texts import shortened

_NOT_CONTEXT = -1
_SCORES = ("exact_match", "f1")


@dataclass(frozen=True)
class QuestionAnswering(Task):
    """The answer to a question as a span of a passage, in SQuAD's form.

    A long passage becomes several windows that overlap by `stride` tokens; each window is a feature. The answer of an
    example is the span with the highest score in any of its windows.

    With `no_answer` a question may have none, as in SQuAD 2.0. A window without the answer points at its first token,
    and that token's score as a span, the lowest over the windows, says how sure the model is that there is no answer
    in any of them: where it exceeds the best span's by more than a threshold, none is predicted (Devlin et al. 2019,
    section 4.3). A decoder's first token sees nothing but itself; there the score of the spans alone makes the
    difference.

    Args:
        columns: Canonical column (id, context, question, answers, is_impossible) → the data's column. The last may be
            left out, or be absent from the data; where it is true, the question has no answer whatever stands there.
        stride: Tokens that two windows share; at most a third of the length.
        max_answer_length: Longest answer that is predicted, in tokens.
        no_answer: Whether questions without an answer are learnt and predicted; else they are refused.
        no_answer_threshold: What the first token's score has to exceed the best span's by for no answer to be
            predicted. None takes what is best for F1 on the validation split, and 0 before that is known.
        architectures: Kinds of backbone that have a head for it.
        name: Name of the task.
        monitor: Validation metric that picks the best checkpoint.
    """

    columns: Columns
    stride: int = 128
    max_answer_length: int = 30
    no_answer: bool = False
    no_answer_threshold: float | None = None
    architectures: tuple[str, ...] = ("encoder", "decoder")
    name: str = "qa"
    monitor: str = "f1"

    auto_class: ClassVar[str] = "AutoModelForQuestionAnswering"
    peft_type: ClassVar[str] = "QUESTION_ANS"
    padding: ClassVar[Mapping[str, int]] = {"char_starts": _NOT_CONTEXT, "char_ends": _NOT_CONTEXT}
    eval_only: ClassVar[Sequence[str]] = ("char_starts", "char_ends")
    augmentable: ClassVar[Sequence[str]] = ("question",)
    unencoded: ClassVar[Sequence[str]] = ("max_answer_length", "no_answer", "no_answer_threshold")
    free_scores: ClassVar[Sequence[str]] = ("score", "no_answer_score")

    def __post_init__(self) -> None:
        value = self.no_answer_threshold
        if value is None:
            return
        if not is_number(value):
            raise ConfigError(
                f"task.no_answer_threshold={value}: expected null or a number", "type for instance 0, or leave it out"
            )
        if not self.no_answer:
            raise ConfigError(
                f"task.no_answer_threshold={value}: every question is given an answer",
                "type task.no_answer=true too, or leave it out",
            )

    def read(self, table: Table) -> Table:
        """Return rows of id, context, question and answers {text: [...], answer_start: [...]}."""
        read = canonical(table, self.columns, optional=("id", "is_impossible"), usual=("is_impossible",))
        for column in ("context", "question"):
            require_text(read, column, self.columns[column])
        for index, row in enumerate(read.rows):
            row["answers"] = read_answers(row, read.locate(index), self.no_answer)
            row.pop("is_impossible", None)
        return read

    def stand_ins(self, row: Row) -> Row:
        """Return the passage itself as the answer."""
        passage = row.get(str(self.columns["context"]))
        return absent(row, self.columns["answers"], {"text": [passage], "answer_start": [0]})

    def with_labels(self, train: Table) -> Self:
        """Return the task itself: answers have no names.

        Raises:
            DataError: No training question has an answer.
        """
        if not any(row["answers"]["text"] for row in train.rows):
            raise DataError(f"{train.origin}: no question has an answer", "is task.columns.answers the right column?")
        return self

    def counted(self, row: Row) -> Sequence[str]:
        """Return whether the question has an answer."""
        return ["answer" if row["answers"]["text"] else "no answer"]

    def measured(self, row: Row) -> Mapping[str, float]:
        """Return how long the first answer is, where there is one."""
        answers = row["answers"]["text"]
        return {"words of the answer": len(answers[0].split())} if answers else {}

    def group(self, row: Row) -> Hashable:
        """Return the passage: its questions stay in one split."""
        return row["context"]

    def encode(
        self, rows: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, list[Any]]:
        """Return one feature a window: input ids, the answer's first and last token, characters of each context token.

        Where the answer does not lie wholly in a window, or there is none, ``start`` and ``end`` are 0.
        """
        room = max_length - tokenizer.num_special_tokens_to_add(pair=True)
        _, questions, cut = shortened(rows["question"], tokenizer, room // 2)  # the passage needs room too
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
        """Return (example, first character, end character, score) of each window's best span, and its first token's."""
        inside = batch["char_starts"] != _NOT_CONTEXT
        start_logits, end_logits = output.logits
        start, end, score = best_spans(start_logits, end_logits, inside, self.max_answer_length)
        first = batch["char_starts"].gather(1, start[:, None]).squeeze(1)
        last = batch["char_ends"].gather(1, end[:, None]).squeeze(1)
        none = start_logits[:, 0].float() + end_logits[:, 0].float()
        columns = (batch["example"], first, last, score, none)
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def tuned(self, metrics: Mapping[str, float]) -> Self:
        """Return the task with the threshold that is best on the validation split, unless one was given."""
        if not self.no_answer or self.no_answer_threshold is not None or "best_threshold" not in metrics:
            return self
        return replace(self, no_answer_threshold=metrics["best_threshold"])

    def conclude(self, evidence: Sequence[Any], examples: Sequence[Row]) -> list[Prediction]:
        """Return the best span of all windows of each example, or "" for no answer, scored by exact match and F1."""
        best: dict[int, tuple[float, int, int]] = {}
        none: dict[int, float] = {}
        for example, first, last, score, none_score in evidence:
            # On equal scores the earlier span wins, whatever the order in which windows were seen.
            if example not in best or (score, -first) > (best[example][0], -best[example][1]):
                best[example] = (score, first, last)
            none[example] = min(none_score, none.get(example, none_score))
        spans = [self._answer(e, examples[e], *span) for e, span in sorted(best.items())]
        return [self._or_none(span, none[span.example]) for span in spans] if self.no_answer else spans

    def _answer(self, example: int, row: Row, score: float, first: int, last: int) -> Prediction:
        text, references = _text(row["context"], first, last), row["answers"]["text"]
        accepted = worded(references) if self.no_answer else references
        scores = {"score": score, "exact_match": exact_match(text, accepted), "f1": f1(text, accepted)}
        return Prediction(example, row["id"], text, references, scores)

    def _or_none(self, span: Prediction, none_score: float) -> Prediction:
        """Return the prediction of a span, or of no answer where that is likelier; both have the span's scores."""
        apart = none_score - span.scores["score"]
        kept = {f"span_{key}": span.scores[key] for key in _SCORES}
        scores = {**span.scores, "no_answer_score": apart, **kept}
        if apart <= self._threshold:
            return replace(span, scores=scores)
        return replace(span, prediction="", scores={**scores, **dict.fromkeys(_SCORES, float(not span.target))})

    @property
    def _threshold(self) -> float:
        return self.no_answer_threshold or 0.0

    def measure(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Return exact match and F1 as SQuAD defines them, from 0 to 1; with `no_answer` as its version 2.0 does."""
        if self.no_answer:
            return no_answer_metrics(
                [p.scores["span_exact_match"] for p in predictions],
                [p.scores["span_f1"] for p in predictions],
                [p.scores["no_answer_score"] for p in predictions],
                [bool(p.target) for p in predictions],
                self._threshold,
            )
        total = max(len(predictions), 1)
        return {key: sum(p.scores[key] for p in predictions) / total for key in _SCORES}


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


def _text(context: str, first: int, last: int) -> str:
    """Return the text of a predicted span."""
    # Tokenizers that strip accents leave a combining mark after the last letter outside the token.
    while last < len(context) and unicodedata.category(context[last]).startswith("M"):
        last += 1
    return context[first:last].strip() if first >= 0 else ""  # byte-level tokens begin with a space


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
    """Return first and last token of the first answer, or 0 and 0 where the window does not hold all of it, or none.

    Args:
        starts: First character of each token, -1 outside the passage.
        ends: End character of each token.
        answers: Of the example.
        begins: Whether the passage begins with this window.
        ends_it: Whether it ends with this window.
    """
    if not answers["text"]:
        return 0, 0
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
