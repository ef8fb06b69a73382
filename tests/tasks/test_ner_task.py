"""A word's tag sits on its first piece, whatever the tokenizer; words that have no piece or were cut count as O."""

import random
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from lightune.data import world
from lightune.data.loaders import Collate
from lightune.data.table import Row, Table
from lightune.errors import DataError
from lightune.losses import IGNORED
from lightune.models import Backbone
from lightune.tasks.base import Output
from lightune.tasks.ner import EntityRecognition

COLUMNS = {"id": "id", "tokens": "tokens", "tags": "tags"}
TASK = EntityRecognition(columns=COLUMNS, labels=("B-LOC", "B-PER", "I-LOC", "I-PER", "O"))
PADS = {"input_ids": 0, "token_type_ids": 0, **TASK.padding}
WORDS = (
    "Marie Curie won twice in 1,903 U.S. O'Neil naïve größer 東京 Москва 😀 unaffable x don't ( ) $5 re-elected".split()
)
# What WordPiece drops altogether: a lone zero-width space, a control character, a combining mark, a space.
NOTHING = ("\u200b", "\x01", "\u0301", "\u00a0")


def _row(tokens: list[str], tags: list[str] | None = None, example: int = 0) -> Row:
    return {"id": str(example), "tokens": tokens, "tags": tags or ["O"] * len(tokens), "example": example}


def _random_rows(count: int, pool: list[str]) -> list[Row]:
    rng = random.Random(0)
    sentences = [[rng.choice(pool) for _ in range(rng.randint(1, 25))] for _ in range(count)]
    tags = TASK.labels or ()
    return [_row(words, [rng.choice(tags) for _ in words], i) for i, words in enumerate(sentences)]


def _encode(rows: list[Row], tokenizer: PreTrainedTokenizerBase, length: int = 256) -> list[dict[str, Any]]:
    encoded = TASK.encode({key: [row[key] for row in rows] for key in rows[0]}, tokenizer, length)
    return [dict(zip(encoded, values, strict=True)) for values in zip(*encoded.values(), strict=True)]


def _check_alignment(
    rows: list[Row], features: list[dict[str, Any]], pieces: dict[str, list[int]], before: list[int], after: list[int]
) -> None:
    """Compare with the words put together from the pieces that each has alone."""
    labels = TASK.labels or ()
    for row, feature in zip(rows, features, strict=True):
        ids, words = list(before), [-1] * len(before)
        for number, word in enumerate(row["tokens"]):
            ids += pieces[word]
            words += [number, *[-1] * (len(pieces[word]) - 1)] if pieces[word] else []
        assert feature["input_ids"] == [*ids, *after]
        assert feature["words"] == [*words, *[-1] * len(after)]
        expected = [IGNORED if w < 0 else labels.index(row["tags"][w]) for w in feature["words"]]
        assert feature["labels"] == expected
        assert not feature["truncated"]


def test_tags_sit_on_first_pieces_of_wordpiece(tokenizer: PreTrainedTokenizerBase) -> None:
    pool = [*WORDS, *NOTHING]
    rows = _random_rows(300, pool)
    pieces = {word: tokenizer(word, add_special_tokens=False)["input_ids"] for word in pool}
    assert all(pieces[word] == [] for word in NOTHING)
    assert max(map(len, pieces.values())) >= 3
    begin, end = tokenizer("")["input_ids"]
    _check_alignment(rows, _encode(rows, tokenizer), pieces, [begin], [end])


@pytest.fixture(scope="module")
def byte_level_backbone(
    byte_level_tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory
) -> Backbone:
    folder = tmp_path_factory.mktemp("byte-level")
    byte_level_tokenizer.save_pretrained(folder)
    return Backbone(path=str(folder))


def test_tags_sit_on_first_pieces_of_byte_level_bpe(
    byte_level_backbone: Backbone, byte_level_tokenizer: PreTrainedTokenizerFast
) -> None:
    rows = _random_rows(300, WORDS)
    # Inside a text a word brings its space along; words of a list are to look the same, the first included.
    pieces = {word: byte_level_tokenizer(f" {word}")["input_ids"] for word in WORDS}
    assert max(map(len, pieces.values())) >= 5
    tokenizer = byte_level_backbone.tokenizer(TASK.pretokenized)
    _check_alignment(rows, _encode(rows, tokenizer), pieces, [], [])


def test_alignment_by_hand(tokenizer: PreTrainedTokenizerBase) -> None:
    (feature,) = _encode([_row(["Marie", "unaffable", "\u200b", "1903"], ["B-PER", "O", "B-LOC", "O"])], tokenizer)
    assert tokenizer.convert_ids_to_tokens(feature["input_ids"]) == ("[CLS] marie una ##ffa ##ble 1903 [SEP]".split())
    assert feature["words"] == [-1, 0, 1, -1, -1, 3, -1]
    assert feature["labels"] == [IGNORED, 1, 4, IGNORED, IGNORED, 4, IGNORED]


@pytest.mark.parametrize(
    ("tokens", "length", "seen", "truncated"),
    [
        (["one"] * 10, 12, 10, False),
        (["one"] * 11, 12, 10, True),
        (["one"] * 9 + ["unaffable"], 12, 10, False),  # its first piece is there, and carries the tag
        (["one"] * 10 + ["unaffable"], 12, 10, True),
        (["one", "\u200b"], 12, 1, False),  # no piece at all is no truncation
        (["\u200b"] * 3, 12, 0, False),
    ],
)
def test_words_beyond_the_length_are_counted(
    tokenizer: PreTrainedTokenizerBase, tokens: list[str], length: int, seen: int, truncated: bool
) -> None:
    (feature,) = _encode([_row(tokens)], tokenizer, length)
    assert sum(word >= 0 for word in feature["words"]) == seen
    assert feature["truncated"] is truncated
    assert len(feature["input_ids"]) <= length


def _oracle_predictions(
    rows: list[Row], tokenizer: PreTrainedTokenizerBase, length: int, task: EntityRecognition = TASK
) -> list[list[str]]:
    collate, evidence = Collate(PADS), []
    encoded = task.encode({key: [row[key] for row in rows] for key in rows[0]}, tokenizer, length)
    del encoded["truncated"]
    features = [dict(zip(encoded, values, strict=True)) for values in zip(*encoded.values(), strict=True)]
    for at in range(0, len(features), 16):
        batch = collate(features[at : at + 16])
        logits = functional.one_hot(batch["labels"].clamp(min=0), len(task.labels or ())) * 9.0
        # Where no word begins a wrong tag scores highest: nobody may look there.
        logits[batch["labels"] < 0] = logits.new_zeros(logits.size(-1)).index_fill_(0, torch.tensor(0), 9.0)
        evidence += task.predict(Output(torch.tensor(0.0), torch.tensor(0), (logits,)), batch)
    predictions = task.conclude(evidence, rows)
    assert [p.target for p in predictions] == [row["tags"] for row in rows]
    assert [p.id for p in predictions] == [row["id"] for row in rows]
    return [p.prediction for p in predictions]


def test_a_model_that_knows_scores_one(tokenizer: PreTrainedTokenizerBase, byte_level_backbone: Backbone) -> None:
    table = TASK.read(Table(world.generate("ner")["val"], "corpus"))
    task = replace(TASK, labels=None).with_labels(table)
    rows = [{**row, "example": i} for i, row in enumerate(table.rows)]
    for each in (tokenizer, byte_level_backbone.tokenizer(True)):
        assert _oracle_predictions(rows, each, 512, task) == [row["tags"] for row in rows]


def test_words_that_no_piece_stands_for_are_outside(tokenizer: PreTrainedTokenizerBase) -> None:
    tags = ["B-PER", "I-PER", "B-LOC", "O", "B-LOC"]
    rows = [_row(["a", "b", "c", "d", "e"], tags), _row(["a", "\u200b", "c", "\x01", "e"], tags, 1)]
    assert _oracle_predictions(rows, tokenizer, 256) == [tags, ["B-PER", "O", "B-LOC", "O", "B-LOC"]]
    assert _oracle_predictions(rows, tokenizer, 5)[0] == ["B-PER", "I-PER", "B-LOC", "O", "O"]


def test_metrics_count_entities() -> None:
    examples = [{"id": "a", "tokens": ["x"] * 4, "tags": ["B-PER", "I-PER", "O", "B-LOC"]}]
    evidence = [(0, {0: 1, 1: 4, 2: 4, 3: 0})]  # the person lost its second word, the place is right
    predictions = TASK.conclude(evidence, examples)
    assert predictions[0].prediction == ["B-PER", "O", "O", "B-LOC"]
    measured = TASK.measure(predictions)
    assert (measured["f1"], measured["precision"], measured["recall"]) == (0.5, 0.5, 0.5)
    assert (measured["f1_macro"], measured["accuracy"]) == (0.5, 0.75)
    assert [(row["type"], row["f1"]) for row in TASK.tables(predictions)["per_type"]] == [("LOC", 1.0), ("PER", 0.0)]


@pytest.mark.parametrize("backbone", ["tiny_encoder", "tiny_decoder"])
def test_the_loss_is_that_of_transformers(
    backbone: str, tokenizer: PreTrainedTokenizerBase, request: pytest.FixtureRequest
) -> None:
    chosen: Backbone = request.getfixturevalue(backbone)
    model, _ = chosen.load(TASK.auto_class, chosen.read_config(**TASK.head_config()))
    model.eval()
    features = _encode(_random_rows(5, WORDS), tokenizer)
    batch = Collate(PADS)([{k: v for k, v in feature.items() if k != "truncated"} for feature in features])
    output = TASK.step(model, batch)
    types = {"token_type_ids": batch["token_type_ids"]} if backbone == "tiny_encoder" else {}
    inputs = {key: batch[key] for key in ("input_ids", "attention_mask", "labels")}
    words = sum(len(row["tokens"]) for row in _random_rows(5, WORDS))
    assert output.count.item() == words
    assert (output.loss_sum / words).item() == pytest.approx(model(**inputs, **types).loss.item(), rel=1e-6)
    assert model.config.label2id == {tag: i for i, tag in enumerate(TASK.labels or ())}


def test_tags_are_those_of_the_training_rows_and_o() -> None:
    table = Table([_row(["a", "b"], ["B-PER", "I-PER"]), _row(["a", "b"], ["B-LOC", "I-LOC"])], "train.conll")
    assert replace(TASK, labels=None).with_labels(table).labels == TASK.labels
    given = replace(TASK, labels=("O", "B-PER"))
    assert given.with_labels(table).labels == ("O", "B-PER")
    with pytest.raises(DataError, match=r"train\.conll: no word is tagged, all are O"):
        replace(TASK, labels=None).with_labels(Table([_row(["a"])], "train.conll"))


@pytest.mark.parametrize(
    ("tokens", "tags", "problem"),
    [
        (["a", "b"], ["O"], "line 3: tokens and tags should be lists of the same length, and are 2 and 1"),
        ([], [], "line 3: tokens and tags should be lists of the same length, and are 0 and 0"),
        ("a b", "O O", "line 3: tokens and tags should be lists .* and are 'a b' and 'O O'"),
        (["a"], None, "line 3: column 'tags' has no value"),
        (["a", "b"], ["O", "U-PER"], "line 3: the tag 'U-PER' is neither O nor begins with B-, I-, E- or S-"),
        (["a", "b"], [0, 3], "line 3: the tag '0' is neither O"),
        (["a", "b"], ["O", "per"], "line 3: the tag 'per' is neither O"),
    ],
)
def test_a_wrong_row_is_named(tokens: Any, tags: Any, problem: str) -> None:
    good = {"tokens": ["a"], "tags": ["S-PER"]}
    with pytest.raises(DataError, match=problem):
        TASK.read(Table([good, {"tokens": tokens, "tags": tags}], "train.jsonl", lines=[1, 3]))


def test_an_unknown_tag_is_named() -> None:
    table = Table([_row(["a", "b"], ["O", "B-LOK"])], "val.conll", lines=[5])
    with pytest.raises(DataError, match=r"val\.conll, line 5: label 'B-LOK' is unknown") as caught:
        TASK.check_labels(table)
    assert "did you mean 'B-LOC'" in caught.value.remedy
    TASK.check_labels(Table([_row(["a"])], "val.conll"))


def test_splits_balance_sentences_with_entities() -> None:
    assert TASK.stratum(_row(["a", "b"], ["O", "B-PER"])) != TASK.stratum(_row(["a", "b"]))
    assert TASK.group(_row(["a"])) is None


@pytest.mark.parametrize(
    ("labels", "inside"),
    [(("B-PER", "I-PER", "O", "S-PER"), "I-PER"), (("B-PER", "O", "S-PER"), "B-PER")],
)
def test_all_pieces_may_carry_the_tag(labels: tuple[str, ...], inside: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """``unaffable`` is una ##ffa ##ble; where there is no I-PER, B-PER goes on."""
    row = _row(["unaffable", "Marie", "unaffable", "unaffable"], ["B-PER", "O", "O", "S-PER"])
    task = replace(TASK, labels=labels, all_subwords=True)
    encoded = task.encode({key: [value] for key, value in row.items()}, tokenizer, 64)
    tags = [None if label == IGNORED else labels[label] for label in encoded["labels"][0]]
    assert tags == [None, "B-PER", inside, inside, "O", *["O"] * 3, *["S-PER"] * 3, None]
    first = replace(task, all_subwords=False).encode({key: [value] for key, value in row.items()}, tokenizer, 64)
    assert first["words"] == encoded["words"]
    assert first["labels"] == [
        [label if word >= 0 else IGNORED for label, word in zip(encoded["labels"][0], first["words"][0], strict=True)]
    ]


@pytest.mark.parametrize("scheme", ["IO", "BIO", "BIOES"])
def test_every_scheme_is_learnt_as_it_is(scheme: str, tokenizer: PreTrainedTokenizerBase) -> None:
    tags = {
        "IO": ["I-PER", "I-PER", "O", "I-LOC"],
        "BIO": ["B-PER", "I-PER", "O", "B-LOC"],
        "BIOES": ["B-PER", "E-PER", "O", "S-LOC"],
    }[scheme]
    rows = [{"tokens": ["Marie", "Curie", "in", "Warsaw"], "tags": tags}]
    task = replace(TASK, labels=None)
    read = task.read(Table(rows, "a.jsonl"))
    task = task.with_labels(read)
    assert set(task.labels or ()) == {*tags, "O"}
    (row,) = read.rows
    found = task.conclude([(0, {i: (task.labels or ()).index(tag) for i, tag in enumerate(tags)})], [row])
    assert task.measure(found)["f1"] == 1
    assert {line["type"]: line["support"] for line in task.tables(found)["per_type"]} == {"PER": 1, "LOC": 1}
