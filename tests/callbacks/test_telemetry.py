"""What is logged of training, against sums by hand, torch's own norm, and the run's totals."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from lightune.callbacks import Telemetry
from lightune.optim.gradients import gradient_norms, part_of
from tests import running

RUN = ("task=classification", "data.max_length=48", "data.limit={train: 24, val: 6, test: 6}", "scheduler=constant")


def test_norms_by_hand() -> None:
    gradients = {
        "bert.embeddings.word_embeddings.weight": torch.tensor([[1.0, 2.0], [2.0, 0.0]]),
        "bert.encoder.layer.0.output.weight": torch.tensor([3.0, 4.0]).bfloat16(),
        "bert.encoder.layer.0.output.bias": torch.tensor([12.0]),
        "classifier.weight": torch.tensor([6.0, 8.0]),
    }
    found = gradient_norms(gradients)
    assert found == {"": math.sqrt(9 + 169 + 100), "embeddings": 3.0, "layer.0": 13.0, "head": 10.0}
    assert gradient_norms({}) == {}


@pytest.mark.parametrize(
    ("name", "several", "part"),
    [
        ("base_model.model.bert.encoder.layer.11.attention.lora_A.default.weight", False, "layer.11"),
        ("model.layers.0.mlp.up_proj.weight", False, "layer.0"),
        ("model.embed_tokens.weight", False, "embeddings"),
        ("encoder.block.1.layer.0.q.weight", True, "encoder.layer.1"),  # T5
        ("decoder.bert.encoder.layer.1.output.dense.weight", True, "decoder.layer.1"),
        ("model.decoder.layers.3.fc1.weight", True, "decoder.layer.3"),
        ("transformer.wte.weight", False, "embeddings"),
        ("lm_head.weight", False, "head"),
    ],
)
def test_a_part_is_told_by_its_name(name: str, several: bool, part: str) -> None:
    assert part_of(name, several) == part


class _Clipped:
    """Keeps the norm that torch finds when it clips."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.norms: list[float] = []
        clip = torch.nn.utils.clip_grad_norm_

        def keep(*args: Any, **kwargs: Any) -> torch.Tensor:
            norm = clip(*args, **kwargs)
            self.norms.append(float(norm))
            return norm

        monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", keep)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_norm_is_the_one_that_is_clipped(accumulate: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clipped = _Clipped(monkeypatch)
    typed = (f"trainer.accumulate_grad_batches={accumulate}", "trainer.gradient_clip_val=0.1", "peft=full")
    run = running.train(tmp_path / "run", *RUN, *typed, "trainer.log_every_n_steps=2")
    norms = running.gradient_norms(run)
    logged = [int(step) for step in norms]
    assert logged == list(range(1, len(clipped.norms), 2))
    assert [found[""] for found in norms.values()] == pytest.approx([clipped.norms[step] for step in logged])
    for found in norms.values():
        assert found.keys() == {"", "/embeddings", "/layer.0", "/layer.1", "/head"}
        assert found[""] == pytest.approx(math.hypot(*(norm for part, norm in found.items() if part)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of two epochs of three steps, padded up to 64 tokens."""
    return running.train(tmp_path_factory.mktemp("telemetry") / "run", *RUN, "data.pad_to_multiple_of=64")


def _column(run: Path, name: str) -> Sequence[float]:
    return [float(row[name]) for row in running.history(run) if name in row]


def test_speeds_are_those_of_the_time_that_was_measured(run: Path) -> None:
    tokens, found = [0.0, *_column(run, "train/tokens")], running.metrics(run)
    new = [after - before for before, after in pairwise(tokens)]
    seconds = [count / speed for count, speed in zip(new, _column(run, "speed/tokens_per_s"), strict=True)]
    assert 0.8 * found["time/train_s"] < sum(seconds) < found["time/train_s"]
    samples = [speed * took for speed, took in zip(_column(run, "speed/samples_per_s"), seconds, strict=True)]
    assert samples == pytest.approx([8] * 6)
    assert sum(new) == found["tokens/total"]


def test_padding_is_what_no_token_stands_in(run: Path) -> None:
    tokens = [0.0, *_column(run, "train/tokens")]
    new = [after - before for before, after in pairwise(tokens)]
    assert _column(run, "data/padding") == pytest.approx([1 - count / (8 * 64) for count in new])


def test_memory_and_load(run: Path) -> None:
    assert all(100 < held <= running.metrics(run)["memory/peak_rss_mb"] for held in _column(run, "memory/rss_mb"))
    assert all(load >= 0 for load in _column(run, "utilisation/cpu"))
    assert len(_column(run, "memory/rss_mb")) == len(_column(run, "utilisation/cpu")) == 6


@pytest.mark.parametrize(("mode", "expected"), [("max", [0.2, 0.5, 0.5]), ("min", [0.2, 0.2, 0.1])])
def test_the_best_value_so_far_survives_a_resume(mode: Any, expected: list[float], tmp_path: Path) -> None:
    experiment = running.assembled(tmp_path / "run", *RUN)
    trainer, module = experiment.trainer, experiment.module
    trainer.state.fn = "fit"  # type: ignore[assignment]
    watch = Telemetry("val/f1", mode)
    for number, value in enumerate((0.2, 0.5, 0.1)):
        state = watch.state_dict()
        watch = Telemetry("val/f1", mode)
        watch.load_state_dict(state)
        module.metrics = {"val/f1": value}
        trainer.fit_loop.epoch_loop._batches_that_stepped = number
        watch.on_validation_end(trainer, module)
    experiment.history.write()
    assert _column(tmp_path / "run", "best/f1") == expected


def test_without_it_nothing_of_it_is_logged(tmp_path: Path) -> None:
    run = running.train(tmp_path / "run", *RUN, "callbacks.telemetry=null", "trainer.max_epochs=1")
    names = {name for row in running.history(run) for name in row}
    assert not any(name.startswith(("speed/", "utilisation/", "data/", "train/grad")) for name in names)
    assert "train/loss" in names
