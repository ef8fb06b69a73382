"""BERTScore: the same text scores one, and the number is the greedy matching of token vectors, worked out apart."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

from lightune.models.bert_score import BertScore

FOUND = ["A dog runs in the park.", "He plays the piano", "It rains."]
RIGHT = [
    ["A dog is running in a park."],
    ["A man plays a piano.", "He plays the piano"],
    ["The sun shines today.", "Cats sleep."],
]


@pytest.fixture(scope="module")
def encoder(minilm: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small encoder with random weights."""
    from transformers import BertConfig

    folder = tmp_path_factory.mktemp("encoder")
    tokenizer = minilm.tokenizer()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64
    )
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _f1(folder: Path, one: str, other: str, layer: int) -> float:
    """Return the F1 of greedy matching without the special tokens (equation 1 to 3 of the paper)."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    vectors = []
    for text in (one, other):
        with torch.no_grad():
            states = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states[layer][0]
        vectors.append(functional.normalize(states[1:-1], dim=-1))
    cosines = vectors[0] @ vectors[1].T
    precision, recall = cosines.max(1).values.mean(), cosines.max(0).values.mean()
    return float(2 * precision * recall / (precision + recall))


@pytest.mark.parametrize("layer", [None, 2])
def test_the_score_is_that_of_greedy_matching(layer: int | None, encoder: Path) -> None:
    found = BertScore(str(encoder), layer=layer)(FOUND, RIGHT)
    place = 3 if layer is None else layer
    best = [
        max(_f1(encoder, text, right, place) for right in several) for text, several in zip(FOUND, RIGHT, strict=True)
    ]
    assert found == {"bert_score": pytest.approx(sum(best) / 3, abs=1e-5)}


def test_the_same_text_scores_one(encoder: Path) -> None:
    assert BertScore(str(encoder))(FOUND, [[text] for text in FOUND])["bert_score"] == pytest.approx(1, abs=1e-5)
    assert BertScore(str(encoder))([], []) == {"bert_score": 0.0}


def test_a_batch_does_not_change_the_score(encoder: Path) -> None:
    whole, single = (BertScore(str(encoder), batch_size=size)(FOUND, RIGHT)["bert_score"] for size in (64, 1))
    assert whole == pytest.approx(single, abs=1e-5)


def test_a_text_without_words_and_one_that_is_too_long(encoder: Path) -> None:
    scores = BertScore(str(encoder), max_length=32)(["", "word " * 900], [["Something."], ["word " * 900]])
    assert 0 <= scores["bert_score"] <= 1
