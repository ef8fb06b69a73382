"""Of a prompt that is too long the text in it gives way, from its end."""

import pytest
from transformers import PreTrainedTokenizerBase

from lightune.errors import ConfigError
from lightune.tasks.documents import leading_tokens
from lightune.tasks.prompts import Prompts

TEMPLATE = "sum up {source} in short"
SOURCE = "one two three four five six"


def _words(prompts: Prompts, source: str = SOURCE) -> tuple[str, bool]:
    (ids,), (cut,) = prompts.encode([source])
    return str(prompts.tokenizer.decode(ids)), cut


def test_a_whole_prompt(tokenizer: PreTrainedTokenizerBase) -> None:
    text, cut = _words(Prompts(TEMPLATE, tokenizer, 64))
    assert text == f"[CLS] {TEMPLATE.format(source=SOURCE)}"
    assert not cut
    assert _words(Prompts("{source}", tokenizer, 64, closed=True)) == (f"[CLS] {SOURCE} [SEP]", False)


@pytest.mark.parametrize("longest", range(6, 11))
def test_the_end_of_the_text_is_cut(tokenizer: PreTrainedTokenizerBase, longest: int) -> None:
    whole, _ = Prompts(TEMPLATE, tokenizer, 64).encode([SOURCE])
    assert len(whole[0]) > longest
    (ids,), (cut,) = Prompts(TEMPLATE, tokenizer, longest).encode([SOURCE])
    kept = 6 - (len(whole[0]) - longest)
    assert cut
    assert len(ids) == longest
    assert tokenizer.decode(ids) == f"[CLS] sum up {' '.join(SOURCE.split()[:kept])} in short"


def test_no_room_for_any_text(tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(ConfigError, match=r"task\.prompt: .* tokens of it stand around the text, and 5 is all"):
        Prompts(TEMPLATE, tokenizer, 5).encode([SOURCE])


def test_a_template_without_a_place(tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(ConfigError, match=r"has no \{source\} in it"):
        Prompts("summarize: ", tokenizer, 64).encode([SOURCE])


def test_braces_in_a_text_are_text(tokenizer: PreTrainedTokenizerBase) -> None:
    text, _ = _words(Prompts("a {source} b", tokenizer, 64), "{source} {0}")
    assert text.replace(" ", "") == "[CLS]a{source}{0}b"


def test_what_a_tokenizer_puts_first(tokenizer: PreTrainedTokenizerBase) -> None:
    assert leading_tokens(tokenizer) == [tokenizer.cls_token_id]
