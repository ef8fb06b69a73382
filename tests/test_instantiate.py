"""From configuration to objects: arguments are compared with signatures, and a checkpoint may not name any code."""

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from lightune.adapt import Adapter
from lightune.data.sources import Files
from lightune.errors import ConfigError, DataError
from lightune.instantiate import as_config, build, check_arguments, plain, refuse_untrusted

FILES = "lightune.data.sources.Files"
SGD = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.5}


class Refuses:
    """Takes a value and refuses it."""

    def __init__(self, kind: str) -> None:
        raise {"user": DataError("row 3 is empty", "fill it in"), "other": ValueError("no such kind\nmore")}[kind]


def test_a_node_becomes_an_object_with_plain_arguments() -> None:
    node = OmegaConf.create({"_target_": FILES, "train": ["a.csv", "${name}"], "options": {"header": False}, "name": 1})
    del node["name"]
    node.train[1] = "b.csv"
    built = build(node, "data.source")
    assert built == Files(train=["a.csv", "b.csv"], options={"header": False})
    assert type(built.train) is list
    assert type(built.options) is dict


def test_nested_nodes_and_what_is_no_configuration() -> None:
    node = {"_target_": "lightune.adapt.Adapter", "config": {"_target_": "peft.LoraConfig", "_partial_": True, "r": 2}}
    built = build(node, "peft", lr=0.25)
    assert isinstance(built, Adapter)
    config: Any = built.config(target_modules=["query"])
    assert (built.lr, config.r) == (0.25, 2)


def test_a_partial_is_called_later() -> None:
    optimizer = build(SGD, "optimizer")([torch.nn.Parameter(torch.zeros(1))])
    assert optimizer.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize(
    ("node", "problem", "remedy"),
    [
        ({"_target_": FILES, "trian": "x"}, "p.trian: Files takes no argument of that name", "did you mean 'train'"),
        ({**SGD, "momentun": 1}, "p.momentun: SGD takes no argument of that name", "did you mean 'momentum'?"),
        ({"_target_": "lightune.data.sources.File"}, "p._target_=lightune.data.sources.File", "full dotted name"),
        ({"_target_": "no.such.module.Thing"}, "p._target_=no.such.module.Thing", "full dotted name"),
        ({"_target_": "Files"}, "p._target_=Files", "full dotted name"),
        (
            {"_target_": f"{__name__}.Refuses", "kind": "other"},
            "Refuses refuses its arguments: no such kind",
            "mend p.",
        ),
    ],
)
def test_what_cannot_be_built(node: dict[str, Any], problem: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(node, "p")
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy
    assert "\n" not in caught.value.problem


def test_what_a_target_says_to_the_user_is_passed_on() -> None:
    with pytest.raises(DataError, match="row 3 is empty"):
        build({"_target_": f"{__name__}.Refuses", "kind": "user"}, "p")


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ({"a": [{"b": {**SGD, "x": 1}}]}, "p.a[0].b.x"),
        ([SGD, {**SGD, "x": 1}], "p[1].x"),
        ({"_target_": FILES, "options": {**SGD, "x": 1}}, "p.options.x"),
    ],
)
def test_arguments_are_checked_at_any_depth(content: Any, place: str) -> None:
    with pytest.raises(ConfigError, match="takes no argument") as caught:
        check_arguments(content, "p")
    assert caught.value.problem.startswith(f"{place}:")


@pytest.mark.parametrize(
    "content", [None, 3, "text", [], {}, {"_target_": "builtins.dict", "anything": 1}, {**SGD, "_convert_": "all"}]
)
def test_what_takes_any_argument_or_none_is_left_alone(content: Any) -> None:
    check_arguments(content, "p")


def test_plain_data_goes_there_and_back() -> None:
    content = {"a": [1, {"b": None}], "c": "x"}
    assert plain(as_config(content)) == content
    assert plain("text") == "text"
    assert plain(OmegaConf.create({"a": 1, "b": "${a}"})) == {"a": 1, "b": 1}


TRUSTED = [
    "lightune.tasks.qa.QuestionAnswering",
    "lightune.adapt.Full",
    "lightune.models.Backbone",
    "lightune.data.sources.Hub",
    "lightune.optim.schedules.cosine",
    "lightune.callbacks.LastCheckpoint",
    "lightune.report.history.HistoryLogger",
    "lightune.report.wandb.logger",
    "torch.optim.AdamW",
    "peft.LoraConfig",
    "peft.AdaLoraConfig",
    "torchmetrics.classification.MulticlassF1Score",
    "lightning.Trainer",
    "lightning.pytorch.callbacks.EarlyStopping",
    "lightning.pytorch.loggers.TensorBoardLogger",
    "lightning.pytorch.strategies.DDPStrategy",
    "lightning.pytorch.profilers.SimpleProfiler",
]
UNTRUSTED = [
    "torch.load",
    "torch.hub.load",
    "torch.optim.sgd.os.system",
    "os.system",
    "subprocess.run",
    "builtins.eval",
    "builtins.exec",
    "importlib.import_module",
    "hydra.utils.get_object",
    "pathlib.Path.write_text",
    "lightune.report.environment.subprocess.run",  # reachable through our own imports
    "lightune.report.artefacts.write_text",  # ours, but it writes any file
    "lightune.report.artefacts.Path",
    "lightune.report.wandb.os.system",
    "lightune.models.gguf.shutil.rmtree",
    "lightune.models.backbone.importlib.import_module",
    "lightune.models.backbone.AutoConfig.from_pretrained",
    "lightune.data.sources.readers.read",
    "lightune.optim.schedules.math",
    "lightune.callbacks.last.sys.exit",
    "lightune.run.train",
    "lightune.checkpoint.torch.load",
    "lightune.tasks.qa.Nothing",
    "lightning.pytorch.callbacks.model_checkpoint.os.remove",
    "lightning.pytorch.Trainer.save_checkpoint",
    "peft.PeftModel.from_pretrained",
    "peft.config.json.loads",
    "transformers.AutoModel.from_pretrained",
    "optuna.samplers.no.os.system",
    "lightune.adapt.Full; os.system",
    "",
]


@pytest.mark.parametrize("target", TRUSTED)
def test_a_checkpoint_may_name_the_parts_that_runs_are_made_of(target: str) -> None:
    refuse_untrusted({"part": [{"_target_": target}]}, trust=[])


@pytest.mark.parametrize("target", UNTRUSTED)
def test_a_checkpoint_may_name_nothing_else(target: str) -> None:
    with pytest.raises(ConfigError, match="which is not part of lightune"):
        refuse_untrusted({"part": [{"inner": {"_target_": target}}]}, trust=[])


def test_a_refused_target_is_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    node = {"_target_": "pathlib.Path.touch", "_args_": [str(marker)]}
    with pytest.raises(ConfigError):
        refuse_untrusted(node, trust=[])
    assert not marker.exists()


@pytest.mark.parametrize("trust", [["my_tasks"], ["other", "my_tasks.summaries"], "my_tasks"])
def test_modules_that_the_user_trusts_are_let_in(trust: str | list[str]) -> None:
    refuse_untrusted({"_target_": "my_tasks.summaries.Summaries"}, trust=trust)


@pytest.mark.parametrize("trust", [[], ["my"], ["my_tasks_2"], ["my_tasks.other"], "m"])
def test_trust_in_one_module_is_trust_in_no_other(trust: str | list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        refuse_untrusted({"_target_": "my_tasks.summaries.Summaries"}, trust=trust)
    assert "type trust=[my_tasks.summaries]" in caught.value.remedy
