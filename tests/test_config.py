"""conf/: every option composes, names what exists, gives it arguments that it takes, and says what it is for."""

import datetime as dt
import importlib.util
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import hydra
import pytest
from omegaconf import DictConfig

from lightune import machine
from lightune.check import check, hardware
from lightune.errors import ConfigError
from lightune.instantiate import check_arguments, plain, refuse_untrusted
from lightune.keys import RATES, TRAINERS_OWN
from tests.command import ROOT, composed

CONF = ROOT / "conf"
YAML = sorted(CONF.rglob("*.yaml"))
# Hydra's own groups choose how it starts jobs: nothing of them is in the configuration.
PLACES = [f.relative_to(CONF).with_suffix("") for f in YAML if f.parent != CONF and CONF / "hydra" not in f.parents]
CHOICES = [(p.parts[0], "/".join(p.parts[1:])) for p in PLACES if not p.name.startswith("_")]
# What an option cannot do without.
NEEDED = {
    "data=hub": ["data.path=squad"],
    "experiment=mmlu_files": ["data.folder=mmlu"],
    "data=sql": ["data.url=sqlite:///a.db", "data.train=reviews"],
    "data=streaming": [f"data.train={__file__}"],
    "data=mix": ["data.parts={a: a.csv}"],
    "data=files": [f"data.train={__file__}"],
    "tokenizer=train": ["peft=full"],
    "peft=llama_adapter": ["task=clm"],
    "peft=shadow": ["task=clm"],
    "peft=trainable_tokens": ["peft.config.token_indices=[101]"],
    "model=auto": ["model.path=google-bert/bert-base-uncased"],
}

# Arguments that come from the program, by the place of the node.
GIVEN = {"optimizer": {"params"}, "scheduler": {"optimizer", "total_steps"}}


@cache
def config_of(group: str, option: str) -> DictConfig:
    """Return the configuration with one option changed; the quotes make a name of precision=32."""
    return composed(f'{group}="{option}"', *NEEDED.get(f"{group}={option}", []))


def config_that_can_be_built(group: str, option: str) -> dict[str, Any]:
    """Return it as plain data; skip where its package is only installed on machines with a GPU."""
    cfg: dict[str, Any] = plain(config_of(group, option))
    package = cfg["optimizer"]["_target_"].partition(".")[0]
    if importlib.util.find_spec(package) is None:
        assert package == "bitsandbytes"
        pytest.skip(f"{package} is not installed")
    return cfg


def targets(node: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every node that names a target, with its place."""
    if isinstance(node, list):
        node = dict(enumerate(node))
    if isinstance(node, dict):
        if "_target_" in node:
            yield place, node
        for key, value in node.items():
            yield from targets(value, f"{place}.{key}" if place else str(key))


def name(file: Path) -> str:
    return str(file.relative_to(CONF))


@pytest.mark.parametrize("file", YAML, ids=name)
def test_every_file_says_what_it_is_for(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    said = lines[1] if lines[0].startswith("# @package") else lines[0]
    assert said.startswith("# ")
    assert len(said.split()) > 3


@pytest.mark.parametrize(("group", "option"), CHOICES)
def test_every_option_composes_and_passes_the_check(group: str, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "has_gpu", lambda: True)  # options for a GPU are options as well
    monkeypatch.setattr(hardware, "find_spec", lambda package: package)  # and so are those for its packages
    cfg = config_of(group, option).copy()
    if group == "model":
        cfg.task.architectures = None  # question answering takes no encoder-decoder
    check(cfg)


@pytest.mark.parametrize(("group", "option"), CHOICES)
def test_every_target_exists_and_takes_its_keys(group: str, option: str) -> None:
    cfg = config_that_can_be_built(group, option)
    for key, node in cfg.items():
        own = {"optimizer": RATES, "trainer": TRAINERS_OWN}.get(key, ())
        content = {k: v for k, v in node.items() if k not in own} if own else node
        check_arguments(content, key)
    for place, node in targets(cfg, ""):
        target = hydra.utils.get_object(node["_target_"])
        if target is dt.timedelta:  # has no signature to read
            target(**{key: value for key, value in node.items() if key != "_target_"})
            continue
        parameters = inspect.signature(target).parameters.values()
        needed = {
            p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        }
        assert needed - set(node) - GIVEN.get(place, set()) == set(), place


@pytest.mark.parametrize(("group", "option"), CHOICES)
def test_a_checkpoint_of_every_option_may_be_loaded_again(group: str, option: str) -> None:
    refuse_untrusted(config_that_can_be_built(group, option), trust=[])


@pytest.mark.parametrize("task", [option for group, option in CHOICES if group == "task"])
@pytest.mark.parametrize("peft", ["full", "lora"])
@pytest.mark.parametrize("model", [None, "minilm", "smollm2", "minilm-seq2seq"])
def test_methods_go_with_tasks_and_models(task: str, peft: str, model: str | None) -> None:
    cfg = composed(f"task={task}", f"peft={peft}", *([f"model={model}"] if model else []))
    if cfg.model.architecture in cfg.task.architectures:
        check(cfg)
    else:
        assert model is not None, "a task's own backbone does not fit it"
        with pytest.raises(ConfigError, match=f"task={task} does not work on an? {cfg.model.architecture} model"):
            check(cfg)
    assert cfg.name == task
    assert cfg.optimizer.lr == cfg.peft.lr > 0
    assert cfg.callbacks.best.monitor == cfg.callbacks.early_stopping.monitor == f"val/{cfg.task.monitor}"


@pytest.mark.parametrize(("monitor", "mode"), [("f1", "max"), ("loss", "min")])
def test_the_best_checkpoint_follows_the_monitored_metric(monitor: str, mode: str) -> None:
    cfg = composed(f"task.monitor={monitor}")
    assert (cfg.callbacks.best.monitor, cfg.callbacks.best.mode) == (f"val/{monitor}", mode)
    assert (cfg.callbacks.early_stopping.monitor, cfg.callbacks.early_stopping.mode) == (f"val/{monitor}", mode)


@pytest.mark.parametrize(
    ("typed", "place", "value"),
    [
        ("precision=bf16-mixed", "precision", "bf16-mixed"),
        ("trainer=cpu", "accelerator", "cpu"),
        ("trainer=ddp_cpu", "devices", 2),
        ("debug=limit", "limit_train_batches", 10),
        ("debug=fast_dev_run", "fast_dev_run", True),
        ("experiment=example", "max_epochs", 2),
    ],
)
def test_groups_and_presets_reach_the_trainer(typed: str, place: str, value: object) -> None:
    assert composed(typed).trainer[place] == value


@pytest.mark.parametrize("trainer", ["ddp", "ddp_cpu"])
def test_a_trainer_of_several_processes_brings_its_strategy(trainer: str) -> None:
    assert composed(f"trainer={trainer}").trainer.strategy["_target_"].endswith("DDPStrategy")
    assert composed(f"trainer={trainer}", "strategy=auto").trainer.strategy == "auto"


def test_what_is_typed_wins_over_a_preset() -> None:
    cfg = composed("experiment=example", "seed=5", "trainer.max_epochs=9", "task=ner")
    assert (cfg.seed, cfg.trainer.max_epochs, cfg.task.name, cfg.name) == (5, 9, "ner", "example")


@pytest.mark.parametrize(
    ("preset", "task", "path", "size", "epochs"),
    [("squad", "qa", "rajpurkar/squad", 32, 3), ("squad_v2", "qa_v2", "rajpurkar/squad_v2", 48, 2)],
)
def test_the_presets_of_squad_read_the_hub_or_files(preset: str, task: str, path: str, size: int, epochs: int) -> None:
    hub = composed(f"experiment={preset}")
    files = composed(f"experiment={preset}", "data=files", f"data.train={__file__}")
    assert hub.data.source.path == path
    assert files.data.source.train == __file__
    for cfg in (hub, files):
        check(cfg)
        assert (cfg.name, cfg.task.name, cfg.data.batch_size, cfg.trainer.max_epochs) == (preset, task, size, epochs)
        assert cfg.task.no_answer == (task == "qa_v2")
        assert cfg.task.columns == composed("task=qa").task.columns


def test_several_loggers_and_callbacks_can_be_named() -> None:
    cfg = composed("logger=[csv,tensorboard,wandb]", "callbacks=[best,last]")
    assert set(cfg.logger) == {"csv", "tensorboard", "wandb"}
    assert set(cfg.callbacks) == {"best", "last"}
    assert composed("callbacks=none").callbacks == {}


def test_an_evaluation_composes_from_a_checkpoint_alone() -> None:
    cfg = composed("checkpoint=runs/qa/best.ckpt", config="eval")
    assert (cfg.split, cfg.run_dir, cfg.checkpoint) == ("test", None, "runs/qa/best.ckpt")
    check(cfg)
