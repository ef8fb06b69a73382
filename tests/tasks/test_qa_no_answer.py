"""Questions without an answer: read in every form, learnt as position 0, predicted by a threshold that val decides."""

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from lightune.data import world
from lightune.data.encoding import EncodedSplit
from lightune.data.readers.squad import flatten
from lightune.data.table import Row, Table
from lightune.errors import ConfigError, DataError
from lightune.evaluation import Evaluation
from lightune.metrics.qa import exact_match, f1
from lightune.tasks.base import Batch, Output
from lightune.tasks.qa import QuestionAnswering
from tests.tasks.features import batch_of, features_of

COLUMNS = {name: name for name in ("id", "context", "question", "answers", "is_impossible")}
TASK = QuestionAnswering(columns=COLUMNS, no_answer=True, name="qa_v2")
ANSWERED = QuestionAnswering(columns=COLUMNS)
CONTEXT = "Paris is the capital of France; Paris is large."
NONE: dict[str, list[Any]] = {"text": [], "answer_start": []}
PARIS = {"text": ["Paris"], "answer_start": [0]}


def _row(answers: Any, **others: Any) -> Row:
    return {"id": "1", "context": CONTEXT, "question": "which?", "answers": answers, **others}


def _read(*rows: Row, task: QuestionAnswering = TASK) -> list[Row]:
    return task.read(Table(list(rows), "a.jsonl")).rows


def _encode(rows: list[Row], tokenizer: PreTrainedTokenizerBase, length: int) -> list[dict[str, Any]]:
    return features_of(TASK, rows, tokenizer, length)


def _batch(windows: list[dict[str, Any]]) -> Batch:
    return batch_of(windows, TASK)


# Rows -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "marked", "read"),
    [
        (NONE, {}, NONE),
        ("", {}, NONE),
        (" \n", {}, NONE),
        (NONE, {"is_impossible": True}, NONE),
        ("", {"is_impossible": "True"}, NONE),  # as CSV has it
        (PARIS, {"is_impossible": True}, NONE),  # plausible, no answer
        ("London", {"is_impossible": True}, NONE),
        (PARIS, {}, PARIS),
        (PARIS, {"is_impossible": False}, PARIS),
        ("Paris", {"is_impossible": "false"}, PARIS),
    ],
)
def test_a_question_may_have_no_answer(answers: Any, marked: Row, read: dict[str, list[Any]]) -> None:
    assert _read(_row(answers, **marked)) == [_row(read)]


def test_the_data_need_not_say_what_is_impossible() -> None:
    assert _read(_row(NONE), task=replace(TASK, columns={k: k for k in COLUMNS if k != "is_impossible"})) == [
        _row(NONE)
    ]
    ignored = replace(TASK, columns={**COLUMNS, "is_impossible": None})
    assert _read(_row(PARIS, is_impossible=True), task=ignored) == [_row(PARIS)]
    renamed = replace(TASK, columns={**COLUMNS, "is_impossible": "unanswerable"})
    assert _read(_row(PARIS, unanswerable=True), task=renamed) == [_row(NONE)]
    with pytest.raises(DataError, match=r"no column 'unanswerable' for the task's 'is_impossible'"):
        _read(_row(PARIS), task=renamed)


def test_plausible_answers_of_squads_layout_are_none() -> None:
    question = {"id": 1, "question": "which?", "is_impossible": True, "plausible_answers": [{"text": "a"}]}
    answered = {"id": 2, "question": "what?", "is_impossible": False, "answers": [{"text": "is", "answer_start": 6}]}
    kept: list[Row] = [{}, {"answers": []}, {"answers": [{"text": "Paris", "answer_start": 0}]}]
    for extra in kept:
        paragraph = {"context": CONTEXT, "qas": [{**question, **extra}, answered]}
        rows = TASK.read(flatten({"data": [{"paragraphs": [paragraph]}]}, "dev.json")).rows
        assert [row["answers"]["text"] for row in rows] == [[], ["is"]]


@pytest.mark.parametrize(
    ("change", "problem", "remedy"),
    [
        ({"is_impossible": 1}, "is_impossible should be true or false, and is 1", "task.columns.is_impossible=null"),
        ({"is_impossible": "maybe"}, "should be true or false, and is 'maybe'", "mend the row"),
        ({"is_impossible": None}, "column 'is_impossible' has no value", "fill it in"),
        ({"answers": NONE}, "is_impossible is false, and the question has no answer", "set is_impossible to true"),
        ({"answers": " "}, "is_impossible is false, and the question has no answer", "give it one"),
        ({"answers": {"text": ["aris"], "answer_start": [0]}}, "'aris' does not stand at character 0", "mend"),
        ({"answers": {"text": [""], "answer_start": [0]}}, "the answer '' does not stand at character 0", "mend"),
        ({"answers": {"text": ["Paris"], "answer_start": [-1]}}, "does not stand at character -1", "mend"),
        ({"answers": {"text": [], "answer_start": [0]}}, "has 0 answers and 1 offsets", "its offset"),
        ({"answers": {"text": ["Paris"], "answer_start": []}}, "has 1 answers and 0 offsets", "its offset"),
        ({"answers": {"text": [None], "answer_start": [0]}}, "an answer is None at 0", "is a text"),
        ({"answers": []}, "answers should be a text or {'text': [...]", "task.columns.answers"),
        ({"answers": {}}, "answers should be a text or {'text': [...]", "task.columns.answers"),
        ({"answers": False}, "and is False", "task.columns.answers"),
        ({"answers": None}, "column 'answers' has no value", "fill it in"),
        ({"answers": "London"}, "the answer 'London' does not stand in the context", "capitals"),
        ({"question": ""}, "column 'question' should hold a text", "leave out"),
    ],
)
def test_a_wrong_row_is_named_with_its_line(change: Row, problem: str, remedy: str) -> None:
    good = _row(PARIS, is_impossible=False)
    with pytest.raises(DataError) as caught:
        TASK.read(Table([good, {**good, **change}], "train.jsonl", lines=[1, 5]))
    assert caught.value.problem.startswith("train.jsonl, line 5: ")
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy


def test_some_question_has_an_answer() -> None:
    with pytest.raises(DataError, match=r"a\.jsonl: no question has an answer") as caught:
        TASK.with_labels(Table(_read(_row(NONE), _row("")), "a.jsonl"))
    assert "task.columns.answers" in caught.value.remedy
    assert TASK.with_labels(Table(_read(_row(NONE), _row("is")), "a.jsonl")) is TASK


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"no_answer_threshold": 1.5}, r"task\.no_answer_threshold=1\.5: every question is given an answer"),
        (
            {"no_answer_threshold": "low", "no_answer": True},
            r"task\.no_answer_threshold=low: expected null or a number",
        ),
        (
            {"no_answer_threshold": True, "no_answer": True},
            r"task\.no_answer_threshold=True: expected null or a number",
        ),
    ],
)
def test_wrong_settings_are_refused(settings: Mapping[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        QuestionAnswering(columns=COLUMNS, **settings)


# Features and steps ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tokenizer", "byte_level_tokenizer"])
def test_no_window_of_a_question_without_an_answer_has_one(name: str, request: pytest.FixtureRequest) -> None:
    tokenizer: PreTrainedTokenizerBase = request.getfixturevalue(name)
    rows = _read(_row(NONE), _row(PARIS))
    for length in (16, 384):
        windows = _encode(rows, tokenizer, length)
        without = [window for window in windows if window["example"] == 0]
        assert len(without) * 2 == len(windows)
        assert {(window["start"], window["end"]) for window in without} == {(0, 0)}
        assert [w["input_ids"] for w in without] == [w["input_ids"] for w in windows if w["example"] == 1]


def test_a_window_says_how_sure_its_first_token_is(tokenizer: PreTrainedTokenizerBase) -> None:
    batch = _batch(_encode(_read(_row(NONE), _row(PARIS)), tokenizer, 64))
    logits = torch.randn(2, *batch["input_ids"].shape, generator=torch.Generator().manual_seed(0)).bfloat16()
    evidence = TASK.predict(Output(torch.tensor(0.0), torch.tensor(2), (logits[0], logits[1])), batch)
    for i, (example, _, _, _, none) in enumerate(evidence):
        assert (example, none) == (i, float(logits[0, i, 0]) + float(logits[1, i, 0]))


# Examples -------------------------------------------------------------------------------------------------------------


def test_no_answer_is_the_lowest_score_of_all_windows_against_the_best_span() -> None:
    """By hand: windows say 5, 1 and 4; the best span has 2.5; so "no answer" lags by 1.5."""
    evidence = [(0, 0, 5, 1.0, 5.0), (0, 6, 8, 2.5, 1.0), (0, 9, 12, 2.0, 4.0)]
    for seed in range(10):
        shuffled = random.Random(seed).sample(evidence, 3)
        (found,) = TASK.conclude(shuffled, _read(_row(PARIS)))
        assert (found.prediction, found.target) == ("is", ["Paris"])
        assert found.scores["no_answer_score"] == -1.5
        (withheld,) = replace(TASK, no_answer_threshold=-2).conclude(shuffled, _read(_row(PARIS)))
        assert (withheld.prediction, withheld.scores["no_answer_score"]) == ("", -1.5)
        (equal,) = replace(TASK, no_answer_threshold=-1.5).conclude(shuffled, _read(_row(PARIS)))
        assert equal.prediction == "is"  # it has to be exceeded


def test_scores_of_an_answer_that_is_withheld() -> None:
    rows = _read(_row(PARIS), _row(NONE), _row(PARIS), _row(NONE))
    evidence = [(0, 0, 5, 2.0, 3.0), (1, 0, 5, 2.0, 3.0), (2, 0, 5, 2.0, 1.0), (3, 0, 5, 2.0, 1.0)]
    found = TASK.conclude(evidence, rows)
    assert [p.prediction for p in found] == ["", "", "Paris", "Paris"]
    assert [p.scores["f1"] for p in found] == [0.0, 1.0, 1.0, 0.0]
    assert [p.scores["exact_match"] for p in found] == [0.0, 1.0, 1.0, 0.0]
    assert [p.scores["span_f1"] for p in found] == [1.0, 0.0, 1.0, 0.0]
    assert found[1].row() == {
        "id": "1",
        "prediction": "",
        "target": [],
        "score": 2.0,
        "exact_match": 1.0,
        "f1": 1.0,
        "no_answer_score": 1.0,
        "span_exact_match": 0.0,
        "span_f1": 0.0,
    }
    metrics = TASK.measure(found)
    assert (metrics["f1"], metrics["has_answer_f1"], metrics["no_answer_accuracy"]) == (0.5, 0.5, 0.5)
    assert metrics["f1"] == sum(p.scores["f1"] for p in found) / 4


def test_references_without_a_word_are_not_matched_by_no_answer() -> None:
    """As the script of version 2.0 has it; that of 1.1 knows no such rule."""
    row = _row({"text": ["the", "capital"], "answer_start": [9, 13]})
    evidence = [(0, 9, 12, 0.0, -9.0)]  # "the"
    assert TASK.conclude(evidence, _read(row))[0].scores["f1"] == 0.0
    assert ANSWERED.conclude(evidence, _read(row, task=ANSWERED))[0].scores["f1"] == 1.0


def test_where_every_question_has_an_answer_spans_and_scores_are_the_same() -> None:
    source = random.Random(1)
    rows = _read(*[_row(PARIS)] * 50)
    evidence = [(i % 50, *source.choice([(0, 5), (6, 8), (9, 12)]), source.gauss(0, 1), -99.0) for i in range(150)]
    ours, theirs = TASK.conclude(evidence, rows), ANSWERED.conclude(evidence, rows)
    assert [p.prediction for p in ours] == [p.prediction for p in theirs]
    metrics, plain = TASK.measure(ours), ANSWERED.measure(theirs)
    assert plain.keys() == {"exact_match", "f1"}
    assert {key: metrics[key] for key in plain} == pytest.approx(plain)
    assert all(p.scores.keys() == {"score", "exact_match", "f1"} for p in theirs)


def test_what_is_measured_has_the_same_names_always() -> None:
    found = TASK.measure(TASK.conclude([(0, 0, 5, 0.0, 0.0)], _read(_row(PARIS))))
    assert TASK.measure([]).keys() == found.keys()
    assert TASK.measure([])["f1"] == 0.0


# The threshold --------------------------------------------------------------------------------------------------------


def _evidence(rows: list[Row], seed: int) -> list[tuple[int, int, int, float, float]]:
    """Return one window an example; the model is somewhat surer where there is an answer, but too shy by 3."""
    source = random.Random(seed)
    return [(i, 0, 5, 0.0, 3 + source.gauss(-1 if row["answers"]["text"] else 1, 1)) for i, row in enumerate(rows)]


def test_val_decides_the_threshold_and_is_measured_with_it() -> None:
    rows = _read(*[_row(PARIS), _row(NONE)] * 40)
    evidence = _evidence(rows, 0)
    before = TASK.measure(TASK.conclude(evidence, rows))
    tuned = TASK.tuned(before)
    after = tuned.measure(tuned.conclude(evidence, rows))
    assert tuned.no_answer_threshold == before["best_threshold"] == after["best_threshold"]
    assert 2 < before["best_threshold"] < 4
    assert before["f1"] < after["f1"] == after["best_f1"] == before["best_f1"]
    brute = [replace(TASK, no_answer_threshold=t / 100) for t in range(-200, 800)]
    assert max(task.measure(task.conclude(evidence, rows))["f1"] for task in brute) <= after["f1"]


def test_an_evaluation_that_tunes_reports_what_the_threshold_gives() -> None:
    rows = _read(*[_row(PARIS), _row(NONE)] * 40)
    nothing: Any = None
    split = EncodedSplit(rows, nothing, (), 0)
    values = {}
    for tunes in (False, True):
        evaluation = Evaluation(TASK, split, tunes=tunes)
        evaluation._evidence += _evidence(rows, 0)
        values[tunes] = evaluation.finish()
        shown = [p.scores["f1"] for p in evaluation.predictions]
        assert values[tunes]["f1"] == pytest.approx(sum(shown) / len(shown))
    assert values[True]["f1"] == values[False]["best_f1"] > values[False]["f1"]


def test_a_threshold_that_was_given_stays() -> None:
    given = replace(TASK, no_answer_threshold=0.0)
    assert given.tuned({"best_threshold": 3.0}) is given
    assert TASK.tuned({"loss": 1.0}) is TASK
    assert ANSWERED.tuned({"best_threshold": 3.0}) is ANSWERED


def test_a_model_that_knows_says_where_there_is_no_answer(tokenizer: PreTrainedTokenizerBase) -> None:
    """Logits point at the labels of each window, also where a passage has several."""
    rows = _read(*world.generate("qa_v2")["val"])
    for length in (384, 48):
        windows, evidence = _encode(rows, tokenizer, length), []
        for at in range(0, len(windows), 16):
            batch = _batch(windows[at : at + 16])
            logits = [torch.nn.functional.one_hot(batch[k], batch["input_ids"].size(1)) * 9.0 for k in ("start", "end")]
            evidence += TASK.predict(Output(torch.tensor(0.0), torch.tensor(1), (logits[0], logits[1])), batch)
        metrics = TASK.measure(TASK.conclude(evidence, rows))
        assert {metrics[k] for k in ("f1", "exact_match", "has_answer_f1", "no_answer_accuracy", "best_f1")} == {1.0}


def test_the_batches_of_the_evidence_do_not_matter() -> None:
    rows = _read(*[_row(PARIS), _row(NONE)] * 20)
    evidence = _evidence(rows, 3)
    whole = TASK.measure(TASK.conclude(evidence, rows))
    shuffled = sorted(TASK.conclude(random.Random(0).sample(evidence, len(evidence)), rows), key=lambda p: p.example)
    assert TASK.measure(shuffled) == whole
    by_hand = [(max(exact_match("Paris", r["answers"]["text"]), 0), f1("Paris", r["answers"]["text"])) for r in rows]
    assert [(p.scores["span_exact_match"], p.scores["span_f1"]) for p in shuffled] == by_hand
