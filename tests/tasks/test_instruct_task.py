"""Conversations in their forms, and a loss on responses only, wherever they stand."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerBase

from lightune.data.table import Row, Table
from lightune.errors import ConfigError, DataError
from lightune.losses import IGNORED
from lightune.metrics.text import ExactMatch
from lightune.tasks.chat import ChatTemplate, checked_messages
from lightune.tasks.instruct import InstructionTuning
from tests.tasks.features import batch_of, features_of

COLUMNS = {
    "id": "id",
    "messages": "messages",
    "instruction": "instruction",
    "input": "input",
    "output": "output",
    "system": None,
}
TASK = InstructionTuning(columns=COLUMNS, max_target_length=8)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TALK = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "say assistant: yes"},
    {"role": "assistant", "content": "yes"},
    {"role": "user", "content": "and now no"},
    {"role": "assistant", "content": "no, assistant: no"},
]


def _read(*rows: Row, task: InstructionTuning = TASK) -> list[Row]:
    return task.read(Table(list(rows), "chat.jsonl", lines=list(range(1, len(rows) + 1)))).rows


def _features(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, length: int = 64, task: InstructionTuning = TASK
) -> list[dict[str, Any]]:
    return features_of(task, rows, tokenizer, length)


def test_alpacas_form() -> None:
    first, second = _read(
        {"instruction": "add", "input": "1 and 2", "output": "3"}, {"instruction": "greet", "output": "hello"}
    )
    assert [m["content"] for m in first["messages"]] == ["add\n\n1 and 2", "3"]
    assert [m["role"] for m in second["messages"]] == ["user", "assistant"]
    assert second["messages"][0]["content"] == "greet"
    assert first.keys() == {"id", "messages", "target"}
    assert first["target"] == ["3"]


def test_a_system_column() -> None:
    task = InstructionTuning(columns={**COLUMNS, "system": "system"})
    (row,) = _read({"instruction": "greet", "output": "hello", "system": "be brief"}, task=task)
    assert [m["role"] for m in row["messages"]] == ["system", "user", "assistant"]


def test_sharegpts_form_is_understood() -> None:
    talk = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]
    assert _read({"messages": talk})[0]["messages"] == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
    ]


@pytest.mark.parametrize("template", [None, CHATML])
def test_spans_are_the_responses(tokenizer: PreTrainedTokenizerBase, template: str | None) -> None:
    text, spans = ChatTemplate(tokenizer, template).responses(TALK)
    end = "[SEP]" if template is None else "<|im_end|>"
    assert [text[start:stop] for start, stop in spans] == [f"yes{end}", f"no, assistant: no{end}"]


def test_only_responses_are_learnt(tokenizer: PreTrainedTokenizerBase) -> None:
    (feature,) = _features(_read({"messages": TALK}), tokenizer)
    learnt = [token for token in feature["labels"] if token != IGNORED]
    assert tokenizer.decode(learnt) == "yes [SEP] no, assistant : no [SEP]"
    before = tokenizer.decode(feature["input_ids"][: feature["prompt_length"]])
    assert str(before).endswith("and now no assistant :")
    assert len(feature["input_ids"]) == len(feature["labels"])
    assert feature["target_bytes"] == len("yes[SEP]no, assistant: no[SEP]")
    assert not feature["truncated"]


def test_a_long_conversation_loses_its_end(tokenizer: PreTrainedTokenizerBase) -> None:
    (whole,), (cut,) = (_features(_read({"messages": TALK}), tokenizer, length) for length in (64, 20))
    assert cut["truncated"]
    assert cut["input_ids"] == whole["input_ids"][:20]
    assert cut["labels"] == whole["labels"][:20]
    assert cut["target_bytes"] < whole["target_bytes"]


def test_the_loss_is_that_of_the_responses_alone(tokenizer: PreTrainedTokenizerBase) -> None:
    """Against transformers' own loss with labels that are written by hand."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    model: Any = AutoModelForCausalLM.from_config(config).eval()
    task = TASK.with_backbone(config, tokenizer)
    talk = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two three"}]
    (feature,) = _features(_read({"messages": talk}), tokenizer, task=task)
    ids = tokenizer("user: one\nassistant: two three[SEP]\n", add_special_tokens=False)["input_ids"]
    assert feature["input_ids"] == ids
    labels = [IGNORED] * (len(ids) - 3) + ids[-3:]
    assert feature["labels"] == labels
    batch = batch_of([feature], task)
    output = task.step(model, batch)
    theirs = model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss
    assert float((output.loss_sum / output.count).detach()) == pytest.approx(float(theirs.detach()), rel=1e-5)


def test_a_template_that_rewrites_what_was_said(tokenizer: PreTrainedTokenizerBase) -> None:
    forgetful = "{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}"
    with pytest.raises(ConfigError, match="changes earlier messages when a conversation goes on"):
        ChatTemplate(tokenizer, forgetful).responses(TALK)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("hello", "a conversation should be a list of messages, and is 'hello'"),
        ([], "a conversation should be a list of messages"),
        (["hello"], "message 1 should have a role and a content"),
        ([{"role": "user", "text": "hi"}], "message 1 should have a role and a content"),
        ([{"role": "usr", "content": "hi"}], "message 1 has the unknown role 'usr'"),
        ([{"role": "user", "content": " "}, TALK[2]], "message 1 should hold a text, and holds ' '"),
        ([TALK[1], {"role": "assistant", "content": None}], "message 2 should hold a text, and holds None"),
        ([TALK[1]], "the conversation ends with a message of the role 'user'"),
        ([TALK[1], TALK[2], TALK[2]], "two messages of the assistant follow each other"),
    ],
)
def test_conversations_that_cannot_be_used_are_named(value: Any, message: str) -> None:
    with pytest.raises(DataError, match=f"chat.jsonl, line 1: {message}"):
        _read({"messages": value})
    with pytest.raises(DataError, match=message):
        checked_messages(value, "here")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"instruction": "", "output": "b"}, "line 1: column 'instruction' should hold a text"),
        ({"instruction": "a", "output": " "}, "line 1: column 'output' should hold a text"),
        ({"instruction": "a", "output": None}, "line 1: column 'output' has no value"),
        ({"prompt": "a", "output": "b"}, "there is no column 'instruction' for the task's 'instruction'"),
    ],
)
def test_instructions_that_cannot_be_used_are_named(row: Row, message: str) -> None:
    with pytest.raises(DataError, match=message):
        _read(row)


@pytest.mark.parametrize(
    ("found", "right", "hit"),
    [
        ("so it is #### 42", "#### 42", True),
        ("#### 41, no: #### 42.", "#### 42", True),
        ("#### 1,000", "#### 1000", True),
        ("#### $5", "#### 5", True),
        ("42", "#### 42", False),
        ("#### 42", "#### 43", False),
    ],
)
def test_extracted_answers(found: str, right: str, hit: bool) -> None:
    assert ExactMatch(r"####\s*(\S+)")([found], [[right]]) == {"exact_match": float(hit)}


def test_whole_texts_match_too() -> None:
    metric = ExactMatch()
    assert metric(["yes.", "no"], [["yes"], ["maybe", "perhaps"]]) == {"exact_match": 0.5}
    assert metric([], []) == {"exact_match": 0.0}
