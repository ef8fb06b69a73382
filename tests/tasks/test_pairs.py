"""An encoder reads each choice beside its context, and of what is too long the context gives way."""

from typing import Any

from transformers import PreTrainedTokenizerBase

from lightune.data.table import Row
from lightune.tasks.pairs import choice_pairs, encode_pairs


def _row(**others: Any) -> Row:
    return {"context": "one two three", "question": "which?", "choices": ["red", "dark blue"], **others}


def _texts(feature: list[list[int]], tokenizer: PreTrainedTokenizerBase) -> list[str]:
    return [" ".join(tokenizer.convert_ids_to_tokens(ids)) for ids in feature]


def test_which_texts_stand_beside_each_other() -> None:
    assert choice_pairs(_row()) == [("one two three", "which? red"), ("one two three", "which? dark blue")]
    assert choice_pairs(_row(context="")) == [("which?", "red"), ("which?", "dark blue")]
    assert choice_pairs(_row(question="")) == [("one two three", "red"), ("one two three", "dark blue")]


def test_every_choice_is_a_pair(tokenizer: PreTrainedTokenizerBase) -> None:
    encoded = encode_pairs([_row(), _row(question="", choices=["a", "b", "c"])], tokenizer, 64)
    assert _texts(encoded["input_ids"][0], tokenizer) == [
        "[CLS] one two three [SEP] which ? red [SEP]",
        "[CLS] one two three [SEP] which ? dark blue [SEP]",
    ]
    assert [len(inputs) for inputs in encoded["input_ids"]] == [2, 3]
    assert encoded["token_type_ids"][0][0] == [0] * 5 + [1] * 4
    assert encoded["length"] == [2 * 10, 3 * 7]
    assert encoded["truncated"] == [False, False]
    assert "attention_mask" not in encoded


def test_the_context_gives_way_first(tokenizer: PreTrainedTokenizerBase) -> None:
    encoded = encode_pairs([_row(), _row(context="one")], tokenizer, 9)
    assert _texts(encoded["input_ids"][0], tokenizer) == [
        "[CLS] one two three [SEP] which ? red [SEP]",
        "[CLS] one two [SEP] which ? dark blue [SEP]",
    ]
    assert encoded["truncated"] == [True, False]


def test_a_choice_longer_than_the_room_is_cut_too(tokenizer: PreTrainedTokenizerBase) -> None:
    encoded = encode_pairs([_row(choices=["red", "blue " * 20])], tokenizer, 10)
    assert [len(ids) for ids in encoded["input_ids"][0]] == [9, 10]
    assert encoded["truncated"] == [True]
    assert _texts(encoded["input_ids"][0], tokenizer)[1].startswith("[CLS] one two three [SEP] which ?")
