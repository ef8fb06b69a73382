"""Prompts are written as they say, and likelihoods are those of plain transformers, one choice at a time."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from lightune.data.loaders import Collate
from lightune.data.table import Row
from lightune.errors import ConfigError
from lightune.models import Backbone
from lightune.tasks.choice import MultipleChoice
from lightune.tasks.documents import leading_tokens
from lightune.tasks.likelihood import (
    Prompt,
    choice_log_likelihoods,
    demonstrations,
    encode_example,
    shown_before,
)

TEXTS = Prompt(letters=False)


def _row(question: str = "Who wrote it?", **others: Any) -> Row:
    return {
        "context": "Ada wrote a play.",
        "question": question,
        "choices": ["Ada", "Bo Li", "Cy"],
        "answer": 0,
        **others,
    }


ROWS = [
    _row(),
    _row("Where does the play that she wrote take place?", choices=["in a small town", "in a big town"], answer=1),
    _row("When?", context="", choices=["1869", "in May 1870", "never", "at noon"], answer=2),
]


@pytest.fixture(scope="module")
def model(tiny_decoder: Backbone) -> nn.Module:
    torch.manual_seed(0)
    config = tiny_decoder.read_config(initializer_range=0.5)
    return tiny_decoder.load("AutoModelForCausalLM", config)[0].eval()


def _batch(
    rows: list[Row], prompt: Prompt, tokenizer: PreTrainedTokenizerBase, length: int = 64, known: Any = ()
) -> dict[str, Tensor]:
    features = [encode_example(row, prompt, known, tokenizer, length) for row in rows]
    kept = [{key: v for key, v in feature.items() if key not in ("truncated", "length")} for feature in features]
    return Collate({"input_ids": 0, **MultipleChoice.padding})(kept)


def _one_by_one(model: nn.Module, row: Row, prompt: Prompt, tokenizer: PreTrainedTokenizerBase) -> list[float]:
    """Return each choice's summed log-probability from one plain forward pass over its whole text."""
    text, answers = prompt.texts(row)
    before = tokenizer("")["input_ids"][:1] + tokenizer(text, add_special_tokens=False)["input_ids"]
    found = []
    for answer in answers:
        target = tokenizer(answer, add_special_tokens=False)["input_ids"]
        logits = model(torch.tensor([before + target])).logits[0].double()
        steps = logits.log_softmax(-1)[len(before) - 1 : -1]
        found.append(steps.gather(1, torch.tensor(target)[:, None]).sum().item())
    return found


def test_a_prompt_as_it_is_read() -> None:
    prompt = Prompt(instruction="Questions about {subject}.", shots=1)
    text, answers = prompt.texts(
        _row(subject="high_school_art"), [_row("How old?", context="", answer=2, choices=["1", "2", "3"])]
    )
    assert text == (
        "Questions about high school art.\n\n"
        "How old?\nA. 1\nB. 2\nC. 3\nAnswer: C\n\n"
        "Ada wrote a play.\nWho wrote it?\nA. Ada\nB. Bo Li\nC. Cy\nAnswer:"
    )
    assert answers == [" A", " B", " C"]


def test_without_letters_the_choices_are_not_listed() -> None:
    assert TEXTS.texts(_row()) == ("Ada wrote a play.\nWho wrote it?\nAnswer:", [" Ada", " Bo Li", " Cy"])
    assert Prompt("{context}", letters=False).texts(_row())[0] == "Ada wrote a play."


def test_braces_and_slots_in_the_data_are_plain_text() -> None:
    text, answers = TEXTS.texts(_row("What is {context} or {}?", choices=["{x}", "{question}"]))
    assert text == "Ada wrote a play.\nWhat is {context} or {}?\nAnswer:"
    assert answers == [" {x}", " {question}"]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"template": "{passage}"}, r"task\.prompt\.template: '\{passage\}' cannot be filled in"),
        ({"template": "{"}, r"task\.prompt\.template"),
        ({"template": "{}"}, r"task\.prompt\.template"),
        ({"instruction": "{topic}"}, r"task\.prompt\.instruction"),
        ({"shots": -1}, r"task\.prompt\.shots=-1: expected a whole number of at least 0"),
    ],
)
def test_what_cannot_be_asked_is_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        Prompt(**settings)


def test_shots_are_the_first_of_train_and_of_the_subject() -> None:
    train = [_row(f"{subject} {n}?", subject=subject) for n in range(4) for subject in ("art", "law")]
    known = demonstrations(train, 2)
    assert [row["question"] for row in known] == ["art 0?", "art 1?", "art 2?", "law 0?", "law 1?", "law 2?"]
    assert [row["question"] for row in shown_before(_row(subject="law"), known, 2)] == ["law 0?", "law 1?"]
    # An example is not shown before itself.
    assert [row["question"] for row in shown_before(train[1], known, 2)] == ["law 1?", "law 2?"]
    # A subject without examples takes the others'.
    assert [row["question"] for row in shown_before(_row(subject="tea"), known, 2)] == ["art 0?", "art 1?"]
    assert demonstrations(train, 0) == []
    assert shown_before(_row(), [], 3) == []


def test_what_a_configuration_would_read_as_a_reference_is_not_shown() -> None:
    assert demonstrations([_row("What is ${x}$?"), _row("What is $x$?")], 1) == [_row("What is $x$?")]


def test_letters_share_one_input(tokenizer: PreTrainedTokenizerBase) -> None:
    feature = encode_example(_row(), Prompt(), (), tokenizer, 64)
    assert len(feature["input_ids"]) == 1
    assert feature["input"] == [0, 0, 0]
    assert tokenizer.batch_decode(feature["target_ids"]) == ["a", "b", "c"]
    assert feature["start"] == len(feature["input_ids"][0]) - 1
    assert str(tokenizer.decode(feature["input_ids"][0])).endswith("answer :")


def test_choices_share_an_input_only_where_they_differ_in_the_last_token(tokenizer: PreTrainedTokenizerBase) -> None:
    row = _row(choices=["in a town", "in a city", "in town", "never"])
    feature = encode_example(row, TEXTS, (), tokenizer, 64)
    assert feature["input"] == [0, 0, 1, 2]
    assert [len(ids) - feature["start"] - 1 for ids in feature["input_ids"]] == [2, 1, 0]
    assert feature["bytes"] == [9, 9, 7, 5]


@pytest.mark.parametrize("prompt", [Prompt(), TEXTS], ids=["letters", "texts"])
def test_likelihoods_are_those_of_one_choice_at_a_time(
    prompt: Prompt, model: nn.Module, tokenizer: PreTrainedTokenizerBase
) -> None:
    found = choice_log_likelihoods(model, _batch(ROWS, prompt, tokenizer))
    assert found.shape == (3, 4)
    for row, scores in zip(ROWS, found.tolist(), strict=True):
        count = len(row["choices"])
        assert scores[:count] == pytest.approx(_one_by_one(model, row, prompt, tokenizer), rel=1e-5)
        assert scores[count:] == [-torch.inf] * (4 - count)


def test_shared_inputs_equal_the_naive_way(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> None:
    """Each choice with an input of its own gives the same likelihoods, and the same gradient."""
    rows = [_row(choices=["in a town", "in a city", "in a pub"]), _row(choices=["so", "no", "go"])]
    shared = _batch(rows, TEXTS, tokenizer)
    naive = {
        **shared,
        "input": torch.arange(3).expand(2, 3),
        **{
            key: shared[key].gather(1, shared["input"][:, :, None].expand(-1, -1, shared[key].size(-1)))
            for key in ("input_ids", "attention_mask")
        },
    }
    assert shared["attention_mask"].any(-1).sum() == 2
    assert naive["attention_mask"].any(-1).sum() == 6
    gradients = []
    for batch in (shared, naive):
        model.zero_grad()
        choice_log_likelihoods(model, batch)[:, 1].sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert torch.allclose(choice_log_likelihoods(model, shared), choice_log_likelihoods(model, naive), rtol=1e-5)
    assert torch.allclose(gradients[0], gradients[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("prompt", [Prompt(), TEXTS], ids=["letters", "texts"])
def test_other_examples_change_nothing(prompt: Prompt, model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> None:
    together = choice_log_likelihoods(model, _batch(ROWS, prompt, tokenizer))
    for row, scores in zip(ROWS, together, strict=True):
        alone = choice_log_likelihoods(model, _batch([row], prompt, tokenizer))[0]
        assert torch.allclose(alone, scores[: len(row["choices"])], rtol=1e-5)


def test_what_is_too_long_loses_shots_before_its_own_beginning(tokenizer: PreTrainedTokenizerBase) -> None:
    known = [_row(f"Question {n}?") for n in range(3)]
    prompt = Prompt(shots=3)
    whole = encode_example(_row(), prompt, known, tokenizer, 200)
    assert not whole["truncated"]
    full = len(whole["input_ids"][0])
    fewer = encode_example(_row(), prompt, known, tokenizer, full - 1)
    text = tokenizer.decode(fewer["input_ids"][0])
    assert fewer["truncated"]
    assert "question 0" not in text
    assert "question 1" in text
    none = encode_example(_row(), prompt, known, tokenizer, 20)["input_ids"][0]
    assert len(none) == 20
    assert none[0] == tokenizer.cls_token_id
    assert str(tokenizer.decode(none)).endswith("answer :")


@pytest.mark.parametrize("length", [8, 12, 16])
def test_no_input_is_longer_than_it_may_be(length: int, tokenizer: PreTrainedTokenizerBase) -> None:
    for row in (*ROWS, _row(choices=["word " * 30, "a " * 9])):
        feature = encode_example(row, TEXTS, (), tokenizer, length)
        assert max(map(len, feature["input_ids"])) <= length
        assert all(feature["target_ids"])
        for place, target in zip(feature["input"], feature["target_ids"], strict=True):
            assert len(feature["input_ids"][place]) == feature["start"] + len(target)


def test_byte_level_tokens_hold_the_space_before_an_answer(byte_level_tokenizer: PreTrainedTokenizerBase) -> None:
    assert leading_tokens(byte_level_tokenizer) == []
    row = _row(context="", choices=["fox", "dog 😀"])
    feature = encode_example(row, TEXTS, (), byte_level_tokenizer, 256)
    text, answers = TEXTS.texts(row)
    for place, target, answer in zip(feature["input"], feature["target_ids"], answers, strict=True):
        ids = feature["input_ids"][place][: feature["start"] + 1] + target
        assert byte_level_tokenizer.decode(ids) == text + answer
        assert byte_level_tokenizer.decode(target) == answer
    assert feature["bytes"] == [3, 8]


def test_an_empty_prompt_begins_with_the_end_of_text(byte_level_tokenizer: PreTrainedTokenizerBase) -> None:
    prompt = Prompt(template="{question}", letters=False)
    feature = encode_example(_row(question=""), prompt, (), byte_level_tokenizer, 64)
    assert feature["start"] == 0
    assert all(ids[0] == byte_level_tokenizer.eos_token_id for ids in feature["input_ids"])
