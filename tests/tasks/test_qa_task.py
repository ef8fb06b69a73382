"""Spans from characters to tokens and back, windows that lose nothing, and answers put together from all of them."""

import random
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from lightune.data import world
from lightune.data.loaders import Collate
from lightune.data.table import Row, Table
from lightune.errors import DataError
from lightune.models import Backbone
from lightune.tasks.base import Batch, Output
from lightune.tasks.qa import QuestionAnswering, best_spans

TASK = QuestionAnswering(columns={name: name for name in ("id", "context", "question", "answers", "is_impossible")})
PADS = {"input_ids": 0, "token_type_ids": 0, **TASK.padding}
# Accents (also as separate code points), other scripts, code points beyond 16 bits, words of many pieces, punctuation.
WORDS = (
    "the Seine flows through Paris naïve café e\u0301te\u0301 größer İstanbul Москва Ελλάδα 東京 한국 नमस्ते שלום "
    "😀 👩‍🚀 𝔘𝔫𝔦 "
    "unaffable antidisestablishmentarianism 3.14 1,903 U.S. O'Neil (1911) $5 100% don't — “quoted” x² #1"
).split()
GAPS = (" ", " ", " ", "  ", "\n", "\t", " \u00a0 ", "   ")
TOKENIZERS = ("tokenizer", "byte_level_tokenizer")


@pytest.fixture(params=TOKENIZERS)
def any_tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    return request.getfixturevalue(request.param)


def _passage(rng: random.Random, words: int) -> tuple[str, str, int]:
    """Return a context, an answer of whole words in it, and where it begins."""
    pieces = [piece for _ in range(words) for piece in (rng.choice(WORDS), rng.choice(GAPS))]
    first = 2 * rng.randrange(words)
    last = min(first + 2 * rng.randrange(5) + 1, 2 * words - 1)
    return "".join(pieces), "".join(pieces[first:last]), len("".join(pieces[:first]))


def _rows(count: int, words: int, seed: int = 0) -> list[Row]:
    rng = random.Random(seed)
    passages = [_passage(rng, rng.randint(1, words)) for _ in range(count)]
    return [
        {"id": str(i), "context": c, "question": "what?", "answers": {"text": [a], "answer_start": [s]}, "example": i}
        for i, (c, a, s) in enumerate(passages)
    ]


def _row(context: str, answer: str, question: str = "what?", example: int = 0) -> Row:
    answers = {"text": [answer], "answer_start": [context.index(answer)]}
    return {"id": str(example), "context": context, "question": question, "answers": answers, "example": example}


def _encode(
    rows: list[Row], tokenizer: PreTrainedTokenizerBase, length: int, task: QuestionAnswering = TASK
) -> list[dict[str, Any]]:
    """Return one mapping for each window."""
    encoded = task.encode({key: [row[key] for row in rows] for key in rows[0]}, tokenizer, length)
    return [dict(zip(encoded, values, strict=True)) for values in zip(*encoded.values(), strict=True)]


def _held(window: dict[str, Any]) -> tuple[int, int]:
    """Return the first character of a window's passage, and the one after its last."""
    return min(c for c in window["char_starts"] if c >= 0), max(window["char_ends"])


def _labelled(window: dict[str, Any], row: Row) -> str:
    """Return the text that is predicted where the model chooses the labelled tokens."""
    span = window["char_starts"][window["start"]], window["char_ends"][window["end"]]
    return str(TASK.conclude([(0, *span, 0.0, 0.0)], [row])[0].prediction)


@pytest.mark.parametrize("length", [64, 384])
def test_the_labelled_tokens_are_the_answer(any_tokenizer: PreTrainedTokenizerBase, length: int) -> None:
    rows = _rows(1500, 30)
    labelled = 0
    windows = _encode(rows, any_tokenizer, length)
    for window, later in zip(windows, [*windows[1:], {"example": -1}], strict=True):
        row = rows[window["example"]]
        (answer,), (begin,) = row["answers"]["text"], row["answers"]["answer_start"]
        first, stop = _held(window)
        # What follows the last token of a passage are characters that have none.
        stop = stop if later["example"] == window["example"] else len(row["context"])
        if first <= begin and begin + len(answer) <= stop:
            labelled += 1
            assert _labelled(window, row) == answer
        else:
            assert (window["start"], window["end"]) == (0, 0)
    assert labelled >= len(rows)


@pytest.mark.parametrize("length", [24, 64])
@pytest.mark.parametrize("stride", [0, 5, 128])
def test_windows_cover_the_passage_and_overlap(
    any_tokenizer: PreTrainedTokenizerBase, length: int, stride: int
) -> None:
    rows = _rows(30, 150, seed=1)
    shared = min(stride, length // 3)
    windows = _encode(rows, any_tokenizer, length, QuestionAnswering(columns=TASK.columns, stride=stride))
    for i, row in enumerate(rows):
        own = [window for window in windows if window["example"] == i]
        assert all(len(window["input_ids"]) <= length for window in own)
        spans = [[s for s in zip(w["char_starts"], w["char_ends"], strict=True) if s[0] >= 0] for w in own]
        whole = any_tokenizer(row["context"], add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        joined = spans[0] + [span for later in spans[1:] for span in later[shared:]]
        assert joined == whole
        assert all(one[len(one) - shared :] == two[:shared] for one, two in pairwise(spans))


def test_tokens_outside_the_passage_are_marked(tokenizer: PreTrainedTokenizerBase) -> None:
    (window,) = _encode([_row("It is Paris.", "Paris")], tokenizer, 64)
    assert tokenizer.convert_ids_to_tokens(window["input_ids"]) == "[CLS] what ? [SEP] it is paris . [SEP]".split()
    assert window["char_starts"] == [-1, -1, -1, -1, 0, 3, 6, 11, -1]
    assert window["char_ends"] == [-1, -1, -1, -1, 2, 5, 11, 12, -1]
    assert (window["start"], window["end"]) == (6, 6)
    assert window["token_type_ids"] == [0, 0, 0, 0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("context", "answer", "found"),
    [
        ("He said: Paris it is.", " Paris ", "Paris"),
        ("Paris it is.", "Paris ", "Paris"),
        (" Paris it is.", " Paris", "Paris"),
        ("I \u2764\ufe0f it", "\u2764\ufe0f", "\u2764\ufe0f"),  # WordPiece drops the variation selector
        ("It is a\u200bb\u200b here", "a\u200bb\u200b", "a\u200bb"),  # and characters without width
        ("It is a\u200b", "a\u200b", "a"),
        ("\u200bIt is", "\u200bIt", "It"),
        ("In 1903-1911 only", "1903-1911", "1903-1911"),
        ("Unaffable he was", "affable", "Unaffable"),  # part of a word: the tokens that overlap it
    ],
)
def test_characters_without_a_token_do_not_lose_the_answer(
    tokenizer: PreTrainedTokenizerBase, context: str, answer: str, found: str
) -> None:
    row = _row(context, answer)
    (window,) = _encode([row], tokenizer, 64)
    assert _labelled(window, row).casefold() == found.casefold()


def test_an_answer_that_a_window_cuts_is_not_in_it(tokenizer: PreTrainedTokenizerBase) -> None:
    cut = 0
    for before in range(30):
        row = _row(" ".join(["one"] * before + ["two", "three", "four"] + ["five"] * 30), "two three four")
        begin = row["answers"]["answer_start"][0]
        for window in _encode([row], tokenizer, 24, QuestionAnswering(columns=TASK.columns, stride=2)):
            first, stop = _held(window)
            whole = first <= begin and begin + len("two three four") <= stop
            assert ((window["start"], window["end"]) != (0, 0)) == whole
            cut += not whole and first < begin + len("two three four") and begin < stop
    assert cut > 3


@pytest.mark.parametrize("length", [8, 9, 12, 16, 17, 24, 40])
def test_a_long_question_leaves_room_for_the_passage(any_tokenizer: PreTrainedTokenizerBase, length: int) -> None:
    question = " ".join(["what do you want"] * 20)
    rows = [_row("it is big " * 10 + "end", "end", question), _row("it is big " * 10 + "end", "end", "a?", 1)]
    windows = _encode(rows, any_tokenizer, length)
    assert [window["truncated"] for window in windows] == [window["example"] == 0 for window in windows]
    for window in windows:
        assert len(window["input_ids"]) <= length
        passage = sum(c >= 0 for c in window["char_starts"])
        assert passage >= 1
    asked = [w["input_ids"] for w in windows if w["example"] == 0]
    begins = any_tokenizer(question, add_special_tokens=False)["input_ids"]
    extra = any_tokenizer.num_special_tokens_to_add(pair=True)
    kept = (length - extra) // 2
    at = 1 if extra else 0
    assert all(ids[at : at + kept] == begins[:kept] for ids in asked)
    assert max(w["char_ends"][-1 - (extra > 0)] for w in windows if w["example"] == 0) == len(rows[0]["context"])


def _brute_force(start: Tensor, end: Tensor, inside: Tensor, longest: int) -> tuple[int, int, float]:
    found = (-1, -1, float("-inf"))
    for i in range(len(start)):
        for j in range(i, min(i + longest, len(start))):
            score = float(start[i] + end[j])
            if inside[i] and inside[j] and score > found[2]:
                found = (i, j, score)
    return found


@pytest.mark.parametrize("longest", [1, 2, 7, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_best_span_is_the_best_of_all(longest: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(longest)
    start, end = torch.randn(2, 60, 23, generator=generator).mul(3).to(dtype)
    inside = torch.rand(60, 23, generator=generator) < 0.6
    inside[:, 5] = True
    firsts, lasts, scores = best_spans(start, end, inside, longest)
    for row in range(60):
        expected = _brute_force(start[row].float(), end[row].float(), inside[row], longest)
        assert (int(firsts[row]), int(lasts[row]), float(scores[row])) == pytest.approx(expected)


def test_scores_that_would_overflow_are_still_compared() -> None:
    big = torch.tensor([[60000.0, 59000.0, 60000.0]], dtype=torch.float16)
    first, last, score = best_spans(big, big, torch.tensor([[False, True, True]]), 5)
    assert (first.item(), last.item(), score.item()) == (2, 2, 120000.0)


def test_the_best_window_decides_whatever_their_order() -> None:
    row = {"id": "a", "context": "one two three", "answers": {"text": ["two"], "answer_start": [4]}}
    spans = [(0, 0, 3, 1.5), (0, 4, 7, 2.5), (0, 8, 13, 2.0), (1, 0, 3, -7.0), (1, 4, 7, -7.0), (1, -1, -1, -9.0)]
    evidence = [(*span, 99.0) for span in spans]  # that there is no answer is none of its predictions
    for seed in range(20):
        shuffled = random.Random(seed).sample(evidence, len(evidence))
        first, second = TASK.conclude(shuffled, [row, {**row, "id": "b"}])
        assert (first.id, first.prediction, first.scores) == ("a", "two", {"score": 2.5, "exact_match": 1.0, "f1": 1.0})
        assert (second.id, second.prediction, second.scores["f1"]) == ("b", "one", 0.0)  # equal scores: the earlier


def test_an_example_is_scored_by_its_best_reference() -> None:
    row = {
        "id": "a",
        "context": "in the big city",
        "answers": {"text": ["city", "the big city"], "answer_start": [11, 3]},
    }
    (prediction,) = TASK.conclude([(0, 7, 15, 0.0, 0.0)], [row])
    assert prediction.prediction == "big city"
    assert prediction.scores == {"score": 0.0, "exact_match": 1.0, "f1": 1.0}  # articles do not count
    half = TASK.conclude([(0, 7, 10, 0.0, 0.0), (1, 3, 15, 0.0, 0.0)], [row, row])
    # "big" against "big city": precision 1, recall 1/2, F1 2/3.
    assert TASK.measure(half) == pytest.approx({"exact_match": 0.5, "f1": (2 / 3 + 1) / 2})
    assert TASK.tables(half) == {}


def _oracle(batch: Batch) -> Output:
    """Return the logits of a model that knows: certain where the answer is, low in windows without it."""
    known = batch["start"] > 0
    rows = torch.arange(len(known))[known]
    start, end = (torch.full(batch["input_ids"].shape, -10.0) for _ in range(2))
    start[rows, batch["start"][known]] = 10.0
    end[rows, batch["end"][known]] = 10.0
    return Output(torch.tensor(0.0), torch.tensor(len(known)), (start, end))


def _oracle_metrics(
    rows: list[Row], tokenizer: PreTrainedTokenizerBase, length: int, task: QuestionAnswering = TASK
) -> dict[str, float]:
    table = task.read(Table(rows, "oracle"))
    windows = _encode([{**row, "example": i} for i, row in enumerate(table.rows)], tokenizer, length)
    collate, evidence = Collate(PADS), []
    for at in range(0, len(windows), 16):
        batch = collate([{k: v for k, v in w.items() if k != "truncated"} for w in windows[at : at + 16]])
        evidence += task.predict(_oracle(batch), batch)
    predictions = task.conclude(evidence, table.rows)
    assert [p.example for p in predictions] == list(range(len(rows)))
    return task.measure(predictions)


def test_a_model_that_knows_answers_the_corpus(any_tokenizer: PreTrainedTokenizerBase) -> None:
    rows = world.generate("qa")["val"]
    assert _oracle_metrics(rows, any_tokenizer, 384) == {"exact_match": 1.0, "f1": 1.0}
    # Short windows, several for a passage; none of the answers is longer than their overlap.
    assert _oracle_metrics(rows, any_tokenizer, 96) == {"exact_match": 1.0, "f1": 1.0}


def test_a_model_that_knows_answers_passages_of_many_windows(any_tokenizer: PreTrainedTokenizerBase) -> None:
    task = QuestionAnswering(
        columns=TASK.columns, max_answer_length=150
    )  # in letters of rare scripts, tokens are short
    assert _oracle_metrics(_rows(60, 300, seed=2), any_tokenizer, 450, task) == {"exact_match": 1.0, "f1": 1.0}


@pytest.mark.parametrize("backbone", ["tiny_encoder", "tiny_decoder"])
def test_the_loss_is_that_of_transformers(
    backbone: str, tokenizer: PreTrainedTokenizerBase, request: pytest.FixtureRequest
) -> None:
    chosen: Backbone = request.getfixturevalue(backbone)
    model, _ = chosen.load(TASK.auto_class, chosen.read_config(**TASK.head_config()))
    model.eval()
    windows = _encode(
        [_row("It is Paris, of course.", "Paris"), _row("It is not London right now.", "London")], tokenizer, 64
    )
    assert len({len(window["input_ids"]) for window in windows}) == 1  # theirs would count padding
    batch = Collate(PADS)([{k: v for k, v in w.items() if k != "truncated"} for w in windows])
    output = TASK.step(model, batch)
    inputs = {key: batch[key] for key in ("input_ids", "attention_mask")}
    types = {"token_type_ids": batch["token_type_ids"]} if backbone == "tiny_encoder" else {}
    theirs = model(**inputs, **types, start_positions=batch["start"], end_positions=batch["end"])
    assert output.count.item() == 2
    assert (output.loss_sum / 2).item() == pytest.approx(theirs.loss.item(), rel=1e-6)
    assert torch.equal(output.logits[0], theirs.start_logits)
    assert not any(part.requires_grad for part in output.logits)
    assert output.loss_sum.requires_grad


def test_a_passage_keeps_its_questions_together() -> None:
    row = _row("It is Paris.", "Paris")
    assert TASK.group(row) == TASK.group({**row, "question": "where?"}) != TASK.group({**row, "context": "It is."})
    assert TASK.stratum(row) is None
    assert TASK.with_labels(Table([row], "a")) is TASK
    TASK.check_labels(Table([row], "a"))


CONTEXT = "Paris is the capital of France; Paris is large."


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ("capital", {"text": ["capital"], "answer_start": [13]}),
        ("Paris", {"text": ["Paris"], "answer_start": [0]}),  # the first place where it stands
        ({"text": ["Paris"], "answer_start": [32]}, {"text": ["Paris"], "answer_start": [32]}),
    ],
)
def test_answers_are_offsets_or_plain_texts(answers: Any, expected: dict[str, list[Any]]) -> None:
    read = TASK.read(Table([{"id": 1, "context": CONTEXT, "question": "?", "answers": answers}], "a.json"))
    assert read.rows == [{"id": "1", "context": CONTEXT, "question": "?", "answers": expected}]


@pytest.mark.parametrize(
    ("change", "problem", "remedy"),
    [
        ({"answers": "London"}, "the answer 'London' does not stand in the context", "capitals"),
        ({"answers": "paris"}, "'paris' does not stand in the context", "capitals"),
        ({"answers": " "}, "the question has no answer", "task.no_answer=true"),
        (
            {"answers": {"text": ["Paris"], "answer_start": [1]}},
            "at character 1 of the context, but 'aris ' does",
            "mend",
        ),
        (
            {"answers": {"text": ["Paris"], "answer_start": [-15]}},
            "at character -15 of the context",
            "mend answer_start",
        ),
        (
            {"answers": {"text": ["Paris"], "answer_start": [999]}},
            "at character 999 of the context, but '' does",
            "mend",
        ),
        ({"answers": {"text": [""], "answer_start": [0]}}, "the answer '' does not stand", "mend answer_start"),
        ({"answers": {"text": ["Paris"], "answer_start": [0.0]}}, "an answer is 'Paris' at 0.0", "whole number"),
        ({"answers": {"text": [1789], "answer_start": [0]}}, "an answer is 1789 at 0", "is a text"),
        ({"answers": {"text": ["Paris"], "answer_start": [False]}}, "an answer is 'Paris' at False", "whole number"),
        ({"answers": {"text": [], "answer_start": []}}, "the question has no answer", "task.no_answer=true"),
        ({"is_impossible": True}, "the question has no answer", "task.no_answer=true"),
        ({"answers": {"text": ["Paris"], "answer_start": [0, 32]}}, "has 1 answers and 2 offsets", "its offset"),
        ({"answers": {"text": ["Paris"]}}, "answers should be a text or {'text': [...]", "task.columns.answers"),
        ({"answers": {"text": "Paris", "answer_start": 0}}, "answers should be a text or {'text'", "into that form"),
        ({"answers": ["Paris"]}, "and is ['Paris']", "task.columns.answers"),
        ({"answers": 5}, "and is 5", "task.columns.answers"),
        ({"question": "  "}, "column 'question' should hold a text", "leave out"),
        ({"context": 7}, "column 'context' should hold a text, and holds 7", "leave out"),
        ({"answers": None}, "column 'answers' has no value", "fill it in"),
    ],
)
def test_a_wrong_row_is_named_with_its_line(change: Row, problem: str, remedy: str) -> None:
    good = {"id": 1, "context": CONTEXT, "question": "what?", "answers": "Paris", "is_impossible": False}
    _refused(TASK, [good, {**good, **change}], problem, remedy)


def _refused(task: QuestionAnswering, rows: list[Row], problem: str, remedy: str) -> None:
    with pytest.raises(DataError) as caught:
        task.read(Table(rows, "train.jsonl", lines=[1, 5]))
    assert caught.value.problem.startswith("train.jsonl, line 5: ")
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy
