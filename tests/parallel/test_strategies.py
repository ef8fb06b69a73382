"""Sharing a model out over processes changes no step, and leaves files that one process can go on with.

Each run is made by two processes (gloo), started once for all of them, as ``torchrun`` starts them on a cluster.
"""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import distributed

from tests import command, running

_CLASSIFICATION = (
    "task=classification",
    "peft=full",
    "data.limit={train: 40, val: 13, test: 11}",  # odd, so that one rank has a batch more to evaluate
    "data.eval_batch_size=3",
    "+model.config.initializer_range=0.2",
    "optimizer.lr=0.01",
    *running.BERT_WITHOUT_DROPOUT,
)
_DECODER = ("model=tiny-decoder", "++model.config.num_key_value_heads=2", "data.max_length=96")
# What is trained, but for the batch size: of a step with both ranks' batches, or of one batch where both see the same.
RUNS = {
    "full": (
        *_CLASSIFICATION,
        "trainer.gradient_clip_val=0.05",
        "callbacks=[default,weight_averaging]",
        "callbacks.weight_averaging.decay=0.9",
        *running.PLAIN,
    ),
    "accumulated": (*_CLASSIFICATION, "trainer.accumulate_grad_batches=2", *running.PLAIN),
    # AdamW makes more of a rounding error where a gradient is near 0: not with one this large.
    "lora": (
        *_CLASSIFICATION,
        "peft=lora",
        "optimizer.eps=1e-3",
        running.ADAPTER_WITHOUT_DROPOUT,
        "model.gradient_checkpointing=true",
    ),
    "generated": (*_DECODER, "task=instruct", "peft=lora", running.ADAPTER_WITHOUT_DROPOUT, "task.max_target_length=8"),
}
STRATEGIES = ("ddp", "fsdp", "fsdp_offload", "tp")
# With accumulation a batch that both see would be another; what is offloaded differs in where it lies alone.
LEFT_OUT = [("accumulated", "tp"), ("accumulated", "fsdp_offload"), ("generated", "fsdp_offload")]
CELLS = [(run, strategy) for run in RUNS for strategy in STRATEGIES if (run, strategy) not in LEFT_OUT]
EPOCHS = 2
LONGER = {"full": 4}  # 20 steps


def _typed(run: str, strategy: str, folder: Path) -> list[str]:
    size = (8 if strategy == "tp" else 4) // (2 if run == "accumulated" else 1)
    place = f"run_dir={folder / f'{run}-{strategy}'}"
    epochs = f"trainer.max_epochs={LONGER.get(run, EPOCHS)}"
    options = (f"data.batch_size={size}", epochs, "trainer=ddp_cpu", f"strategy={strategy}")
    return [*running.SMALL, *RUNS[run], *options, place]


def _resumed(strategy: str, folder: Path) -> list[tuple[str, list[str]]]:
    """Return a run of one epoch, and its second epoch."""
    first = [*_typed("lora", strategy, folder), "trainer.max_epochs=1", "scheduler=constant"]
    place = folder / f"resumed-{strategy}"
    return [("train", [*first, f"run_dir={place}"]), ("train", [f"resume={place}", f"trainer.max_epochs={EPOCHS}"])]


def _run_all(folder: Path) -> None:
    commands = [("train", _typed(*cell, folder)) for cell in CELLS]
    commands += [("train", [*_typed("lora", "ddp", folder), "scheduler=constant", f"run_dir={folder / 'whole'}"])]
    stopped = [*_typed("lora", "fsdp", folder), "scheduler=constant", "trainer.max_steps=3"]
    commands += [("train", [*stopped, f"run_dir={folder / 'stopped'}"])]
    commands += [part for strategy in ("fsdp", "tp") for part in _resumed(strategy, folder)]
    running.run_in_ranks(folder, 2, commands)


def _run_on_four(folder: Path) -> None:
    """Train on four processes, as copies and as pairs of halves."""
    sizes = {"ddp": 2, "fsdp_tp": 4}
    options = ("trainer=ddp_cpu", "trainer.devices=4")
    typed = {
        strategy: [*running.SMALL, *RUNS["full"], *options, f"strategy={strategy}", f"data.batch_size={size}"]
        for strategy, size in sizes.items()
    }
    running.run_in_ranks(folder, 4, [("train", [*words, f"run_dir={folder / name}"]) for name, words in typed.items()])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of all runs."""
    return running.once(tmp_path_factory, "strategies", _run_all)


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the runs of four processes."""
    return running.once(tmp_path_factory, "four", _run_on_four)


def test_two_dimensions_give_the_same_steps(four: Path) -> None:
    ours, theirs = four / "fsdp_tp", four / "ddp"
    assert running.losses(ours) == pytest.approx(running.losses(theirs), abs=1e-5)
    assert running.metrics(ours, "test/") == pytest.approx(running.metrics(theirs, "test/"), rel=1e-4, abs=1e-6)
    _assert_same_weights(ours, theirs)


def _assert_same_weights(one: Path, other: Path) -> None:
    ours, theirs = running.weights(one), running.weights(other)
    assert ours.keys() == theirs.keys()
    assert max((ours[name] - theirs[name]).abs().max().item() for name in ours) < 1e-5


@pytest.mark.parametrize("run", list(RUNS))
def test_one_process_takes_the_same_steps(folder: Path, run: str, tmp_path: Path) -> None:
    typed = [word for word in _typed(run, "tp", tmp_path) if not word.startswith(("trainer=", "strategy=", "run_dir="))]
    alone, together = running.train(tmp_path / "alone", *typed, "trainer=cpu"), folder / f"{run}-ddp"
    assert len(running.losses(alone)) == 5 * LONGER.get(run, EPOCHS) + 1  # that of the summary
    assert running.losses(alone) == pytest.approx(running.losses(together), abs=1e-5)
    assert running.metrics(alone, "test/") == pytest.approx(running.metrics(together, "test/"), rel=1e-4, abs=1e-6)
    _assert_same_weights(alone, together)


@pytest.mark.parametrize(("run", "strategy"), [cell for cell in CELLS if cell[1] != "ddp"])
def test_the_steps_are_those_of_ddp(folder: Path, run: str, strategy: str) -> None:
    ours, theirs = folder / f"{run}-{strategy}", folder / f"{run}-ddp"
    assert running.losses(ours) == pytest.approx(running.losses(theirs), abs=1e-5)
    _assert_same_weights(ours, theirs)


@pytest.mark.parametrize("strategy", [strategy for strategy in STRATEGIES if strategy != "ddp"])
def test_the_logged_norm_is_that_of_the_whole_gradient(folder: Path, strategy: str) -> None:
    ours, theirs = (
        [float(row["train/grad_norm"]) for row in running.history(folder / f"full-{each}") if "train/grad_norm" in row]
        for each in (strategy, "ddp")
    )
    assert len(theirs) == 20
    assert ours == pytest.approx(theirs, rel=1e-4)
    assert min(theirs) > 0.05  # it is that before clipping


@pytest.mark.parametrize(("run", "strategy"), [cell for cell in CELLS if cell[1] != "ddp"])
def test_metrics_are_over_all_examples_once(folder: Path, run: str, strategy: str) -> None:
    ours, theirs = folder / f"{run}-{strategy}", folder / f"{run}-ddp"
    assert running.metrics(ours, "test/") == pytest.approx(running.metrics(theirs, "test/"), rel=1e-4, abs=1e-6)
    for number in ("tokens/total", "params/total", "params/trainable", "best/step"):
        assert running.metrics(ours)[number] == running.metrics(theirs)[number]
    assert [row["prediction"] for row in running.predictions(ours)] == [
        row["prediction"] for row in running.predictions(theirs)
    ]


@pytest.mark.parametrize(("run", "strategy"), [("full", "fsdp"), ("lora", "tp")])
def test_one_process_evaluates_the_checkpoint(folder: Path, run: str, strategy: str, tmp_path: Path) -> None:
    trained = folder / f"{run}-{strategy}"
    found = running.evaluate(trained / "checkpoints" / "best.ckpt", tmp_path / "eval", "trainer=cpu")
    distributed.destroy_process_group()  # of this one process, for the sake of tests that follow in it
    assert running.metrics(found, "test/") == pytest.approx(running.metrics(trained, "test/"), abs=1e-5)


@pytest.mark.parametrize("run", ["full", "lora"])
def test_the_model_folder_is_whole(folder: Path, run: str) -> None:
    (ours,) = (folder / f"{run}-fsdp" / "model").glob("*.safetensors")
    (theirs,) = (folder / f"{run}-ddp" / "model").glob("*.safetensors")
    one, other = load_file(ours), load_file(theirs)
    assert one.keys() == other.keys()
    assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)


@pytest.mark.parametrize("strategy", ["fsdp", "tp"])
def test_a_resumed_run_is_the_whole_one(folder: Path, strategy: str) -> None:
    _assert_same_weights(folder / f"resumed-{strategy}", folder / "whole")


def test_one_process_goes_on_where_several_stopped(folder: Path, tmp_path: Path) -> None:
    """In the middle of an epoch; the optimiser's states are whole too."""
    run = tmp_path / "run"
    shutil.copytree(folder / "stopped", run)
    options = ("strategy=auto", "trainer=cpu", "data.batch_size=8")
    running.resume(run, *options, f"trainer.max_epochs={EPOCHS}", "trainer.max_steps=-1")
    assert running.losses(run) == pytest.approx(running.losses(folder / "whole"), abs=1e-4)
    assert running.metrics(run)["tokens/total"] == running.metrics(folder / "whole")["tokens/total"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["peft=adalora", "strategy=fsdp"], "adalora"),
        (["model=tiny-decoder", "peft=shadow", "strategy=fsdp"], "weights that FSDP has let go of"),
        (["precision=64", "strategy=fsdp"], "cannot share out a model that is computed in it"),
        (["precision=64", "strategy=tp"], "cannot share out a model that is computed in it"),
        (["peft=ia3", "strategy=tp"], "adapters are split"),
        (["peft=dora", "strategy=fsdp_tp"], "adapters are split"),
        (["model=minilm", "quantization=nf4", "strategy=fsdp"], "quantised weights cannot be shared out"),
        (["callbacks=[default,gradual_unfreezing]", "peft=full", "strategy=fsdp"], "gradual_unfreezing"),
        (["strategy=tp", "model.config.num_attention_heads=1"], "1 heads"),
        (["strategy=tp", "model=tiny-seq2seq", "task=translation"], "layers of an encoder-decoder"),
        (["strategy=fsdp_tp", "trainer.devices=3"], "does not divide the 3 processes"),
    ],
)
def test_what_cannot_be_is_said_before_a_process_is_started(typed: list[str], said: str, tmp_path: Path) -> None:
    options = [o for o in running.SMALL if not o.startswith("trainer=")]
    place = f"run_dir={tmp_path / 'run'}"
    outcome = command.run("train", [*options, "task=classification", "trainer=ddp_cpu", *typed, place], tmp_path)
    assert outcome.status == 1
    assert said in outcome.err
    assert not (tmp_path / "run").exists()
