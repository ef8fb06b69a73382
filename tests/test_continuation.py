"""Continuing from a checkpoint: its own configuration, what is typed now, and nothing that a stranger put into it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from lightune.checkpoint import CARD, AtomicCheckpointIO
from lightune.checkpoint_card import read
from lightune.continuation import continued, earlier_overrides, refuse_other_choices, refuse_presets
from lightune.errors import CheckpointError, ConfigError
from lightune.instantiate import plain
from lightune.overrides import key_of, quoted
from tests.command import composed, run

EARLIER = ("task=classification", "optimizer.lr=0.5", "data.batch_size=8")


def checkpoint(folder: Path, earlier: tuple[str, ...] = EARLIER, then: Mapping[str, Any] | None = None) -> Path:
    """Write a checkpoint of a run in a folder.

    Args:
        folder: Of the run.
        earlier: Overrides of the run.
        then: What conf/ composed otherwise when the run was started.
    """
    config = composed(*earlier, f"run_dir={quoted(str(folder))}")
    for key, value in (then or {}).items():
        OmegaConf.update(config, key, value, merge=False, force_add=True)
    card = {"config": plain(config), "overrides": list(earlier), "choices": {"task": "classification", "peft": "lora"}}
    path = folder / "checkpoints" / "best.ckpt"
    AtomicCheckpointIO().save_checkpoint({"state_dict": {"model.w": torch.zeros(1)}, CARD: card}, path)
    return path


def now(path: Path, *typed: str, verb: str = "train") -> DictConfig:
    """Return the configuration of a command that continues."""
    card = read(path)
    key, folder = ("resume", path.parent.parent) if verb == "train" else ("checkpoint", None)
    place = [f"{key}={quoted(str(path))}"] + ([f"run_dir={quoted(str(folder))}"] if folder else [])
    overrides = [*earlier_overrides(card, set(map(key_of, typed))), *typed, *place]
    return continued(composed(*overrides, config=verb), path, overrides)


@pytest.mark.parametrize("verb", ["train", "eval"])
def test_what_was_not_typed_stays_whatever_conf_composes_now(verb: str, tmp_path: Path) -> None:
    then = {
        "optimizer.weight_decay": 0.25,
        "data.max_length": 77,
        "peft.config.lora_alpha": 5,
        "model.config": {"a": 1},
    }
    cfg = now(checkpoint(tmp_path, then=then), verb=verb)
    assert {key: OmegaConf.select(cfg, key) for key in then} == then
    assert (cfg.task.name, cfg.optimizer.lr, cfg.data.batch_size) == ("classification", 0.5, 8)


@pytest.mark.parametrize("verb", ["train", "eval"])
def test_what_is_typed_beats_what_was_saved(verb: str, tmp_path: Path) -> None:
    cfg = now(checkpoint(tmp_path), "data.batch_size=3", "data.max_length=99", verb=verb)
    assert (cfg.data.batch_size, cfg.data.max_length, cfg.optimizer.lr) == (3, 99, 0.5)


def test_an_option_that_is_typed_replaces_the_whole_group_and_no_other(tmp_path: Path) -> None:
    then = {"optimizer.weight_decay": 0.25, "scheduler.warmup": 0.4}
    cfg = now(checkpoint(tmp_path, then=then), "optimizer=sgd")
    assert cfg.optimizer["_target_"] == "torch.optim.SGD"
    assert cfg.optimizer.weight_decay == 0.0
    assert "betas" not in cfg.optimizer
    assert cfg.scheduler.warmup == 0.4


@pytest.mark.parametrize(("typed", "key"), [("precision=bf16-mixed", "precision"), ("strategy=ddp", "strategy")])
def test_a_group_inside_the_trainer_leaves_the_rest_of_it(typed: str, key: str, tmp_path: Path) -> None:
    before = now(path := checkpoint(tmp_path, then={"trainer.max_epochs": 77}))
    after = now(path, typed)
    assert after.trainer.max_epochs == before.trainer.max_epochs == 77
    assert {name for name in after.trainer if after.trainer[name] != before.trainer[name]} == {key}


@pytest.mark.parametrize(
    ("typed", "key", "value"),
    [
        ("peft.lr=0.125", "optimizer.lr", 0.125),
        ("model.lr.lora=0.125", "optimizer.lr", 0.125),  # through peft.lr
        ("task.monitor=loss", "callbacks.best.monitor", "val/loss"),
        ("task.monitor=loss", "callbacks.best.mode", "min"),
        ("task.monitor=loss", "callbacks.early_stopping.monitor", "val/loss"),
        ("data.epochs.classification=9", "trainer.max_epochs", 9),
    ],
)
def test_what_is_typed_reaches_all_that_refers_to_it(typed: str, key: str, value: object, tmp_path: Path) -> None:
    path = checkpoint(tmp_path, earlier=("task=classification",))
    assert OmegaConf.select(now(path), key) != value
    assert OmegaConf.select(now(path, typed), key) == value


@pytest.mark.parametrize("split", ["val", "test"])
def test_other_files_are_the_ones_that_are_evaluated(split: str, tmp_path: Path) -> None:
    earlier = ("task=classification", "data=files", "data.train=a.csv", "data.val=b.csv", "data.test=c.csv")
    cfg = now(checkpoint(tmp_path, earlier), f"data.{split}=new.csv", verb="eval")
    given = {"train": "a.csv", "val": "b.csv", "test": "c.csv"}
    assert {name: cfg.data.source[name] for name in given} == {**given, split: "new.csv"}


def test_an_evaluation_has_the_precision_of_the_training_unless_another_is_typed(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, (*EARLIER, "precision=bf16-true"))
    assert now(path, verb="eval").trainer.precision == "bf16-true"
    assert now(path, "trainer=cpu", verb="eval").trainer.precision == "bf16-true"
    assert now(path, "precision=bf16-mixed", verb="eval").trainer.precision == "bf16-mixed"
    assert now(path, "trainer.precision=bf16-mixed", verb="eval").trainer.precision == "bf16-mixed"


def test_an_evaluation_brings_no_callbacks_and_loggers_of_the_training(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, (*EARLIER, "logger=[csv,tensorboard]"), then={"trainer.devices": 8})
    cfg = now(path, verb="eval")
    assert set(cfg.callbacks) == {"progress_bar"}
    assert cfg.logger == {}
    assert cfg.trainer.devices == "auto"  # this machine's


def test_an_evaluation_knows_the_labels_of_the_training(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, then={"task.labels": ["b", "a"]})
    assert now(path, verb="eval").task.labels == ["b", "a"]


def test_paths_in_a_run_folder_that_was_moved_follow_it(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new place"
    then = {"extra": [f"{old}/x", str(old), f"{old}er/x", "x"], "logger.csv.run_dir": str(old)}
    checkpoint(old, then=then)
    old.rename(new)
    cfg = now(new / "checkpoints/best.ckpt")
    assert cfg.run_dir == str(new)
    assert cfg.callbacks.best.dirpath == cfg.callbacks.last.dirpath == f"{new}/checkpoints"
    assert cfg.logger.csv.run_dir == str(new)
    assert cfg.extra == [f"{new}/x", str(new), f"{old}er/x", "x"]


def test_a_callback_that_is_taken_out_is_out(tmp_path: Path) -> None:
    assert now(checkpoint(tmp_path), "~callbacks.early_stopping").callbacks.early_stopping is None


def test_a_resumed_run_can_be_resumed_again(tmp_path: Path) -> None:
    first = now(checkpoint(tmp_path), "data.batch_size=3")
    again = checkpoint(tmp_path / "again", (*EARLIER[:2], "data.batch_size=3"), then={"data.max_length": 77})
    assert now(again).data.batch_size == first.data.batch_size == 3
    assert now(again).data.max_length == 77


@pytest.mark.parametrize(
    ("override", "kept"),
    [
        ("task=qa", True),
        ("+model.config.dropout=0.2", True),
        ("~callbacks.last", True),
        ("data.train=trust/hydra.csv", True),
        ("optimizer.lr=3", False),  # typed now
        ("+optimizer.lr=3", False),
        ("hydra.callbacks.x={_target_: os.system}", False),
        ("hydra/launcher=mine", False),
        ("+hydra.searchpath=[file:///tmp/x]", False),
        ("++hydra.run.dir=x", False),
        ("  hydra.run.dir=x", False),
        ("+callbacks@hydra.callbacks=x", False),
        ("debug=limit", True),
        ("strategy=ddp", True),
        ("mine=3", False),
        ("run_dir=x", False),
        ("trust=[os]", False),
        ("++trust=[os]", False),
        ("model.trust_remote_code=true", False),
        ("model={trust_remote_code: true}", False),
        ("--config-dir=/tmp/x", False),
        ("-m", False),
        ("not an override", False),
    ],
)
def test_overrides_that_a_checkpoint_may_bring(override: str, kept: bool) -> None:
    assert earlier_overrides({"overrides": [override]}, {"optimizer.lr", "seed"}) == [override] * kept


@pytest.mark.parametrize(
    ("key", "node", "verbs"),
    [
        ("task._target_", "os.system", "train eval"),
        ("model._target_", "torch.load", "train eval"),
        ("peft.config._target_", "subprocess.run", "train eval"),
        ("peft.extra", [{"_target_": "builtins.exec"}], "train eval"),
        ("trainer.profiler", {"_target_": "torch.hub.load"}, "train"),  # an evaluation takes none of these
        ("callbacks.best._target_", "builtins.eval", "train"),
        ("callbacks.progress_bar._target_", "lightune.report.environment.subprocess.run", "train"),
    ],
)
@pytest.mark.parametrize("verb", ["train", "eval"])
def test_a_configuration_that_names_other_code_is_refused(
    verb: str, key: str, node: Any, verbs: str, tmp_path: Path
) -> None:
    path = checkpoint(tmp_path, then={key: node})
    if verb in verbs.split():
        with pytest.raises(ConfigError, match="which is not part of lightune"):
            now(path, verb=verb)
    else:
        assert OmegaConf.select(now(path, verb=verb), key) != node


@pytest.mark.parametrize("verb", ["train", "eval"])
@pytest.mark.parametrize(
    "override",
    [
        "callbacks.progress_bar._target_=os.system",
        "trainer.profiler={_target_: torch.hub.load}",
        "trainer._target_=os.system",
        "trainer.strategy={_target_: builtins.eval}",
    ],
)
def test_overrides_that_name_other_code_are_refused(verb: str, override: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="which is not part of lightune"):
        now(checkpoint(tmp_path, (*EARLIER, override)), verb=verb)


def test_modules_of_ones_own_are_let_in_by_who_types_them(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, then={"task._target_": "my_tasks.Topics", "trust": ["my_tasks"]})
    with pytest.raises(ConfigError, match=r"wants to run my_tasks\.Topics"):
        now(path, verb="eval")
    assert now(path, "trust=[my_tasks]", verb="eval").task["_target_"] == "my_tasks.Topics"


def test_code_from_the_hub_runs_only_where_it_is_typed(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, (*EARLIER, "model.trust_remote_code=true"))
    assert read(path)["config"]["model"]["trust_remote_code"] is True
    assert now(path, verb="eval").model.trust_remote_code is False
    assert now(path, "model.trust_remote_code=true", verb="eval").model.trust_remote_code is True


@pytest.mark.filterwarnings("ignore:Callback TextIOWrapper")
@pytest.mark.parametrize("key", ["hydra.callbacks.x", "callbacks.progress_bar"])
def test_a_strangers_checkpoint_runs_nothing(key: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    evil = f"++{key}={{_target_: builtins.open, _args_: [{marker}, w]}}"
    path = checkpoint(tmp_path / "run")
    card = {**read(path), "overrides": [*EARLIER, evil]}
    AtomicCheckpointIO().save_checkpoint({"state_dict": {}, CARD: card}, path)
    outcome = run("eval", [f"checkpoint={path}"], tmp_path)
    assert outcome.status == 1  # it is no real checkpoint either
    assert ("wants to run builtins.open" in outcome.err) == (not key.startswith("hydra"))
    assert not marker.exists()
    if key.startswith("hydra"):  # who types it means it: the test could have failed
        run("train", [evil, "trainer.max_epochs=-1"], tmp_path)
        assert marker.exists()


@pytest.mark.parametrize("group", ["experiment=example", "debug=limit", "hparams_search=optuna"])
def test_presets_are_not_laid_over_an_earlier_run(group: str) -> None:
    refuse_presets(["task=qa", "seed=3"])
    with pytest.raises(ConfigError, match=f"{group}: a preset cannot be laid over"):
        refuse_presets(["task=qa", group])


@pytest.mark.parametrize(
    ("typed", "refused"),
    [
        ({}, False),
        ({"task": "qa", "peft": "lora"}, False),
        ({"task": "ner"}, True),
        ({"peft": "full"}, True),
        ({"data": "x"}, False),
    ],
)
def test_choices_that_a_checkpoint_was_not_trained_with(typed: dict[str, str], refused: bool) -> None:
    card = {"choices": {"task": "qa", "peft": "lora", "data": "builtin"}}
    if refused:
        with pytest.raises(CheckpointError, match="resume: that checkpoint was trained with"):
            refuse_other_choices(card, typed, "resume")
    else:
        refuse_other_choices(card, typed, "resume")
