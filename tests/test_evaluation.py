"""The metrics of a split do not depend on batch size, order or ranks, and its loss is a mean over targets."""

import random
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, nn
from transformers import PreTrainedTokenizerBase

from lightune.data.batching import Share, evaluation_batches
from lightune.data.encoding import EncodedSplit, encode
from lightune.data.loaders import Collate
from lightune.data.table import Row
from lightune.evaluation import Evaluation
from lightune.models import Backbone
from lightune.tasks.base import Batch, Prediction, Task
from lightune.tasks.classification import Classification
from lightune.tasks.ner import EntityRecognition
from lightune.tasks.qa import QuestionAnswering

COUNT = 23  # not a multiple of any batch size or of the ranks
WORDS = "one two three four five six seven eight nine ten".split()
TASKS: dict[str, Task] = {
    "qa": QuestionAnswering(columns={}, stride=4),
    "classification": Classification(columns={}, labels=("a", "b", "c")),
    "ner": EntityRecognition(columns={}, labels=("B-X", "I-X", "O")),
}


def _row(index: int, rng: random.Random) -> Row:
    """Return a row that serves every task; their lengths differ, and some passages are several windows."""
    words = [rng.choice(WORDS) for _ in range(rng.randint(2, 40))]
    answer = words[len(words) // 2]
    context = " ".join(words)
    return {
        "id": f"r{index}",
        "context": context,
        "question": "which?",
        "answers": {"text": [answer], "answer_start": [context.index(answer)]},
        "text": context,
        "label": rng.choice("abc"),
        "tokens": words,
        "tags": [rng.choice(("B-X", "I-X", "O")) for _ in words],
    }


def _rows() -> list[Row]:
    rng = random.Random(0)
    return [_row(i, rng) for i in range(COUNT)]


def _split(task: Task, tokenizer: PreTrainedTokenizerBase, cache: Path) -> EncodedSplit:
    return encode(_rows(), task, tokenizer, 24, cache)


def _model(task: Task, backbone: Backbone) -> nn.Module:
    torch.manual_seed(0)
    model, _ = backbone.load(task.auto_class, backbone.read_config(**task.head_config()))
    for matrix in [parameter for parameter in model.parameters() if parameter.dim() > 1]:
        matrix.data.mul_(10)  # clear differences between the rows, so that no rounding decides
    return model.eval()


def _batches(
    task: Task, split: EncodedSplit, batch_size: int, tokens: int | None = None, rank: int = 0, world: int = 1
) -> list[Batch]:
    collate = Collate({"input_ids": 0, "token_type_ids": 0, **task.padding})
    plan = evaluation_batches(split.lengths, batch_size=batch_size, tokens=tokens, share=Share(rank, world))
    return [collate([split.features[i] for i in positions]) for positions in plan]


@torch.no_grad()
def _evaluated(evaluation: Evaluation, model: nn.Module, batches: list[Batch]) -> dict[str, float]:
    for batch in batches:
        evaluation.update(evaluation.task.step(model, batch), batch)
    return evaluation.finish()


def _shown(predictions: list[Prediction]) -> list[tuple[Any, ...]]:
    return [(p.example, p.id, p.prediction, p.target) for p in predictions]


def _check_same(metrics: dict[str, float], expected: dict[str, float]) -> None:
    """Metrics are the very same numbers; those of probabilities are sums whose rounding depends on the batches."""
    rounded = {"loss", "ece"} & metrics.keys()
    for name in rounded:
        assert metrics.pop(name) == pytest.approx(expected[name], rel=1e-5)
    assert metrics == {name: value for name, value in expected.items() if name not in rounded}


@pytest.mark.parametrize("name", TASKS)
def test_neither_batch_size_nor_order_changes_a_metric(
    name: str, tokenizer: PreTrainedTokenizerBase, tiny_encoder: Backbone, cache_folder: Path
) -> None:
    task = TASKS[name]
    split, model = _split(task, tokenizer, cache_folder), _model(task, tiny_encoder)
    evaluation = Evaluation(task, split)
    expected = _evaluated(evaluation, model, _batches(task, split, 5))
    predictions = _shown(evaluation.predictions)
    assert [row[:2] for row in predictions] == [(i, f"r{i}") for i in range(COUNT)]
    assert len({str(row[2]) for row in predictions}) > 1  # not one answer for all
    for batch_size, tokens, order in ((1, None, 1), (5, None, -1), (64, None, 1), (5, 100, -1)):
        metrics = _evaluated(evaluation, model, _batches(task, split, batch_size, tokens)[::order])
        _check_same(metrics, expected)
        assert _shown(evaluation.predictions) == predictions


@pytest.mark.parametrize("name", TASKS)
def test_the_loss_is_a_mean_over_targets(
    name: str, tokenizer: PreTrainedTokenizerBase, tiny_encoder: Backbone, cache_folder: Path
) -> None:
    task = TASKS[name]
    split, model = _split(task, tokenizer, cache_folder), _model(task, tiny_encoder)
    targets, total = 0, 0.0
    for batch in _batches(task, split, 1):
        inputs = {key: batch[key] for key in ("input_ids", "attention_mask", "token_type_ids")}
        names = {"qa": {"start_positions": "start", "end_positions": "end"}}.get(name, {"labels": "labels"})
        count = int((batch["labels"] >= 0).sum()) if name == "ner" else 1
        # Single features have no padding: transformers' own loss is the mean over the feature's targets.
        total += count * model(**inputs, **{key: batch[column] for key, column in names.items()}).loss.item()
        targets += count
    metrics = _evaluated(Evaluation(task, split), model, _batches(task, split, 7))
    assert metrics["loss"] == pytest.approx(total / targets, rel=1e-5)
    assert targets > COUNT - 1


def test_an_evaluation_starts_anew(
    tokenizer: PreTrainedTokenizerBase, tiny_encoder: Backbone, cache_folder: Path
) -> None:
    task = TASKS["classification"]
    split, model = _split(task, tokenizer, cache_folder), _model(task, tiny_encoder)
    evaluation = Evaluation(task, split)
    batches = _batches(task, split, 4)
    first = _evaluated(evaluation, model, batches)
    nn.init.zeros_(model.get_parameter("classifier.weight"))
    nn.init.zeros_(model.get_parameter("classifier.bias"))
    second = _evaluated(evaluation, model, batches)
    assert len(evaluation.predictions) == COUNT
    assert second["loss"] == pytest.approx(torch.tensor(3.0).log().item())  # three labels, none preferred
    assert second != first


def test_a_part_of_a_split_is_measured_on_that_part(
    tokenizer: PreTrainedTokenizerBase, tiny_encoder: Backbone, cache_folder: Path
) -> None:
    task = TASKS["classification"]
    split, model = _split(task, tokenizer, cache_folder), _model(task, tiny_encoder)
    evaluation = Evaluation(task, split)
    batch = _batches(task, split, 4)[0]
    evaluation.update(task.step(model, batch), batch)
    metrics = evaluation.finish()
    assert sorted(p.example for p in evaluation.predictions) == sorted(batch["example"].tolist())
    right = sum(p.prediction == p.target for p in evaluation.predictions)
    assert metrics["accuracy"] == right / 4


def _rank(rank: int, folder: Path, backbone: Backbone, tokenizer: PreTrainedTokenizerBase, results: Any) -> None:
    store = distributed.FileStore(str(folder / "store"), 2)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    for name, task in TASKS.items():
        split = _split(task, tokenizer, folder)
        evaluation = Evaluation(task, split)
        batches = _batches(task, split, 4, rank=rank, world=2)
        metrics = _evaluated(evaluation, _model(task, backbone), batches)
        own = [int(i) for batch in batches for i in batch["example"]]
        results.put((rank, name, metrics, _shown(evaluation.predictions), own))
    distributed.destroy_process_group()


def test_two_ranks_find_what_one_process_finds(
    tokenizer: PreTrainedTokenizerBase, tiny_encoder: Backbone, processes: ForkServerContext, tmp_path: Path
) -> None:
    results = processes.Queue()
    ranks = [
        processes.Process(target=_rank, args=(rank, tmp_path, tiny_encoder, tokenizer, results)) for rank in range(2)
    ]
    for process in ranks:
        process.start()
    found = {(rank, name): rest for rank, name, *rest in (results.get(timeout=180) for _ in range(2 * len(TASKS)))}
    for process in ranks:
        process.join(timeout=60)
    assert [process.exitcode for process in ranks] == [0, 0]
    for name, task in TASKS.items():
        split = _split(task, tokenizer, tmp_path)
        evaluation = Evaluation(task, split)
        expected = _evaluated(evaluation, _model(task, tiny_encoder), _batches(task, split, 4))
        for rank in range(2):
            metrics, predictions, _ = found[rank, name]
            _check_same(metrics, expected)
            assert predictions == _shown(evaluation.predictions)
        seen = [found[rank, name][2] for rank in range(2)]
        assert sorted(seen[0] + seen[1]) == sorted(split.features["example"])
        assert min(map(len, seen)) == len(split.features) // 2
