"""A tokenizer of one's own: its pieces, its special tokens, new embeddings, and runs that carry it along."""

from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from lightune.data import world
from lightune.errors import ConfigError
from lightune.models import Backbone
from lightune.models.vocabulary import ALGORITHMS, TokenizerTraining, restored, texts_of
from tests import command, running

TEXTS = [text for text in texts_of(world.generate("classification")["train"][:400]) if text.isascii()]
LIKES = ("tokenizer", "byte_level_tokenizer")


def _learnt(like: PreTrainedTokenizerBase, cache: Path, algorithm: str, **options: Any) -> PreTrainedTokenizerBase:
    training = TokenizerTraining(algorithm, **{"vocab_size": 900, **options})
    return restored(training.learnt(TEXTS, like, cache), like)


@pytest.fixture(params=LIKES)
def like(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    found: PreTrainedTokenizerBase = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_texts_come_back_from_their_pieces(algorithm: str, like: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    tokenizer = _learnt(like, tmp_path, algorithm)
    assert 300 <= len(tokenizer) <= 900
    pieces = 0
    for text in TEXTS[:50]:
        ids = tokenizer(text)["input_ids"]
        pieces += len(ids)
        back = str(tokenizer.decode(ids, skip_special_tokens=True))
        assert back.replace(" ", "") == text.replace(" ", "")
        if algorithm != "wordpiece":  # which does not keep the spaces round marks
            assert back.strip() == text
    assert pieces < sum(len(text.encode()) for text in TEXTS[:50]) / 2  # words are no single letters
    assert tokenizer.unk_token_id is not None or algorithm == "bpe"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_special_tokens_stand_where_the_backbone_s_stand(
    algorithm: str, like: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    tokenizer = _learnt(like, tmp_path, algorithm)
    for roles in ("pad_token", "cls_token", "sep_token", "mask_token", "eos_token", "bos_token"):
        assert getattr(tokenizer, roles) == getattr(like, roles)

    def marks(of: PreTrainedTokenizerBase, *texts: str) -> list[str]:
        tokens = of.convert_ids_to_tokens(of(*texts)["input_ids"])
        return [mark for mark, _ in groupby(token if token in of.all_special_tokens else "x" for token in tokens)]

    word = "the"  # several pieces in some of them
    assert marks(tokenizer, word) == marks(like, word)
    assert marks(tokenizer, word, word) == marks(like, word, word)
    if "token_type_ids" in like(word, word):
        kinds = (of(word, word)["token_type_ids"] for of in (tokenizer, like))
        ours, theirs = ([kind for kind, _ in groupby(each)] for each in kinds)
        assert ours == theirs


def test_it_is_learnt_once_and_the_same_each_time(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    training = TokenizerTraining("bpe", vocab_size=500)
    first = training.learnt(TEXTS, tokenizer, tmp_path / "a")
    assert training.learnt(TEXTS, tokenizer, tmp_path / "b") == first
    folders = list((tmp_path / "a" / "tokenizers").glob("*[0-9a-f]"))
    assert len(folders) == 1
    (folders[0] / "tokenizer.json").write_text("kept")
    assert training.learnt(TEXTS, tokenizer, tmp_path / "a") == "kept"
    assert training.learnt(TEXTS[1:], tokenizer, tmp_path / "a") != "kept"
    assert replace(training, lowercase=True).learnt(TEXTS, tokenizer, tmp_path / "a") != "kept"


def test_case_is_dropped_where_that_is_wanted(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    for algorithm in ALGORITHMS:
        lower = _learnt(tokenizer, tmp_path, algorithm, lowercase=True)
        assert lower("The Castle")["input_ids"] == lower("the castle")["input_ids"]
        kept = _learnt(tokenizer, tmp_path, algorithm)
        assert kept("The Castle")["input_ids"] != kept("the castle")["input_ids"]


def test_texts_are_found_in_rows() -> None:
    rows = [
        {
            "id": "7",
            "text": "a b",
            "label": "x",
            "choices": ["c", "d"],
            "answers": {"text": ["e"], "answer_start": [3]},
        },
        {
            "messages": [{"role": "user", "content": "f"}],
            "n": 3,
            "none": None,
            "tokens": ["g", "h"],
            "tags": ["O", "O"],
        },
    ]
    assert list(texts_of(rows)) == ["a b", "c d", "e", "f", "g h"]


@pytest.mark.parametrize(
    ("settings", "says", "remedy"),
    [
        ({"algorithm": "wordpieces"}, r"tokenizer\.algorithm=wordpieces: there is no such algorithm", "'wordpiece'"),
        ({"algorithm": "bpe", "vocab_size": 10}, r"tokenizer\.vocab_size=10: expected at least 300", "8000"),
    ],
)
def test_what_cannot_be_learnt_is_refused(settings: dict[str, Any], says: str, remedy: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        TokenizerTraining(**settings)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("auto", ["AutoModelForSequenceClassification", "AutoModelForMaskedLM"])
def test_only_what_stands_for_tokens_starts_anew(auto: str, minilm: Backbone, tmp_path: Path) -> None:
    tokenizer = _learnt(minilm.tokenizer(), tmp_path, "wordpiece")
    backbone = replace(minilm, learnt=tokenizer)
    config = backbone.read_config()
    assert config.vocab_size == len(tokenizer)
    assert config.pad_token_id == tokenizer.pad_token_id
    torch.manual_seed(0)
    model, fresh = backbone.load(auto, config)
    old, _ = minilm.load(auto, minilm.read_config())
    before = dict(old.named_parameters())
    for name, parameter in model.named_parameters():
        if name in fresh:
            assert not torch.isnan(parameter).any()
        else:
            assert torch.equal(parameter, before[name]), name
    assert any("word_embeddings" in name for name in fresh)
    assert not any("position_embeddings" in name or "attention" in name for name in fresh)


RUNS = {
    "classification": ("tokenizer.algorithm=unigram", "model=tiny"),
    "ner": ("tokenizer.algorithm=bpe", "model=tiny"),
    "mlm": ("tokenizer.algorithm=wordpiece", "model=tiny"),
    "clm": ("tokenizer.algorithm=bpe", "model=tiny-decoder"),
}


@pytest.mark.parametrize("task", RUNS)
def test_a_run_carries_its_tokenizer_along(task: str, tmp_path: Path) -> None:
    typed = (
        f"task={task}",
        "peft=full",
        "tokenizer=train",
        "tokenizer.vocab_size=600",
        "data.max_length=64",
        *RUNS[task],
    )
    run = running.train(tmp_path / "run", *typed)
    best = run / "checkpoints" / "best.ckpt"
    elsewhere = (tmp_path / "elsewhere").with_suffix(".ckpt")
    elsewhere.write_bytes(best.read_bytes())
    again = running.evaluate(elsewhere, tmp_path / "again", f"paths.cache={tmp_path / 'empty'}")
    assert running.predictions(again) == running.predictions(run)
    assert len(AutoTokenizer.from_pretrained(run / "model")) <= 600
    running.resume(run, "trainer.max_epochs=3", f"paths.cache={tmp_path / 'empty'}")


def test_an_adapter_cannot_learn_all_embeddings(tmp_path: Path) -> None:
    outcome = command.run("train", ["tokenizer=train", "peft=lora", f"run_dir={tmp_path / 'run'}"], tmp_path)
    assert outcome.status == 1
    assert "tokenizer=train: all embeddings start anew" in outcome.err
    assert "type peft=full" in outcome.err
