"""Each row of the table: it trains, leaves the promised run folder, and everything in it can be used again."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import yaml
from peft import PeftModel
from torch import Tensor, nn

import lightune.run
from lightune import assemble, checkpoint_card
from lightune.assemble import Experiment
from lightune.checkpoint import digest, load_weights
from lightune.instantiate import as_config
from lightune.objective import metric_mode
from tests import running
from tests.matrix import ROWS, Row

# One batch again and again: what it holds can be learnt by heart.
SIZES = {"train": 8, "val": 10, "test": 11}
STEPS = 30
BY_HEART = (
    f"data.limit={{train: {SIZES['train']}, val: {SIZES['val']}, test: {SIZES['test']}}}",
    "data.max_length=96",
    f"trainer.max_epochs={STEPS}",
    "trainer.check_val_every_n_epoch=10",
    "scheduler=constant",
    "optimizer.lr=5e-3",
)
FILES = {
    "config.yaml",
    "overrides.yaml",
    "environment.json",
    "metrics.json",
    "history.csv",
    "predictions.jsonl",
    "checkpoints",
    "model",
}


@dataclass(frozen=True)
class Trained:
    """A row's run: its folder, and what the command returned."""

    row: Row
    folder: Path
    value: float

    @property
    def config(self) -> Any:
        return yaml.safe_load((self.folder / "config.yaml").read_text(encoding="utf-8"))

    @cached_property
    def untrained(self) -> Experiment:
        """The run's experiment as it was before its first step."""
        return self.experiment()

    def experiment(self) -> Experiment:
        """Assemble the run's experiment again."""
        return assemble.experiment(as_config(self.config), {"config": self.config, "overrides": []}, need={"test"})

    def model_at(self, checkpoint: str) -> tuple[Experiment, nn.Module]:
        experiment = self.experiment()
        path = self.folder / "checkpoints" / f"{checkpoint}.ckpt"
        load_weights(experiment.module.model, path, experiment.module.everything)
        return experiment, experiment.module.model.eval()


def _train(row: Row, folder: Path) -> None:
    """Train a row, and note what the command returned."""
    train = lightune.run.train

    def noted(cfg: Any) -> Any:
        value = train(cfg)
        (folder / "value.json").write_text(json.dumps(value), encoding="utf-8")
        return value

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lightune.run, "train", noted)
        running.train(folder / "run", *BY_HEART, *row.overrides)


@pytest.fixture(scope="module", params=ROWS, ids=str)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a row's run."""
    row: Row = request.param
    folder = running.once(tmp_path_factory, str(row), lambda folder: _train(row, folder))
    return Trained(row, folder / "run", json.loads((folder / "value.json").read_text(encoding="utf-8")))


def test_the_loss_falls(trained: Trained) -> None:
    losses = running.losses(trained.folder)
    assert len(losses) >= STEPS
    assert losses[-1] < 0.7 * losses[0]


def test_the_run_folder_holds_what_is_promised(trained: Trained) -> None:
    folder = trained.folder
    there = {entry.name for entry in folder.iterdir()}
    assert there >= FILES
    assert not [name for name in there if name.startswith(".") or name.endswith(".part")]
    kept = {entry.name for entry in (folder / "checkpoints").iterdir()}
    assert {name for name in kept if not name.startswith("step_")} == {"best.ckpt", "last.ckpt"}
    assert len(kept) <= 3
    assert {"README.md", "config.json", "tokenizer.json"} <= {entry.name for entry in (folder / "model").iterdir()}
    typed = yaml.safe_load((folder / "overrides.yaml").read_text(encoding="utf-8"))
    assert typed == [*running.SMALL, *BY_HEART, *trained.row.overrides]
    assert "${" not in (folder / "config.yaml").read_text(encoding="utf-8")
    assert trained.config["task"]["name"] == trained.row.task
    environment = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    assert environment.keys() == {"command", "seed", "python", "versions", "git", "machine"}


def test_the_metrics_are_flat_numbers(trained: Trained) -> None:
    found = running.metrics(trained.folder)
    assert all(type(value) in (int, float) for value in found.values())
    names = {"train/loss", "best/epoch", "best/step", "time/train_s", "tokens/total", "params/trainable"}
    assert names | {"params/total"} <= found.keys()
    val, test = ({key.partition("/")[2] for key in found if key.startswith(split)} for split in ("val/", "test/"))
    assert val == test
    assert {"loss", trained.config["task"]["monitor"]} <= val
    assert found["tokens/total"] > SIZES["train"] * STEPS
    share = found["params/trainable"] / found["params/total"]
    assert share == 1 if trained.row.peft == "full" else share < 0.1


def test_the_history_has_a_row_for_each_step(trained: Trained) -> None:
    rows = running.history(trained.folder)
    assert [int(row["step"]) for row in rows] == list(range(STEPS + 1))  # the last one holds the final numbers
    assert all({"epoch", "train/loss"} < row.keys() for row in rows[:STEPS])
    assert [int(row["step"]) for row in rows[:STEPS] if "val/loss" in row] == [9, 19, 29]
    found = running.metrics(trained.folder)
    assert {key: float(rows[-1][key]) for key in found} == found


def test_the_value_of_a_run_is_the_best_checkpoints(trained: Trained) -> None:
    monitor = f"val/{trained.config['task']['monitor']}"
    logged = {
        int(row["step"]): float(row[monitor]) for row in running.history(trained.folder)[:STEPS] if monitor in row
    }
    card = checkpoint_card.read(trained.folder / "checkpoints" / "best.ckpt")
    found = running.metrics(trained.folder)
    assert trained.value == found[monitor] == card["metrics"][monitor]
    best = (max if metric_mode(monitor) == "max" else min)(logged.values())
    assert trained.value == pytest.approx(best, rel=1e-6, abs=1e-6)  # the history has six digits
    assert found["best/step"] == card["step"] == next(s for s in logged if logged[s] == best) + 1
    assert found["best/epoch"] == found["best/step"] - 1  # one step an epoch, epochs counted from 0


def test_each_test_example_is_predicted_once(trained: Trained) -> None:
    rows = running.predictions(trained.folder)
    examples = trained.untrained.data.splits["test"].examples
    assert [row["id"] for row in rows] == [example["id"] for example in examples]
    assert len(rows) == SIZES["test"]
    assert all({"id", "prediction", "target"} <= row.keys() for row in rows)


def test_an_evaluation_reproduces_the_runs_numbers(trained: Trained, tmp_path: Path) -> None:
    splits = ("test", "val") if trained.row.peft == "lora" else ("test",)
    for split in splits:
        found = running.evaluate(trained.folder / "checkpoints" / "best.ckpt", tmp_path / split, f"split={split}")
        assert running.metrics(found, f"{split}/") == running.metrics(trained.folder, f"{split}/")
        assert len(running.predictions(found)) == SIZES[split]
    predicted = (tmp_path / "test" / "predictions.jsonl").read_bytes()
    assert predicted == (trained.folder / "predictions.jsonl").read_bytes()


def test_the_batches_of_an_evaluation_leave_its_numbers_alone(trained: Trained, tmp_path: Path) -> None:
    batches = "data.eval_batch_size=3" if trained.row.peft == "lora" else "data.tokens_per_batch=200"
    found = running.evaluate(trained.folder / "checkpoints" / "best.ckpt", tmp_path / "eval", batches)
    expected = running.metrics(trained.folder, "test/")
    # A perplexity of millions, as a model of random weights has it, multiplies what a loss is off by.
    tolerance = 1e-4 if "test/perplexity" in expected else 1e-5
    assert running.metrics(found, "test/") == pytest.approx(expected, rel=tolerance, abs=1e-6)
    ours, theirs = running.predictions(found), running.predictions(trained.folder)
    for one, other in zip(ours, theirs, strict=True):
        same = other["prediction"]  # labels, texts and tags are equal, numbers the same but for rounding
        assert one["prediction"] == (pytest.approx(same, rel=tolerance, abs=1e-5) if isinstance(same, float) else same)


def _logits(model: nn.Module, experiment: Experiment) -> list[Tensor]:
    encoded = experiment.data.splits["test"]
    batch = experiment.data.collate([encoded.features[i] for i in range(SIZES["test"])])
    with torch.no_grad():
        return list(experiment.task.step(model.eval(), batch).logits)


def test_the_model_folder_loads_elsewhere_with_the_same_logits(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, best = trained.model_at("best")
    if trained.row.random_backbone and trained.row.peft != "full":
        torch.manual_seed(trained.config["seed"])  # the same draw as the run's: no file holds the frozen part
        config = transformers.AutoConfig.from_pretrained(trained.folder / "model")
        backbone, _ = experiment.backbone.load(experiment.task.auto_class, config)
        loaded: nn.Module = PeftModel.from_pretrained(backbone, trained.folder / "model")
    else:
        loaded = _as_the_card_says(trained.folder / "model", monkeypatch)
    ours, theirs = _logits(best, experiment), _logits(loaded, experiment)
    assert ours
    # A head with one output is a product of vectors, whose last digit depends on where in memory they lie.
    same = torch.allclose if trained.row.task in ("regression", "choice") else torch.equal
    assert all(same(a, b) for a, b in zip(ours, theirs, strict=True))
    configs: list[Any] = [loaded.config, best.config]
    assert configs[0].to_dict().get("label2id") == configs[1].to_dict().get("label2id")


def _as_the_card_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """Run the example of a model card in its folder, and return its ``model``."""
    example = (folder / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(example, names)
    assert names["tokenizer"]("a word").input_ids
    return names["model"]


def test_only_what_is_declared_changes(trained: Trained) -> None:
    experiment = trained.untrained
    before = dict(experiment.module.model.named_parameters())
    after = {name.removeprefix("model."): tensor for name, tensor in running.weights(trained.folder).items()}
    declared = {name for name, parameter in before.items() if parameter.requires_grad}
    changed = {name for name in before.keys() & after.keys() if not torch.equal(before[name], after[name])}
    assert changed == declared
    if trained.row.peft == "lora":
        # A language-model head that shares the embeddings has a bias of its own.
        own = ("lora_", "modules_to_save", "cls.predictions.bias")
        assert all(any(part in name for part in own) for name in declared)
    # What a checkpoint leaves out is told by its digest.
    assert trained.row.random_backbone == (before.keys() <= after.keys())
    card = checkpoint_card.read(trained.folder / "checkpoints" / "last.ckpt")
    assert card["digest"] == digest(experiment.module.model)
