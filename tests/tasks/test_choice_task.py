"""Choices are scored by a head or by their likelihood; only those that exist count, whatever else is in the batch."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from lightune.data.table import Row, Table
from lightune.errors import ConfigError, DataError
from lightune.models import Backbone
from lightune.tasks.base import Batch, Output
from lightune.tasks.choice import MultipleChoice, head_scores
from lightune.tasks.choices import ChoiceColumns
from lightune.tasks.likelihood import Prompt
from tests.tasks.features import batch_of, features_of

COLUMNS: ChoiceColumns = {
    "id": "id",
    "context": "context",
    "question": "question",
    "choices": "choices",
    "answer": "answer",
    "subject": None,
}
TASK = MultipleChoice(columns=COLUMNS)
SUBJECTS = MultipleChoice(columns={**COLUMNS, "subject": "subject"})
CLOZE = MultipleChoice(columns=COLUMNS, prompt=Prompt(letters=False))
ROWS: list[Row] = [
    {"context": "Ada was born in Crewe.", "question": "Where?", "choices": ["York", "Crewe"], "answer": 1},
    {"context": "It rained.", "question": "", "choices": ["The street was wet.", "No.", "He ran.", "So?"], "answer": 0},
    {"context": "Bo paints. Cy sings a song.", "question": "Who sings?", "choices": ["Bo", "Cy", "Di"], "answer": "B"},
]


def _scorer(name: str, request: pytest.FixtureRequest, task: MultipleChoice) -> tuple[MultipleChoice, nn.Module]:
    backbone: Backbone = request.getfixturevalue(name)
    torch.manual_seed(0)
    config = backbone.read_config(initializer_range=0.5)
    fitted = task.with_backbone(config, backbone.tokenizer())
    return fitted, backbone.load(fitted.auto_class, config)[0].eval()


def _batch(
    task: MultipleChoice,
    rows: list[Row],
    tokenizer: PreTrainedTokenizerBase,
    length: int = 64,
    multiple: int | None = None,
) -> Batch:
    read = task.read(Table(rows, "a.jsonl")).rows
    return batch_of(features_of(task, read, tokenizer, length), task, multiple)


@pytest.mark.parametrize(
    ("backbone", "auto_class", "peft_type"),
    [
        ("tiny_encoder", "AutoModelForMultipleChoice", "SEQ_CLS"),
        ("tiny_decoder", "AutoModelForCausalLM", "CAUSAL_LM"),
    ],
)
def test_the_backbone_decides_how_choices_are_scored(
    backbone: str, auto_class: str, peft_type: str, request: pytest.FixtureRequest
) -> None:
    task, _ = _scorer(backbone, request, TASK)
    assert (task.auto_class, task.peft_type) == (auto_class, peft_type)
    assert TASK.auto_class == "AutoModelForMultipleChoice"  # a copy was changed


@pytest.mark.parametrize(("key", "value"), [("answers", "letters"), ("normalize", "token")])
def test_unknown_settings_are_refused(key: str, value: str) -> None:
    settings: dict[str, Any] = {key: value}
    with pytest.raises(ConfigError, match=f"task.{key}={value}: expected one of "):
        MultipleChoice(columns=COLUMNS, **settings)


def test_a_head_scores_as_transformers_does(tokenizer: PreTrainedTokenizerBase, request: pytest.FixtureRequest) -> None:
    """Where all examples have as many choices, Hugging Face's own logits and loss are the same."""
    task, model = _scorer("tiny_encoder", request, TASK)
    rows = [{**row, "choices": row["choices"][:2], "answer": i % 2} for i, row in enumerate(ROWS)]
    batch = _batch(task, rows, tokenizer)
    inputs = {key: batch[key] for key in ("input_ids", "attention_mask", "token_type_ids")}
    theirs = model(**inputs, labels=batch["labels"])
    ours = task.step(model, batch)
    assert torch.allclose(head_scores(model, batch), theirs.logits, atol=1e-5)
    assert ours.loss_sum.item() / 3 == pytest.approx(theirs.loss.item(), rel=1e-5)
    assert int(ours.count) == 3


@pytest.mark.parametrize("task", [TASK, CLOZE], ids=["letters", "texts"])
@pytest.mark.parametrize("backbone", ["tiny_encoder", "tiny_decoder"])
def test_the_loss_is_the_cross_entropy_over_the_choices_there_are(
    backbone: str, task: MultipleChoice, tokenizer: PreTrainedTokenizerBase, request: pytest.FixtureRequest
) -> None:
    fitted, model = _scorer(backbone, request, task)
    output = fitted.step(model, _batch(fitted, ROWS, tokenizer))
    (scores,) = output.logits
    assert scores.shape == (3, 4, 3 if fitted.likelihood else 1)
    wanted = 0.0
    for found, count, answer in zip(scores[:, :, 0], (2, 4, 3), (1, 0, 1), strict=True):
        assert torch.isfinite(found[:count]).all()
        assert (found[count:] == -torch.inf).all()
        wanted += float(found[:count].logsumexp(0) - found[answer])
    assert output.loss_sum.item() == pytest.approx(wanted, rel=1e-5)
    assert int(output.count) == 3
    output.loss_sum.backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("task", [TASK, CLOZE], ids=["letters", "texts"])
@pytest.mark.parametrize("backbone", ["tiny_encoder", "tiny_decoder"])
def test_a_batch_is_the_sum_of_its_examples(
    backbone: str, task: MultipleChoice, tokenizer: PreTrainedTokenizerBase, request: pytest.FixtureRequest
) -> None:
    """Neither the number of examples nor the choices of others change a score or a loss."""
    fitted, model = _scorer(backbone, request, task)
    whole = fitted.step(model, _batch(fitted, ROWS, tokenizer))
    alone = [fitted.step(model, _batch(fitted, [row], tokenizer)) for row in ROWS]
    assert sum(part.loss_sum.item() for part in alone) == pytest.approx(whole.loss_sum.item(), rel=1e-5)
    for scores, part in zip(whole.logits[0], alone, strict=True):
        assert torch.allclose(scores[: part.logits[0].size(1)], part.logits[0][0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backbone", ["tiny_encoder", "tiny_decoder"])
def test_round_lengths_change_nothing(
    backbone: str, tokenizer: PreTrainedTokenizerBase, request: pytest.FixtureRequest
) -> None:
    """Padding to a multiple, as tensor cores like it, leaves the loss alone."""
    task, model = _scorer(backbone, request, CLOZE)
    plain, rounded = (task.step(model, _batch(task, ROWS, tokenizer, multiple=multiple)) for multiple in (None, 8))
    assert rounded.loss_sum.item() == pytest.approx(plain.loss_sum.item(), rel=1e-5)


def test_normalisations_divide_by_tokens_and_bytes(
    tokenizer: PreTrainedTokenizerBase, request: pytest.FixtureRequest
) -> None:
    task, model = _scorer("tiny_decoder", request, CLOZE)
    (scores,) = task.step(model, _batch(task, ROWS[1:2], tokenizer)).logits
    for choice, (total, by_token, by_byte) in zip(ROWS[1]["choices"], scores[0].tolist(), strict=True):
        tokens = len(tokenizer(f" {choice}", add_special_tokens=False)["input_ids"])
        assert by_token == pytest.approx(total / tokens, rel=1e-5)
        assert by_byte == pytest.approx(total / len(choice), rel=1e-5)


def _concluded(task: MultipleChoice, scores: Any) -> Any:
    rows = task.read(Table(ROWS[:1] * len(scores), "a.jsonl")).rows
    batch = {"example": torch.arange(len(scores))}
    output = Output(torch.tensor(0.0), torch.tensor(len(scores)), (torch.tensor(scores),))
    return task.conclude(task.predict(output, batch), rows)


def test_the_likeliest_choice_is_predicted() -> None:
    first, second = _concluded(TASK, [[[0.0], [2.0], [-torch.inf]], [[1.0], [1.0], [-torch.inf]]])
    assert (first.prediction, first.target) == ("Crewe", "Crewe")
    assert first.scores == {"confidence": pytest.approx(1 / (1 + torch.tensor(-2.0).exp().item())), "accuracy": 1.0}
    assert (second.prediction, second.scores["accuracy"]) == ("York", 0.0)  # of equals the first
    assert TASK.measure([first, second]) == {"accuracy": 0.5}
    confidence = first.scores["confidence"]
    (bin_,) = TASK.tables([first])["calibration"]
    assert (bin_["confidence"], bin_["accuracy"], bin_["examples"]) == (confidence, 1.0, 1)


@pytest.mark.parametrize(("normalize", "pick"), [("none", "York"), ("tokens", "Crewe"), ("bytes", "York")])
def test_the_normalisation_decides(normalize: str, pick: str, request: pytest.FixtureRequest) -> None:
    task = MultipleChoice(columns=COLUMNS, prompt=Prompt(letters=False), normalize=normalize)
    fitted, _ = _scorer("tiny_decoder", request, task)
    (found,) = _concluded(fitted, [[[-2.0, -2.0, -0.5], [-3.0, -1.0, -0.6]]])
    assert found.prediction == pick
    assert fitted.measure([found]) == {
        "accuracy": float(pick == "Crewe"),
        "accuracy_none": 0.0,
        "accuracy_tokens": 1.0,
        "accuracy_bytes": 0.0,
    }
    assert fitted.measure([]).keys() == fitted.measure([found]).keys()


def test_subjects_are_counted_apart() -> None:
    rows = SUBJECTS.read(Table([{**ROWS[0], "subject": name} for name in ("art", "law", "law")], "a.jsonl")).rows
    evidence = [(i, torch.tensor([[0.0], [score]]).numpy()) for i, score in enumerate((1.0, 1.0, -1.0))]
    predictions = SUBJECTS.conclude(evidence, rows)
    assert SUBJECTS.measure(predictions) == {"accuracy": pytest.approx(2 / 3), "accuracy_macro": 0.75}
    assert SUBJECTS.tables(predictions)["per_subject"] == [
        {"subject": "art", "accuracy": 1.0, "support": 1},
        {"subject": "law", "accuracy": 0.5, "support": 2},
    ]
    assert SUBJECTS.measure([]) == {"accuracy": 0.0, "accuracy_macro": 0.0}
    assert SUBJECTS.stratum(rows[1]) == "law"


def test_questions_about_one_context_stay_together() -> None:
    rows = TASK.read(Table([*ROWS, {**ROWS[0], "context": ""}], "a.jsonl")).rows
    assert [TASK.group(row) for row in rows] == [*(row["context"] for row in ROWS), "4"]
    assert MultipleChoice(columns={**COLUMNS, "context": None}).group(rows[0]) is None


def test_shots_come_from_train_unless_they_are_given() -> None:
    rows = TASK.read(Table(ROWS, "a.jsonl"))
    task = MultipleChoice(columns=COLUMNS, prompt=Prompt(shots=1))
    assert task.with_labels(rows).demonstrations == rows.rows[:2]
    given = MultipleChoice(columns=COLUMNS, prompt=Prompt(shots=1), demonstrations=rows.rows[2:])
    assert given.with_labels(rows).demonstrations == rows.rows[2:]
    assert TASK.with_labels(rows) == TASK


def test_shots_stand_before_the_question(tokenizer: PreTrainedTokenizerBase, request: pytest.FixtureRequest) -> None:
    task, _ = _scorer("tiny_decoder", request, MultipleChoice(columns=COLUMNS, prompt=Prompt(shots=1)))
    known = task.with_labels(task.read(Table(ROWS, "a.jsonl")))
    texts = tokenizer.batch_decode(_batch(known, ROWS, tokenizer, 128)["input_ids"][:, 0])
    assert "it rained. a. the street was wet." in texts[0]  # the first example is not shown before itself
    assert all("crewe answer : b" in text for text in texts[1:])


def test_the_features_do_not_depend_on_the_normalisation() -> None:
    assert set(TASK.unencoded) == {"answers", "first", "repeated", "compare_texts", "normalize"}
    assert TASK.kept == ("demonstrations",)


GAP = MultipleChoice(
    columns=COLUMNS, answers="text", placeholder="@x", compare_texts=True, prompt=Prompt("{context}\n", letters=False)
)
GAPS: list[Row] = [
    {
        "id": "1",
        "context": "Bo met Cy.",
        "question": "@x left.",
        "choices": ["Bo", "Cy", "The York"],
        "answer": ["Cy", "Bo"],
    },
    {"id": "2", "context": "Di sang.", "question": "It was @x who sang.", "choices": ["Di", "Ed"], "answer": ["Di"]},
]


def test_choices_fill_the_gap_of_a_question() -> None:
    first, second = GAP.read(Table(GAPS, "a.jsonl")).rows
    assert first["choices"] == ["Bo left.", "Cy left.", "The York left."]
    assert (first["names"], first["question"]) == (["Bo", "Cy", "The York"], "")
    assert (first["answer"], first["right"]) == (1, [1, 0])
    assert second["choices"] == ["It was Di who sang.", "It was Ed who sang."]
    with pytest.raises(DataError, match="row 1: the question has no '@x': 'Who left"):
        GAP.read(Table([{**GAPS[0], "question": "Who left?"}], "a.jsonl"))


@pytest.mark.parametrize("backbone", ["tiny_encoder", "tiny_decoder"])
def test_of_several_right_answers_any_is_to_be_likely(
    backbone: str, tokenizer: PreTrainedTokenizerBase, request: pytest.FixtureRequest
) -> None:
    task, model = _scorer(backbone, request, GAP)
    output = task.step(model, _batch(task, GAPS, tokenizer))
    first, second = output.logits[0][:, :, 0].softmax(-1)
    wanted = -(first[0] + first[1]).log() - second[0].log()
    assert output.loss_sum.item() == pytest.approx(wanted.item(), rel=1e-5)
    output.loss_sum.backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


def test_any_right_answer_counts_and_texts_are_compared() -> None:
    rows = GAP.read(Table(GAPS, "a.jsonl")).rows
    scores = [[[0.0], [1.0], [2.0]], [[3.0], [0.0]]]
    evidence = [(i, np.array(s, dtype=np.float32)) for i, s in enumerate(scores)]
    wrong, right = GAP.conclude(evidence, rows)
    assert (wrong.prediction, wrong.target, wrong.scores["accuracy"]) == ("The York", ["Cy", "Bo"], 0.0)
    assert (right.prediction, right.target) == ("Di", "Di")
    assert GAP.measure([wrong, right]) == pytest.approx({"accuracy": 0.5, "exact_match": 0.5, "f1": 0.5})
    (other,) = GAP.conclude([(0, np.array([[9.0], [1.0], [2.0]], dtype=np.float32))], rows)
    assert other.scores["accuracy"] == 1.0


def test_many_choices_have_no_letters(tokenizer: PreTrainedTokenizerBase, request: pytest.FixtureRequest) -> None:
    row: Row = {"context": "", "question": "Which?", "choices": [f"no {n}" for n in range(30)], "answer": 29}
    for name in ("tiny_encoder", "tiny_decoder"):
        for task in (TASK, CLOZE):
            fitted, _ = _scorer(name, request, task)
            if name == "tiny_decoder" and task is TASK:
                with pytest.raises(DataError, match="30 choices cannot be named by 26 letters"):
                    _batch(fitted, [row], tokenizer)
            else:
                assert _batch(fitted, [row], tokenizer)["labels"].tolist() == [29]
