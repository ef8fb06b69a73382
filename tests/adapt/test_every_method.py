"""Every method of the configuration on every kind of backbone: what it trains, keeps, saves and gives back."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightune import machine
from lightune.adapt.merging import MergedEvaluation, adapted_layers, fold, foldable, put_back
from lightune.assemble import Experiment
from lightune.checkpoint import load_weights, saved_names
from tests import command, running

CONF = Path(__file__).resolve().parents[2] / "conf" / "peft"
METHODS = sorted(file.stem for file in CONF.glob("[!_]*.yaml"))
# Kind of backbone → the tasks that it is tried with.
TASKS = {"encoder": ("classification",), "decoder": ("clm",), "encoder-decoder": ("translation",)}
# What a cell needs here that it does not need elsewhere.
FITTED: Mapping[str, tuple[str, ...]] = {
    "trainable_tokens": (
        "peft.config.token_indices=[101,102,1012,1996,1037]",
        "optimizer.lr=0.05",
        "optimizer.head_lr=0.4x",
    ),
    "qlora": ("optimizer=adamw",),  # its own needs a GPU
    "adalora": ("peft.schedule.orthogonality_weight=0",),  # the penalty falls more slowly than the loss
}
NOTHING_BESIDE = "nothing is added beside a layer"
PARTS = ("full", "last_layers", "head", "bitfit", "houlsby", "pfeiffer")
PROMPTS = ("prompt_tuning", "p_tuning", "prefix_tuning", "llama_adapter")
# Adapters that cannot become part of a layer's weight. Method, kind of backbone → why; None: any kind.
NOT_FOLDED: Mapping[tuple[str, str | None], str] = {
    **{(method, None): NOTHING_BESIDE for method in (*PARTS, *PROMPTS)},
    ("lily", None): "peft cannot",
    ("shadow", None): "what it adds depends on the input",
    ("ln_tuning", None): "peft exchanges layers instead",
    ("qlora", None): "quantised weights would be rounded",
    ("beft", "decoder"): "its layers have no biases",
    ("beft", "encoder-decoder"): "its layers have no biases",
}
DECODERS = ("llama_adapter", "shadow")
# Cells that cannot be. Method, kind of backbone → what the refusal says; None: any kind.
REFUSED: Mapping[tuple[str, str | None], str] = {
    ("head", "decoder"): "has none of its own",
    ("head", "encoder-decoder"): "has none of its own",
    **{(method, kind): "is for decoder models" for method in DECODERS for kind in ("encoder", "encoder-decoder")},
    ("bitfit", "decoder"): "this backbone has no biases",  # Llama; GPT-2 has some
    ("bitfit", "encoder-decoder"): "this backbone has no biases",  # T5
    **({} if machine.has_gpu() else {("loftq", None): "peft quantises on a GPU"}),
}
ALL = [(method, kind, task) for method in METHODS for kind, tasks in TASKS.items() for task in tasks]


def listed(table: Mapping[tuple[str, str | None], str], method: str, kind: str) -> str | None:
    return table.get((method, kind)) or table.get((method, None))


CELLS = [cell for cell in ALL if not listed(REFUSED, *cell[:2])]
# One batch of training rows; a document is many of them.
LIMITS = dict.fromkeys(("classification", "translation"), "data.limit={train: 8, val: 4, test: 4}")
LIMITS["clm"] = "data.limit={train: 1, val: 1, test: 1}"
STEPS = 15


def typed_for(method: str, backbone: Path, task: str) -> tuple[str, ...]:
    return (f"task={task}", "model=auto", f"model.path={backbone}", f"peft={method}")


@dataclass
class Cell:
    """A method that was trained on a kind of backbone for a task."""

    method: str
    kind: str
    task: str
    typed: tuple[str, ...]
    folder: Path
    before: dict[str, Tensor]
    experiment: Experiment

    def again(self) -> Experiment:
        return running.assembled(self.folder / "again", *self.typed)


@pytest.fixture(scope="module", params=CELLS, ids="-".join)
def cell(request: pytest.FixtureRequest, pretrained: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Cell:
    """Train a cell."""
    method, kind, task = request.param
    folder = tmp_path_factory.mktemp("cell")
    typed = (
        *typed_for(method, pretrained[kind], task),
        *FITTED.get(method, ()),
        LIMITS[task],
        "data.max_length=64",
        *(["task.max_target_length=24", "task.generation=null", "task.monitor=loss"] if task == "translation" else []),
        f"trainer.max_epochs={STEPS}",
        f"trainer.check_val_every_n_epoch={STEPS}",
        "scheduler=constant",
        "model.lr={lora: 2e-3, full: 2e-3}",
    )
    experiment = running.assembled(folder / "run", *typed)
    before = {name: tensor.detach().clone() for name, tensor in experiment.module.model.state_dict().items()}
    experiment.trainer.fit(experiment.module, experiment.data)
    return Cell(method, kind, task, typed, folder, before, experiment)


def _logits(model: nn.Module, experiment: Experiment) -> list[Tensor]:
    encoded = experiment.data.splits["test"]
    batch = experiment.data.collate([encoded.features[i] for i in range(len(encoded.features))])
    with torch.no_grad():
        return list(experiment.task.step(model.eval(), batch).logits)


def test_the_loss_falls(cell: Cell) -> None:
    losses = running.losses(cell.folder / "run")
    assert sum(losses[-5:]) < sum(losses[:5])


def test_only_what_is_declared_changes(cell: Cell) -> None:
    model = cell.experiment.module.model
    after = model.state_dict()
    assert after.keys() == cell.before.keys()
    trained = {name for name, parameter in model.named_parameters(remove_duplicate=False) if parameter.requires_grad}
    changed = {name for name, tensor in cell.before.items() if not torch.equal(tensor, after[name])}
    assert changed <= saved_names(model, everything=False)
    assert any(name in trained for name in changed)


def test_a_checkpoint_gives_the_same_outputs(cell: Cell) -> None:
    other = cell.again()
    load_weights(other.module.model, cell.folder / "run" / "checkpoints" / "last.ckpt", other.module.everything)
    ours = _logits(cell.experiment.module.model, cell.experiment)
    assert all(torch.equal(one, two) for one, two in zip(ours, _logits(other.module.model, other), strict=True))


def test_folded_adapters_give_the_same_outputs(cell: Cell) -> None:
    model = cell.experiment.module.model
    reason = listed(NOT_FOLDED, cell.method, cell.kind)
    assert bool(adapted_layers(model)) == (reason != NOTHING_BESIDE)
    if reason:
        trainer: Any = cell.experiment.trainer
        merges = any(isinstance(callback, MergedEvaluation) for callback in trainer.callbacks)
        assert not (merges and foldable(model) and fold(model))
        return
    ours = _logits(model, cell.experiment)
    kept = fold(model)
    assert kept
    theirs = _logits(model, cell.experiment)
    put_back(model, kept)
    assert all(torch.allclose(one, two, atol=1e-4, rtol=1e-4) for one, two in zip(ours, theirs, strict=True))
    assert all(torch.equal(one, two) for one, two in zip(ours, _logits(model, cell.experiment), strict=True))


@pytest.mark.parametrize(("method", "kind", "task"), [cell for cell in ALL if listed(REFUSED, *cell[:2])])
def test_what_cannot_be_is_refused(
    method: str, kind: str, task: str, pretrained: dict[str, Path], tmp_path: Path
) -> None:
    outcome = command.run("train", [*typed_for(method, pretrained[kind], task), "run_dir=run"], tmp_path)
    assert outcome.status == 1
    assert (listed(REFUSED, method, kind) or "?") in outcome.err
    assert not (tmp_path / "run").exists()
