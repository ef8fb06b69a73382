"""The numbers of a step: which parameters it moves and how far, what its loss means, how many tokens it saw."""

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lightune.assemble import Experiment
from lightune.data.batching import Share
from tests import running
from tests.matrix import METHODS, TASKS, TINY

# 19 examples in steps of 8, each of two micro-batches; the last step is smaller.
RUN = (
    "data.limit={train: 19, val: 5, test: 5}",
    "data.max_length=48",
    "data.batch_size=4",
    "trainer.accumulate_grad_batches=2",
    "+model.config.initializer_range=0.2",
)
STILL = (*running.BERT_WITHOUT_DROPOUT, running.ADAPTER_WITHOUT_DROPOUT)


def _fitted(folder: Path, *overrides: str) -> Experiment:
    experiment = running.assembled(folder / "run", *RUN, *overrides)
    experiment.trainer.fit(experiment.module, experiment.data)
    return experiment


@pytest.mark.parametrize("peft", METHODS)
@pytest.mark.parametrize("model", TINY)
@pytest.mark.parametrize("task", TASKS)
def test_each_trained_parameter_is_in_one_group(task: str, model: str, peft: str, tmp_path: Path) -> None:
    experiment = _fitted(tmp_path, f"task={task}", f"model={model}", f"peft={peft}")
    (optimizer,) = experiment.trainer.optimizers
    grouped = [id(p) for group in optimizer.param_groups for p in group["params"]]
    trained = [id(p) for p in experiment.module.parameters() if p.requires_grad]
    assert sorted(grouped) == sorted(trained)
    assert len(set(grouped)) == len(grouped) > 0
    assert set(map(id, optimizer.state)) == set(grouped)  # each has taken steps


@pytest.mark.parametrize("peft", METHODS)
def test_a_pretrained_model_trains_with_dropout_and_is_evaluated_without(peft: str, tmp_path: Path) -> None:
    """Files give a model in evaluation mode, and Lightning leaves a model in the mode that it finds."""
    options = ("task=classification", "model=minilm", "trainer.limit_train_batches=2", "trainer.max_epochs=2")
    experiment = running.assembled(tmp_path / "run", *RUN, *options, f"peft={peft}")
    assert all(module.training for module in experiment.module.modules())
    modes: list[bool] = []
    dropout = experiment.module.get_submodule(_embeddings_dropout(experiment))
    dropout.register_forward_hook(lambda module, *_: modes.append(module.training))
    experiment.trainer.fit(experiment.module, experiment.data)
    assert modes == [True, True, False] * 2


def _embeddings_dropout(experiment: Experiment) -> str:
    (name,) = [name for name, _ in experiment.module.named_modules() if name.endswith("embeddings.dropout")]
    return name


def test_the_head_can_have_its_own_rate(tmp_path: Path) -> None:
    options = ("task=ner", "peft=lora", "optimizer.lr=1e-3", "optimizer.head_lr=1e-2", "scheduler=constant")
    experiment = _fitted(tmp_path, *options)
    rates = {group["name"]: group["lr"] for group in experiment.trainer.optimizers[0].param_groups}
    assert rates == {"backbone": 1e-3, "head": 1e-2, "head/no_decay": 1e-2}
    logged = running.history(tmp_path / "run")[0]
    assert float(logged["lr-AdamW/head"]) == 1e-2


def test_a_plateau_lowers_the_rate(tmp_path: Path) -> None:
    """A rate of nearly nothing leaves the metric as it is: the second validation lowers it, the third again."""
    plateau = ("scheduler=reduce_on_plateau", "scheduler.patience=0", "optimizer.lr=1e-30", "trainer.max_epochs=4")
    run = running.train(tmp_path / "run", "task=ner", *plateau)
    rates = [float(row["lr-AdamW/backbone"]) for row in running.history(run) if "lr-AdamW/backbone" in row]
    assert [rates[step] for step in (0, 4, 5, 9, 10, 14, 15, 19)] == pytest.approx(
        [1e-30] * 4 + [5e-31] * 2 + [2.5e-31] * 2
    )


@pytest.mark.parametrize("share", [("data.batch_size=4",), ("data.tokens_per_batch=150",)], ids=["batches", "budget"])
@pytest.mark.parametrize("task", TASKS)
def test_tokens_are_counted_without_padding(task: str, share: tuple[str, ...], tmp_path: Path) -> None:
    experiment = _fitted(tmp_path, f"task={task}", *share)
    features = experiment.data.splits["train"].features
    assert float(experiment.module.tokens) == 2 * sum(map(_tokens, features["input_ids"]))  # two epochs


def _tokens(ids: Any) -> int:
    """Return the number of a feature's tokens, of all its texts together where it has several."""
    return sum(map(_tokens, ids)) if isinstance(ids[0], list) else len(ids)


def test_the_logged_loss_is_the_mean_over_the_steps_targets(tmp_path: Path) -> None:
    experiment = running.assembled(tmp_path / "run", *RUN, *STILL, "task=ner", "trainer.max_epochs=1")
    features = experiment.data.splits["train"].features
    micro_batches = experiment.data.plan(Share())(0)
    model = experiment.module.model
    with torch.no_grad():
        losses = [_target_losses(model, features[i]) for i in micro_batches[0] + micro_batches[1]]
    experiment.trainer.fit(experiment.module, experiment.data)
    first = running.losses(tmp_path / "run")[0]
    assert first == pytest.approx(torch.cat(losses).mean().item(), abs=1e-6)
    # A mean of the micro-batches' means would be another number.
    halves = [torch.cat(losses[: len(micro_batches[0])]), torch.cat(losses[len(micro_batches[0]) :])]
    assert abs(first - torch.stack([half.mean() for half in halves]).mean().item()) > 1e-4


def _target_losses(model: torch.nn.Module, feature: dict[str, list[int]]) -> Tensor:
    """Return the loss of each of a sentence's words."""
    logits = model(input_ids=torch.tensor([feature["input_ids"]])).logits[0]
    labels = torch.tensor(feature["labels"])
    return -logits.log_softmax(-1)[labels >= 0].gather(1, labels[labels >= 0, None]).squeeze(1)


def _length_of_one_step(folder: Path, *overrides: str) -> float:
    """Return how far the weights move in a step of plain SGD with a rate of 1: the norm of the clipped gradient."""
    options = ("optimizer=sgd", "optimizer.lr=1", "optimizer.momentum=0", "scheduler=constant", "trainer.max_steps=1")
    experiment = running.assembled(folder / "run", *RUN, *STILL, "task=ner", *options, *overrides)
    trained = [p for p in experiment.module.parameters() if p.requires_grad]
    before = [p.detach().clone() for p in trained]
    experiment.trainer.fit(experiment.module, experiment.data)
    return torch.stack([(p - b).norm() for p, b in zip(trained, before, strict=True)]).norm().item()


@pytest.mark.parametrize(
    "share",
    [
        ("data.batch_size=8", "trainer.accumulate_grad_batches=1"),
        ("data.batch_size=4", "trainer.accumulate_grad_batches=2"),
        ("data.batch_size=1", "trainer.accumulate_grad_batches=8"),
    ],
    ids=["8x1", "4x2", "1x8"],
)
def test_what_is_clipped_is_the_gradient_of_the_mean(share: tuple[str, ...], tmp_path: Path) -> None:
    """Not that of a sum over targets or micro-batches, which is longer."""
    free = _length_of_one_step(tmp_path / "free", *share, "trainer.gradient_clip_val=null")
    wide = _length_of_one_step(tmp_path / "wide", *share, f"trainer.gradient_clip_val={1.01 * free}")
    tight = _length_of_one_step(tmp_path / "tight", *share, f"trainer.gradient_clip_val={0.5 * free}")
    assert wide == pytest.approx(free, rel=1e-5)
    assert tight == pytest.approx(0.5 * free, rel=1e-4)


def test_time_is_measured_by_phase(tmp_path: Path) -> None:
    began = time.perf_counter()
    run = running.train(tmp_path / "run", *RUN, "task=ner")
    whole = time.perf_counter() - began
    seconds = running.metrics(run, "time/")
    assert seconds.keys() == {"time/train_s", "time/val_s", "time/test_s", "time/total_s"}
    assert all(value > 0 for value in seconds.values())
    phases = sum(value for name, value in seconds.items() if name != "time/total_s")
    assert phases < seconds["time/total_s"] < whole


@pytest.mark.slow
def test_compiled_code_gives_the_same_losses(tmp_path: Path) -> None:
    plain = ("task=classification", "peft=lora", *running.BERT_WITHOUT_DROPOUT, running.ADAPTER_WITHOUT_DROPOUT)
    eager = running.train(tmp_path / "eager", *plain)
    compiled = running.train(tmp_path / "compiled", *plain, "model.compile=true")
    assert running.losses(compiled) == pytest.approx(running.losses(eager), abs=1e-4)
    assert running.metrics(compiled, "test/") == pytest.approx(running.metrics(eager, "test/"), abs=1e-4)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_recomputed_layers_give_the_same_steps(method: str, tmp_path: Path) -> None:
    plain = ("task=classification", f"peft={method}", "scheduler=constant")
    kept = running.train(tmp_path / "kept", *plain)
    recomputed = running.train(tmp_path / "recomputed", *plain, "model.gradient_checkpointing=true")
    assert running.losses(recomputed) == pytest.approx(running.losses(kept), abs=1e-6)
