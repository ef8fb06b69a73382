"""The loaders that training and evaluation get: what is in their batches, how many there are, and where they resume."""

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from lightune.data.batching import Share
from lightune.data.encoding import EncodedSplit, encode
from lightune.data.loaders import Collate
from lightune.data.module import DataModule
from lightune.data.table import Row
from lightune.losses import IGNORED
from lightune.tasks.ner import EntityRecognition

TASK = EntityRecognition(columns={}, labels=("B-X", "O"))
SIZES = {"train": 45, "val": 7, "test": 11}


def _sentences(count: int) -> list[Row]:
    # Each sentence begins with a token of its own, so that a batch tells what it holds.
    return [
        {"id": str(i), "tokens": [str(i), *["word"] * (1 + i * 7 % 23)], "tags": ["B-X", *["O"] * (1 + i * 7 % 23)]}
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def splits(tokenizer: PreTrainedTokenizerBase, cache_folder: Path) -> dict[str, EncodedSplit]:
    return {name: encode(_sentences(n), TASK, tokenizer, 64, cache_folder) for name, n in SIZES.items()}


def _data(splits: dict[str, EncodedSplit], **options: Any) -> DataModule:
    pads = {"input_ids": 0, "token_type_ids": 0, **TASK.padding}
    settings = {"batch_size": 4, "eval_batch_size": 3, "eval_only": tuple(TASK.eval_only)}
    return DataModule(splits, Collate(pads), **{**settings, **options})


def _members(batch: dict[str, Tensor], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return which sentences a batch holds; a number below 1000 is one token."""
    return [int(str(tokenizer.decode(i))) for i in batch["input_ids"][:, 1]]


def test_training_reads_only_what_the_loss_needs(splits: dict[str, EncodedSplit]) -> None:
    batch = next(iter(_data(splits).train_dataloader()))
    assert set(batch) == {"input_ids", "attention_mask", "token_type_ids", "labels"}
    assert {tensor.shape for tensor in batch.values()} == {batch["input_ids"].shape}
    assert torch.equal(batch["labels"] == IGNORED, batch["labels"] < 0)


def test_evaluation_reads_what_predictions_need(splits: dict[str, EncodedSplit]) -> None:
    data = _data(splits)
    for loader, split in ((data.val_dataloader(), "val"), (data.test_dataloader(), "test")):
        batches = list(loader)
        assert set(batches[0]) == {"input_ids", "attention_mask", "token_type_ids", "labels", "words", "example"}
        assert [len(batch["example"]) for batch in batches[:-1]] == [3] * (SIZES[split] // 3)
        seen = torch.cat([batch["example"] for batch in batches]).tolist()
        assert sorted(seen) == list(range(SIZES[split]))


def test_any_split_can_be_tested(splits: dict[str, EncodedSplit]) -> None:
    data = _data(splits)
    data.tested = "val"
    assert sum(len(batch["example"]) for batch in data.test_dataloader()) == SIZES["val"]


@pytest.mark.parametrize("options", [{}, {"accumulate": 3}, {"tokens_per_batch": 90}], ids=str)
def test_an_epoch_trains_on_every_feature(
    splits: dict[str, EncodedSplit], tokenizer: PreTrainedTokenizerBase, options: dict[str, int]
) -> None:
    data = _data(splits, **options)
    loader = data.train_dataloader()
    epochs = [[_members(batch, tokenizer) for batch in loader] for _ in range(2)]
    assert [sorted(i for batch in epoch for i in batch) for epoch in epochs] == [list(range(SIZES["train"]))] * 2
    assert epochs[0] != epochs[1]
    assert [len(epoch) for epoch in epochs] == [len(loader)] * 2 == [data.micro_batches(1)] * 2


def test_a_budget_replaces_both_batch_sizes(splits: dict[str, EncodedSplit]) -> None:
    data = _data(splits, tokens_per_batch=90)
    shapes = [
        batch["input_ids"].shape for loader in (data.train_dataloader(), data.val_dataloader()) for batch in loader
    ]
    assert max(shape.numel() for shape in shapes) <= 90
    assert max(shape[0] for shape in shapes) > 4


@pytest.mark.parametrize("options", [{}, {"accumulate": 2}, {"tokens_per_batch": 90}], ids=str)
@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_rank_trains_on_as_many_micro_batches(
    splits: dict[str, EncodedSplit], world: int, options: dict[str, int]
) -> None:
    data = _data(splits, **options)
    for epoch in range(2):
        plans = [data.plan(Share(rank, world))(epoch) for rank in range(world)]
        assert [len(plan) for plan in plans] == [data.micro_batches(world)] * world
        assert sorted(i for plan in plans for batch in plan for i in batch) == list(range(SIZES["train"]))


def test_strata_are_balanced_in_training_alone(splits: dict[str, EncodedSplit]) -> None:
    strata = [int(i % 9 == 0) for i in range(SIZES["train"])]
    data = _data(splits, strata=strata)
    drawn = [i for batch in data.plan(Share())(0) for i in batch]
    assert len(drawn) == SIZES["train"]
    assert sum(strata[i] for i in drawn) in (22, 23)
    assert len(data.train_dataloader()) == len(_data(splits).train_dataloader())
    assert sum(len(batch["example"]) for batch in data.val_dataloader()) == SIZES["val"]


def test_the_seed_decides_the_order(splits: dict[str, EncodedSplit]) -> None:
    plans = [_data(splits, seed=seed).plan(Share())(0) for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]


def _place(data: DataModule) -> dict[str, int]:
    return {key: data.state_dict()[key] for key in ("epoch", "position")}


def test_training_goes_on_where_the_state_says(
    splits: dict[str, EncodedSplit], tokenizer: PreTrainedTokenizerBase
) -> None:
    data, later = _data(splits), _data(splits)
    assert data.state_dict() == {}  # nothing was trained yet
    loader = data.train_dataloader()
    through = [_members(batch, tokenizer) for _ in range(2) for batch in loader]
    again = data.train_dataloader()
    seen = [_members(batch, tokenizer) for batch in islice(iter(again), 5)]
    later.load_state_dict(data.state_dict())
    resumed = later.train_dataloader()
    seen += [_members(batch, tokenizer) for _ in range(2) for batch in resumed]
    assert seen == through
    assert _place(later) == {"epoch": 2, "position": 0}


@pytest.mark.parametrize("limit", [4, 0.5])
def test_a_limited_epoch_is_finished_at_its_limit(
    splits: dict[str, EncodedSplit], tokenizer: PreTrainedTokenizerBase, limit: float
) -> None:
    data, later = _data(splits, limit=limit), _data(splits, limit=limit)
    loader = data.train_dataloader()
    count = int(limit if isinstance(limit, int) else len(loader) * limit)
    assert 1 < count < len(loader)
    first = [_members(batch, tokenizer) for batch in islice(iter(loader), count)]
    later.load_state_dict(data.state_dict())
    assert later.state_dict() == {}  # its loader was not made yet
    assert _place(data) == {"epoch": 1, "position": 0}
    second = [_members(batch, tokenizer) for batch in islice(iter(loader), count)]
    resumed = [_members(batch, tokenizer) for batch in islice(iter(later.train_dataloader()), count)]
    assert resumed == second != first


@pytest.mark.parametrize("workers", [0, 1])
def test_loading_leaves_the_global_random_state_alone(splits: dict[str, EncodedSplit], workers: int) -> None:
    data = _data(splits, num_workers=workers)
    before = torch.get_rng_state()
    for loader in (data.train_dataloader(), data.val_dataloader()):
        assert sum(1 for _ in loader) == len(loader)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_padding_of_a_batch_is_its_own(splits: dict[str, EncodedSplit]) -> None:
    lengths = splits["train"].lengths
    padded = sum(batch["input_ids"].numel() for batch in _data(splits).train_dataloader())
    assert padded < 1.15 * sum(lengths)  # padded to the longest of all it would be 1.9 times
    assert replace(splits["train"], lengths=lengths).truncated == 0
