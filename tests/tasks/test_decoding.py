"""Prompts at the right edge, decoder inputs, and settings that are refused before anything is loaded."""

from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    PreTrainedTokenizerBase,
    T5Config,
    T5ForConditionalGeneration,
)

from lightune.errors import ConfigError
from lightune.losses import IGNORED
from lightune.tasks.decoding import decoding, left_padded, shifted_right

CONFIG = LlamaConfig(vocab_size=60, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)


def test_left_padding_by_hand() -> None:
    ids = torch.tensor([[5, 6, 7, 8], [9, 1, 0, 0]])
    found, mask = left_padded(ids, torch.tensor([3, 1]), pad=0)
    assert found.tolist() == [[5, 6, 7], [0, 0, 9]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]


def test_shifting_is_that_of_transformers() -> None:
    labels = torch.tensor([[4, 5, 1], [6, 1, IGNORED]])
    config = T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    config.decoder_start_token_id = 2
    theirs = T5ForConditionalGeneration(config)._shift_right(labels)
    assert shifted_right(labels, 2, 0).tolist() == theirs.tolist() == [[2, 4, 5], [2, 6, 1]]


def test_the_padding_leaves_the_generated_text_alone(tokenizer: PreTrainedTokenizerBase) -> None:
    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_config(CONFIG).eval()
    settings = decoding({"eos_token_id": 59, "max_new_tokens": 6}, 6, CONFIG, tokenizer)
    ids = torch.tensor([[5, 6, 7, 8], [9, 3, 0, 0]])
    prompts, mask = left_padded(ids, torch.tensor([4, 2]), pad=0)
    both = model.generate(input_ids=prompts, attention_mask=mask, generation_config=settings)[:, 4:]
    alone = model.generate(input_ids=torch.tensor([[9, 3]]), generation_config=settings)[:, 2:]
    assert both[1].tolist() == alone[0].tolist()
    # Greedy decoding written out: the likeliest next token, again and again.
    written = [9, 3]
    for _ in range(6):
        with torch.no_grad():
            written.append(int(model(torch.tensor([written])).logits[0, -1].argmax()))
    assert written[2:] == alone[0].tolist()


def test_defaults(tokenizer: PreTrainedTokenizerBase) -> None:
    found = decoding({}, 12, CONFIG, tokenizer)
    assert (found.max_new_tokens, found.do_sample, found.num_beams) == (12, False, 1)
    assert (found.eos_token_id, found.pad_token_id) == (tokenizer.sep_token_id, tokenizer.pad_token_id)
    assert decoding({"max_new_tokens": 3, "num_beams": 4}, 12, CONFIG, tokenizer).num_beams == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_beam": 4}, "task.generation.num_beam: there is no such setting"),
        ({"num_return_sequences": 2}, "task.generation.num_return_sequences: there is no such setting"),
        ({"max_new_tokens": 0}, "task.generation: "),
        ({"early_stopping": 7, "num_beams": 2}, "task.generation: "),
    ],
)
def test_settings_that_are_none(settings: dict[str, Any], message: str, tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(ConfigError, match=message):
        decoding(settings, 8, CONFIG, tokenizer)
