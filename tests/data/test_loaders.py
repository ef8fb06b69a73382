"""Batches as transformers' own collators make them, and an epoch that can be taken up at any batch."""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import DataCollatorForTokenClassification, DataCollatorWithPadding, PreTrainedTokenizerBase

from lightune.data.features import Feature, Features
from lightune.data.loaders import Collate, PlannedLoader
from lightune.losses import IGNORED

TEXTS = ["A short one.", "One that is rather longer than the one before it, and has two clauses.", "", "Ω"]
PAIRS = ["because", "it said so", "nothing at all follows from this", "?"]
SIZES = (3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5)
WHOLE = [[0, 1], [2, 3], [4], [5, 6], [7, 8], [9, 10]]


def _features(tokenizer: PreTrainedTokenizerBase, **columns: Sequence[Any]) -> list[dict[str, Any]]:
    encoded = tokenizer(TEXTS, PAIRS)
    inputs = {key: encoded[key] for key in ("input_ids", "token_type_ids")}
    rows = [dict(zip(inputs, values, strict=True)) for values in zip(*inputs.values(), strict=True)]
    return [{**row, **{name: column[i] for name, column in columns.items()}} for i, row in enumerate(rows)]


def _pads(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    return {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id, "labels": IGNORED}


def _same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.dtype
        assert torch.equal(ours[name], tensor), name


@pytest.mark.parametrize("multiple", [None, 8])
def test_padding_is_that_of_transformers(tokenizer: PreTrainedTokenizerBase, multiple: int | None) -> None:
    features = _features(tokenizer, labels=[2, 0, 1, 1])
    pads = {column: pad for column, pad in _pads(tokenizer).items() if column != "labels"}
    ours = Collate(pads, multiple)(features)
    _same(ours, dict(DataCollatorWithPadding(tokenizer, pad_to_multiple_of=multiple)(features)))
    assert ours["input_ids"].size(1) % (multiple or 1) == 0


@pytest.mark.parametrize("multiple", [None, 8])
def test_tags_are_padded_as_in_transformers(tokenizer: PreTrainedTokenizerBase, multiple: int | None) -> None:
    plain = _features(tokenizer)
    features = [{**feature, "labels": list(range(len(feature["input_ids"])))} for feature in plain]
    theirs = DataCollatorForTokenClassification(tokenizer, pad_to_multiple_of=multiple)(features)
    _same(Collate(_pads(tokenizer), multiple)(features), dict(theirs))


def test_a_padding_token_within_the_text_is_attended_to() -> None:
    # Decoders pad with their end-of-text token, which is a real token where a text holds it.
    batch = Collate({"input_ids": 0, "marks": -1})(
        [{"input_ids": [0, 7, 0], "marks": [5, 6, 7]}, {"input_ids": [7], "marks": [8]}]
    )
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["input_ids"].tolist() == [[0, 7, 0], [7, 0, 0]]
    assert batch["marks"].tolist() == [[5, 6, 7], [8, -1, -1]]


def _dataset() -> Features:
    return Features.from_dict({"input_ids": [[i + 1] * size for i, size in enumerate(SIZES)]})


def _plan(epoch: int) -> list[list[int]]:
    return [WHOLE[i] for i in np.random.default_rng(epoch).permutation(len(WHOLE))]


def _loader(workers: int = 0) -> PlannedLoader:
    return PlannedLoader(_dataset(), _plan, Collate({"input_ids": 0}), workers)


def _members(batch: dict[str, Tensor]) -> list[int]:
    return [int(i) - 1 for i in batch["input_ids"][:, 0]]


def _taken(loader: PlannedLoader, count: int | None = None) -> list[list[int]]:
    return [_members(batch) for batch in islice(iter(loader), count)]


@pytest.mark.parametrize("workers", [0, 2])
def test_each_epoch_follows_its_plan(workers: int) -> None:
    loader = _loader(workers)
    assert len(loader) == len(WHOLE)
    assert [_taken(loader) for _ in range(3)] == [_plan(epoch) for epoch in range(3)]


@pytest.mark.parametrize(("workers", "stops"), [(0, range(13)), (2, (1, 6, 8))])
def test_a_loader_resumes_at_every_batch(workers: int, stops: Sequence[int]) -> None:
    through = [batch for epoch in range(3) for batch in _plan(epoch)]
    for stop in stops:
        interrupted = _loader(workers)
        seen = [_members(batch) for batch in islice(_endless(interrupted), stop)]
        state = json.loads(json.dumps(interrupted.state_dict()))
        assert state == {"epoch": stop // 6, "position": stop % 6}  # what was handed out, whatever was read ahead
        resumed = _loader(workers)
        resumed.load_state_dict(state)
        assert len(resumed) == len(WHOLE)
        while resumed.state_dict()["epoch"] < 3:
            seen += _taken(resumed)
        assert seen == through


def _endless(loader: PlannedLoader) -> Iterator[dict[str, Tensor]]:
    while True:
        yield from loader


def test_an_iteration_that_is_broken_off_is_over() -> None:
    loader = _loader()
    assert _taken(loader, 2) == _plan(0)[:2]
    assert loader.state_dict() == {"epoch": 0, "position": 2}
    assert _taken(loader, 2) == _plan(1)[:2]
    assert _taken(loader) == _plan(2)


def test_a_resumed_epoch_is_finished_once() -> None:
    loader = _loader()
    loader.load_state_dict({"epoch": 4, "position": 5})
    assert _taken(loader) == _plan(4)[5:]
    assert loader.state_dict() == {"epoch": 5, "position": 0}
    assert _taken(loader, 1) == _plan(5)[:1]
    loader.load_state_dict({"epoch": 7, "position": 0})
    assert _taken(loader) == _plan(7)


@pytest.mark.parametrize("workers", [0, 2])
def test_loading_draws_no_global_random_numbers(workers: int) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    _taken(_loader(workers))
    assert torch.equal(torch.get_rng_state(), before)


def test_features_come_in_the_order_of_the_plan_with_their_own_padding() -> None:
    loader = PlannedLoader(_dataset(), lambda _: [[5, 0], [2]], Collate({"input_ids": 0}))
    first, second = list(loader)
    assert first["input_ids"].tolist() == [[6] * 9, [1] * 3 + [0] * 6]
    assert second["input_ids"].tolist() == [[3] * 4]


def test_columns_of_single_numbers_are_vectors() -> None:
    features: list[Feature] = [{"input_ids": [1], "start": 3, "score": 0.5}, {"input_ids": [1], "start": 4, "score": 2}]
    batch = Collate({"input_ids": 0})(features)
    assert batch["start"].tolist() == [3, 4]
    assert batch["score"].dtype == torch.float32
