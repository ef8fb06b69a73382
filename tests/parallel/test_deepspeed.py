"""DeepSpeed's three stages take the steps of one process, and leave files that one process can go on with.

Two processes (gloo) on the CPU make each run, started once for all of them.
"""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from lightune.check import check, strategies
from lightune.errors import ConfigError
from tests import command, running

needs_deepspeed = pytest.mark.skipif(find_spec("deepspeed") is None, reason="the extra `deepspeed` is not installed")
_CLASSIFICATION = (
    "task=classification",
    "peft=full",
    "data.limit={train: 40, val: 13, test: 11}",  # odd, so that one rank has a batch more to evaluate
    "data.eval_batch_size=3",
    "+model.config.initializer_range=0.2",
    *running.BERT_WITHOUT_DROPOUT,
)
_LORA = ("peft=lora", "optimizer.lr=0.01", "optimizer.eps=1e-3", running.ADAPTER_WITHOUT_DROPOUT)
# What is trained, but for the batch size, and with which stages: all of them, and those that do it differently.
RUNS: dict[str, tuple[str, ...]] = {
    "full": (*_CLASSIFICATION, *running.PLAIN, "trainer.gradient_clip_val=0.05"),
    "accumulated": (
        *_CLASSIFICATION,
        *running.PLAIN,
        "trainer.accumulate_grad_batches=2",
        "trainer.gradient_clip_val=0.05",
    ),
    "lora": (*_CLASSIFICATION, *_LORA, "model.gradient_checkpointing=true", "scheduler=constant"),
    "generated": ("model=tiny-decoder", "data.max_length=96", "task=instruct", *_LORA, "task.max_target_length=8"),
}
STAGES = {
    "full": ("1", "2", "3"),
    "accumulated": ("3_offload",),
    "lora": ("2", "3"),
    "generated": ("3",),
}
CELLS = [(run, stage) for run, stages in STAGES.items() for stage in stages]


def _typed(run: str, stage: str, folder: Path) -> list[str]:
    size = 2 if run == "accumulated" else 4
    options = (f"data.batch_size={size}", "trainer=ddp_cpu", f"strategy=deepspeed_{stage}")
    return [*running.SMALL, *RUNS[run], *options, f"run_dir={folder / f'{run}-{stage}'}"]


def _resumed(stage: str, folder: Path) -> list[tuple[str, list[str]]]:
    """Return a run that stops in the middle of its first epoch, and what goes on with it."""
    place = folder / f"resumed-{stage}"
    first = [*_typed("lora", stage, folder), "trainer.max_steps=3", f"run_dir={place}"]
    return [("train", first), ("train", [f"resume={place}", "trainer.max_steps=-1"])]


def _run_all(folder: Path) -> None:
    commands = [("train", _typed(*cell, folder)) for cell in CELLS]
    stopped = [*_typed("lora", "2", folder), "trainer.max_steps=3", f"run_dir={folder / 'stopped'}"]
    commands += [("train", stopped), *_resumed("2", folder), *_resumed("3_offload", folder)]
    running.run_in_ranks(folder, 2, commands)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of all runs of two processes."""
    return running.once(tmp_path_factory, "deepspeed", _run_all)


def _run_alone(folder: Path) -> None:
    for run, typed in RUNS.items():
        running.train(folder / run, *typed, "trainer=cpu", f"data.batch_size={4 if run == 'accumulated' else 8}")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the same runs by one process."""
    return running.once(tmp_path_factory, "alone", _run_alone)


def _assert_same_weights(one: Path, other: Path, atol: float) -> None:
    ours, theirs = running.weights(one), running.weights(other)
    assert ours.keys() == theirs.keys()
    assert max((ours[name] - theirs[name]).abs().max().item() for name in ours) <= atol


@needs_deepspeed
@pytest.mark.parametrize(("run", "stage"), CELLS)
def test_the_steps_are_those_of_one_process(folder: Path, alone: Path, run: str, stage: str) -> None:
    ours, theirs = folder / f"{run}-{stage}", alone / run
    assert len(running.losses(ours)) == 11  # that of the summary too
    assert running.losses(ours) == pytest.approx(running.losses(theirs), abs=1e-5)
    assert running.metrics(ours, "test/") == pytest.approx(running.metrics(theirs, "test/"), rel=1e-4, abs=1e-6)
    _assert_same_weights(ours, theirs, atol=1e-5)
    for number in ("tokens/total", "params/total", "params/trainable", "best/step"):
        assert running.metrics(ours)[number] == running.metrics(theirs)[number]


@needs_deepspeed
@pytest.mark.parametrize("stage", ["2", "3"])
def test_a_checkpoint_is_the_file_of_any_other_run(folder: Path, alone: Path, stage: str) -> None:
    contents = [
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
        for run in (folder / f"lora-{stage}", alone / "lora")
    ]
    ours, theirs = (content["optimizer_states"][0] for content in contents)
    assert ours["state"].keys() == theirs["state"].keys()
    assert [group["params"] for group in ours["param_groups"]] == [group["params"] for group in theirs["param_groups"]]
    for number, state in theirs["state"].items():
        assert all(torch.allclose(ours["state"][number][key], tensor, atol=1e-5) for key, tensor in state.items())


@needs_deepspeed
@pytest.mark.parametrize("cell", ["full-1", "lora-2", "lora-3", "accumulated-3_offload"])
def test_one_process_evaluates_the_checkpoint(folder: Path, cell: str, tmp_path: Path) -> None:
    best = folder / cell / "checkpoints" / "best.ckpt"
    found = running.evaluate(best, tmp_path / "eval", "trainer=cpu", "strategy=auto")
    assert running.metrics(found, "test/") == pytest.approx(running.metrics(folder / cell, "test/"), abs=1e-5)


@needs_deepspeed
@pytest.mark.parametrize("stage", ["2", "3_offload"])
def test_a_resumed_run_is_the_whole_one(folder: Path, stage: str) -> None:
    whole = folder / f"lora-{stage.removesuffix('_offload')}"
    _assert_same_weights(folder / f"resumed-{stage}", whole, atol=0 if stage == "2" else 1e-6)
    assert running.losses(folder / f"resumed-{stage}") == pytest.approx(running.losses(whole), abs=1e-6)


@needs_deepspeed
def test_one_process_goes_on_where_several_stopped(folder: Path, alone: Path, tmp_path: Path) -> None:
    """In the middle of an epoch; the optimiser's states are whole too."""
    run = tmp_path / "run"
    shutil.copytree(folder / "stopped", run)
    running.resume(run, "strategy=auto", "trainer=cpu", "data.batch_size=8", "trainer.max_steps=-1")
    assert running.losses(run) == pytest.approx(running.losses(alone / "lora"), abs=1e-4)


@pytest.mark.parametrize("stage", ["1", "2", "3", "3_offload"])
def test_without_the_package_it_says_what_to_install(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategies, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"DeepSpeed is not installed") as refused:
        check(command.composed(f"strategy=deepspeed_{stage}", "trainer=ddp_cpu"))
    assert "lightune[deepspeed]" in str(refused.value.remedy)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("peft=adalora", "its ranks are shared out by"),
        ("quantization=nf4", "quantised weights cannot be shared out"),
        ("precision=bf16-true", "precision=bf16-true: with DeepSpeed"),
        ("precision=bf16-mixed", "precision=bf16-mixed: with DeepSpeed"),
        ("optimizer=lamb", "Lamb would look at whole matrices"),
        ("callbacks=[default,weight_averaging]", "train on from the averaged weights"),
        ("callbacks=[default,gradual_unfreezing]", "gradual_unfreezing"),
        ("+trainer.gradient_clip_algorithm=value", "clips by the norm only"),
        ("callbacks.non_finite.action=skip", "DeepSpeed leaves out no step"),
        ("model.compile=true", "not with DeepSpeed"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_loaded(
    typed: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strategies, "find_spec", lambda name: object())
    options = ("strategy=deepspeed_2", "trainer=ddp_cpu", *(("model=minilm",) if "quantization" in typed else ()))
    with pytest.raises(ConfigError, match=re.escape(said)):
        check(command.composed(*options, typed))
