"""The command line: earlier overrides, the run folder, multiruns, and what becomes of an error."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from lightune import cli
from lightune.checkpoint import CARD, AtomicCheckpointIO
from lightune.errors import CheckpointError, ConfigError
from lightune.objective import metric_mode
from tests.command import ROOT, SMALL_RUN, run

EARLIER = ["task=classification", "peft=lora", "optimizer.lr=1e-3", "+data.options.delimiter=';'", "~callbacks.last"]
MUST_HAVE = {"resume": "", "checkpoint": "checkpoint"}  # what train.py and eval.py cannot do without
CHOICES = {"task": "classification", "peft": "lora", "model": "minilm"}


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_run(folder: Path, names: tuple[str, ...] = ("best", "last")) -> Path:
    """Write the checkpoints of an earlier run."""
    for name in names:
        card = {"config": {}, "overrides": EARLIER, "choices": CHOICES}
        content = {"state_dict": {"model.w": torch.zeros(2)}, CARD: card}
        AtomicCheckpointIO().save_checkpoint(content, folder / "checkpoints" / f"{name}.ckpt")
    return folder


def values(arguments: list[str]) -> dict[str, Any]:
    """Return what Hydra would understand."""
    parsed = OverridesParser.create().parse_overrides([a for a in arguments if not a.startswith("-")])
    return {str(override.key_or_group): override.value() for override in parsed}


@pytest.mark.parametrize(
    ("monitor", "mode"),
    [
        *((monitor, "max") for monitor in ("f1", "f1_macro", "accuracy", "mcc", "precision", "pearson")),
        *((monitor, "min") for monitor in ("loss", "val/loss", "perplexity", "mse", "mae", "ece")),
    ],
)
def test_a_loss_is_to_fall_and_a_score_to_rise(monitor: str, mode: str) -> None:
    assert metric_mode(monitor) == mode


@pytest.mark.parametrize("arguments", [[], ["task=ner", "seed=3"], ["-m", "seed=1,2"], ["resume=null", "task=qa"]])
def test_a_new_run_is_left_alone(arguments: list[str]) -> None:
    assert cli.with_earlier_overrides(arguments) == arguments


def test_earlier_overrides_come_first_and_typed_ones_win(in_folder: Path) -> None:
    run_dir = write_run(in_folder / "runs/a")
    command = cli.with_earlier_overrides(["resume=runs/a", "optimizer.lr=5e-4", "trainer.max_epochs=4"])
    assert command == [
        "task=classification",
        "peft=lora",
        "+data.options.delimiter=';'",
        "~callbacks.last",
        "optimizer.lr=5e-4",
        "trainer.max_epochs=4",
        f'resume="{run_dir}/checkpoints/last.ckpt"',
        f'run_dir="{run_dir}"',
    ]


@pytest.mark.parametrize(
    "typed", ["+data.options.delimiter=','", "data.options.delimiter=','", "++data.options.delimiter=x"]
)
def test_signs_before_a_key_do_not_hide_it(typed: str, in_folder: Path) -> None:
    write_run(in_folder / "a")
    command = cli.with_earlier_overrides(["checkpoint=a", typed], "checkpoint")
    assert [a for a in command if "delimiter" in a] == [typed]


@pytest.mark.parametrize("options", [["-m"], ["--config-name", "mine"], ["--cfg", "job", "--resolve"]])
def test_options_stay_before_all_overrides(options: list[str], in_folder: Path) -> None:
    write_run(in_folder / "a")
    command = cli.with_earlier_overrides([*options, "seed=3", "resume=a"])
    assert command[: len(options) + 1] == [*options, "task=classification"]


@pytest.mark.parametrize("key", ["resume", "checkpoint"])
def test_a_rank_that_gets_the_result_as_its_command_changes_nothing(key: str, in_folder: Path) -> None:
    write_run(in_folder / "a")
    once = cli.with_earlier_overrides([f"{key}=a", "seed=3", "optimizer.lr=5e-4"], MUST_HAVE[key])
    assert cli.with_earlier_overrides(once, MUST_HAVE[key]) == once


@pytest.mark.parametrize("name", ["a b", "lr=3,r=8", "it's", 'say "x"', "größe [1]", "~", "(x)"])
@pytest.mark.parametrize("key", ["resume", "checkpoint"])
def test_any_name_of_a_folder_reaches_hydra_whole(name: str, key: str, in_folder: Path) -> None:
    run_dir = write_run(in_folder / name)
    command = cli.with_earlier_overrides([f"{key}={cli.overrides.quoted(str(run_dir))}"], MUST_HAVE[key])
    file = run_dir / "checkpoints" / ("last.ckpt" if key == "resume" else "best.ckpt")
    assert values(command)[key] == str(file)
    assert values(command).get("run_dir") == (str(run_dir) if key == "resume" else None)


@pytest.mark.parametrize("named", ["lr=3", "~/lr=3", "~nobody-of-that-name", "größe"])
def test_a_name_that_hydra_would_refuse_is_found_all_the_same(
    named: str, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(in_folder))
    run_dir = write_run(in_folder / named.removeprefix("~/"))
    assert values(cli.with_earlier_overrides([f"resume={named}"]))["run_dir"] == str(run_dir)


@pytest.mark.parametrize(
    ("names", "key", "found"),
    [
        (("best", "last"), "resume", "last"),
        (("best", "last"), "checkpoint", "best"),
        (("best",), "resume", "best"),
        (("last",), "checkpoint", "last"),
    ],
)
def test_which_checkpoint_of_a_run_is_meant(names: tuple[str, ...], key: str, found: str, in_folder: Path) -> None:
    write_run(in_folder / "a", names)
    assert values(cli.with_earlier_overrides([f"{key}=a"], MUST_HAVE[key]))[key].endswith(f"{found}.ckpt")


def test_latest_is_the_youngest_run_of_that_name(in_folder: Path) -> None:
    for age, name in enumerate(["ner/1", "qa/2", "qa/sweep/trial_0000", "classification/1"]):
        run_dir = write_run(in_folder / "runs" / name)
        os.utime(run_dir / "checkpoints/last.ckpt", (1000 + age, 1000 + age))
    newest = values(cli.with_earlier_overrides(["resume=latest"]))
    of_qa = values(cli.with_earlier_overrides(["resume=latest", "name=qa"]))
    assert newest["run_dir"] == str(in_folder / "runs/classification/1")
    assert of_qa["run_dir"] == str(in_folder / "runs/qa/sweep/trial_0000")


def test_latest_looks_where_runs_are_kept(in_folder: Path) -> None:
    run_dir = write_run(in_folder / "kept here/classification/1")
    command = cli.with_earlier_overrides(["resume=latest", "paths.runs=kept here"])
    assert values(command)["run_dir"] == str(run_dir)


def test_a_checkpoint_outside_a_run_folder_starts_a_folder_of_its_own(in_folder: Path) -> None:
    write_run(in_folder / "a")
    (in_folder / "a/checkpoints/last.ckpt").rename(in_folder / "kept.ckpt")
    command = cli.with_earlier_overrides(["resume=kept.ckpt"])
    assert "run_dir" not in values(command)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ([], ConfigError, "checkpoint: nothing to evaluate"),
        (["checkpoint=null"], ConfigError, "checkpoint: nothing to evaluate"),
        (["resume=a,b"], ConfigError, "resume names several runs"),
        (["resume=a", "run_dir=b"], ConfigError, "a resumed run goes on in its own folder"),
        (["resume=b"], CheckpointError, "resume=b: there is no such"),
        (["checkpoint=a", "task=qa"], CheckpointError, "trained with task=classification"),
        (["checkpoint=a", "experiment=example"], ConfigError, "experiment=example: a preset"),
    ],
)
def test_what_cannot_be_continued(arguments: list[str], error: type[Exception], says: str, in_folder: Path) -> None:
    write_run(in_folder / "a")
    with pytest.raises(error, match=says):
        cli.with_earlier_overrides(arguments, "checkpoint" if not "".join(arguments).startswith("resume") else "")


@pytest.mark.parametrize("option", ["--help", "--cfg=job", "-m"])
def test_help_needs_no_checkpoint(option: str) -> None:
    assert cli.with_earlier_overrides([option], "checkpoint") == [option]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the list of runs that commands of this test start; each ends as soon as it has begun."""
    runs: list[dict[str, Any]] = []

    def train(cfg: DictConfig) -> float:
        runs.append({"run_dir": cfg.run_dir, "seed": cfg.seed, "precision": cfg.trainer.precision})
        runs[-1]["command"] = sys.argv[1:]
        return 0.0

    monkeypatch.setattr("lightune.run.train", train)
    return runs


def test_the_run_folder_is_fixed_for_all_ranks(started: list[dict[str, Any]], tmp_path: Path) -> None:
    assert run("train", ["seed=3"], tmp_path).status == 0
    (first,) = started
    place = Path(first["run_dir"])
    assert place.is_absolute()
    assert place.parent == tmp_path / "runs/qa"
    # Lightning starts the other ranks with this command, in this folder.
    assert run("train", first["command"], tmp_path).status == 0
    assert started[1] == first


@pytest.mark.parametrize("name", ["a b", "lr=3,r=8", "größe"])
def test_a_typed_run_folder_is_kept_whatever_its_name(name: str, started: list[dict[str, Any]], tmp_path: Path) -> None:
    outcome = run("train", [f"run_dir={cli.overrides.quoted(name)}"], tmp_path)
    assert (outcome.status, outcome.err) == (0, "")
    assert started[0]["run_dir"] == str(tmp_path / name)
    run("train", started[0]["command"], tmp_path)
    assert started[1] == started[0]


@pytest.mark.parametrize("typed", [[], ["run_dir=sweep"], ["name=mine"]])
def test_each_job_of_a_multirun_has_a_folder_of_its_own(
    typed: list[str], started: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert run("train", ["-m", "seed=5,6,7", *typed], tmp_path).status == 0
    places = [Path(job["run_dir"]) for job in started]
    assert [job["seed"] for job in started] == [5, 6, 7]
    assert [place.name for place in places] == ["trial_0000", "trial_0001", "trial_0002"]
    assert len({place.parent for place in places}) == 1
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["multirun.yaml"]
    assert list(tmp_path.rglob("trial*")) == []  # a folder appears when its run begins


@pytest.mark.parametrize("typed", ["run_dir=a,b", "run_dir='${name}/${seed}'"])
def test_a_multirun_may_name_its_folders(typed: str, started: list[dict[str, Any]], tmp_path: Path) -> None:
    several = [typed] if typed.endswith("b") else [typed, "seed=1,2"]
    run("train", ["-m", *several], tmp_path)
    names = ["a", "b"] if typed.endswith("b") else ["qa/1", "qa/2"]
    assert [job["run_dir"] for job in started] == [str(tmp_path / name) for name in names]


@pytest.mark.parametrize(("typed", "precisions"), [("32", ["32-true"]), ("bf16-true,32", ["bf16-true", "32-true"])])
def test_a_number_may_name_an_option(
    typed: str, precisions: list[str], started: list[dict[str, Any]], tmp_path: Path
) -> None:
    outcome = run("train", [*(["-m"] if "," in typed else []), f"precision={typed}"], tmp_path)
    assert outcome.status == 0, outcome.err
    assert [job["precision"] for job in started] == precisions


def test_who_asks_for_tracebacks_gets_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(Exception, match="Could not override 'sed'"):
        run("train", ["sed=3"], tmp_path)


def test_a_fault_that_is_not_the_users_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(cfg: DictConfig) -> float:
        raise ZeroDivisionError

    monkeypatch.setattr("lightune.run.train", train)
    with pytest.raises(ZeroDivisionError):
        run("train", [], tmp_path)


def test_a_multirun_trains_each_job_in_its_own_folder(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "train.py"), "-m", "seed=1,2", "task=classification", *SMALL_RUN]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    (sweep,) = (tmp_path / "runs/classification").iterdir()
    assert sorted(entry.name for entry in sweep.iterdir()) == ["multirun.yaml", "runs.csv", "trial_0000", "trial_0001"]
    for seed, name in ((1, "trial_0000"), (2, "trial_0001")):
        config = yaml.safe_load((sweep / name / "config.yaml").read_text(encoding="utf-8"))
        assert config["seed"] == seed
        assert config["run_dir"] == str(sweep / name)
        assert (sweep / name / "metrics.json").is_file()
        assert (sweep / name / "checkpoints/best.ckpt").is_file()
