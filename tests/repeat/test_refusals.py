"""What cannot be repeated is refused with a remedy, and before torch is imported."""

import json
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

from lightune import machine
from lightune.check import check, check_multirun, check_study
from lightune.checkpoint import CARD, AtomicCheckpointIO
from lightune.errors import ConfigError
from lightune.repeat.earlier import with_its_overrides
from tests.command import ROOT, composed

BIG = 2**32 - 1
# Values of the configuration, what is said of them, and what to type instead.
SET: list[tuple[dict[str, Any], str, str]] = [
    ({"seeds": 0}, "seeds=0: expected a whole number of at least 1", "seeds=5"),
    ({"seeds": -1}, "seeds=-1: expected", "seeds=5"),
    ({"seeds": 2.5}, "seeds=2.5: expected", "seeds=5"),
    ({"seeds": True}, "seeds=True: expected", "seeds=5"),
    ({"seeds": "many"}, "seeds=many: expected", "seeds=5"),
    ({"seeds": []}, "seeds=[]: there is no seed in it", "seeds=5"),
    ({"seeds": [1, 1]}, "seeds=[1,1]: 1 stands there twice", "seeds=[1,2,3]"),
    ({"seeds": [1, "x"]}, "seeds=[1,x]: x is no whole number", "seeds=[1,2,3]"),
    ({"seeds": [BIG + 1]}, f"{BIG + 1} is no whole number from 0 to {BIG}", "seeds=5"),
    ({"seeds": 2, "seed": BIG}, f"the last of them would be larger than {BIG}", "smaller seed"),
    ({"seeds": 2, "resume": "a"}, "seeds does not go with resume", "same run_dir="),
    ({"seeds": 2, "trainer.fast_dev_run": True}, "seeds does not go with trainer.fast_dev_run", "one run"),
    ({"data.folds": 1}, "data.folds=1: expected null or a whole number of at least 2", "data.folds=5"),
    ({"data.folds": "two"}, "data.folds=two: expected", "data.folds=5"),
    ({"data.folds": 5, "data.fold": 0}, "data.fold=0: expected", "data.fold=1"),
    ({"data.folds": 5, "data.fold": 6}, "data.fold=6: there are 5 folds", "from 1 to 5"),
    ({"data.fold": 2}, "data.fold=2: of how many folds?", "data.folds=5 data.fold=2"),
    ({"data.folds": 2, "resume": "a"}, "data.folds does not go with resume", "same run_dir="),
    ({"reproduce": "a", "resume": "a"}, "reproduce does not go with resume", "leave out one"),
    ({"reproduce": "a", "seeds": 2}, "reproduce does not go with seeds", "leave out one"),
    ({"reproduce": "a", "trainer.fast_dev_run": True}, "does not go with trainer.fast_dev_run", "leave out one"),
    ({"checkpoint": "a", "seeds": 2}, "seeds=2: a checkpoint has one seed", "train.py"),
    ({"checkpoint": "a", "reproduce": "a"}, "only a training is run again", "train.py"),
]
# What is typed.
TYPED: list[tuple[list[str], str, str]] = [
    (["seeds=[1,1]"], "seeds=[1,1]: 1 stands there twice", "seeds=[1,2,3]"),
    (["seeds=3", "resume={run}"], "seeds does not go with resume", "same run_dir="),
    (["seeds=3", "run_dir={run}"], "a single run lies there already", "another run_dir"),
    (["seeds=3", "run_dir={run}/several"], "other overrides (task=classification task=ner)", "another run_dir"),
    (["data.folds=5000"], "data.folds=5000: of rows there are 1380", "data.folds=1380"),
    (["data=files", "data.train={run}/rows.csv", "data.folds=4"], "of rows there are 3 in", "data.folds=3"),
    (["data=streaming", "data.train={run}/rows.csv", "data.folds=2"], "data.folds does not go with", "data.folds=null"),
    (["-m", "hparams_search=quick", "seeds=3"], "seeds: a trial of a study is one run", "hydra.sweeper.seeds=3"),
    (["-m", "hparams_search=quick", "data.folds=3"], "data.folds: a trial of a study", "data.fold=1"),
    (["reproduce={run}/no"], "there is no such folder", "name a run folder"),
    (["reproduce={run}/option"], "its configuration cannot be used as it stands: peft=gone", "of lightune 0.0.1"),
    (["reproduce={run}/keys"], "cannot be used as it stands: data.gone: nothing reads a key", "revision aaaaaaaaaaaa"),
    (["reproduce={run}/lacks"], "cannot be used as it stands: data.split=None", "this is 0.1.0"),
    (["reproduce={run}", "optimizer.lrr=1"], "lightune: optimizer.lrr: there is no such key", "did you mean 'lr'"),
]
# Runs every command in one process, and tells what was imported at its end.
LISTING = """
import json, sys
from pathlib import Path
from tests.command import run
folder, *commands = sys.argv[1:]
for words in commands:
    ended = run("train", [*json.loads(words), "task=classification"], Path(folder))
    print(json.dumps([ended.status, ended.err, sorted({"torch", "lightning", "transformers"} & set(sys.modules))]))
"""

Ends = tuple[Path, list[tuple[int, str, list[str]]]]


def _run(folder: Path, config: object = None, overrides: Sequence[str] = ()) -> Path:
    """Write what a run leaves: as much of it as is read before one is reproduced."""
    folder.mkdir(parents=True)
    environment = {"versions": {"lightune": "0.0.1"}, "git": {"revision": "a" * 40, "dirty": False, "changed": []}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config or {}), encoding="utf-8")
    (folder / "overrides.yaml").write_text(yaml.safe_dump([*overrides]), encoding="utf-8")
    (folder / "environment.json").write_text(json.dumps(environment), encoding="utf-8")
    (folder / "metrics.json").write_text("{}", encoding="utf-8")
    return folder


def _several(folder: Path) -> None:
    kept = {"overrides": ["task=ner"], "planned": [], "failed": {}, "metrics": {}}
    _run(folder / "seed_7")
    (folder / "summary.json").write_text(json.dumps(kept), encoding="utf-8")


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Ends:
    """Return a folder with a run and others below it, and status, message and heavy imports after each command."""
    folder = tmp_path_factory.mktemp("refused")
    config: Any = OmegaConf.to_container(composed("task=classification", "run_dir=a"), resolve=True)
    run = _run(folder / "run", config)
    _several(run / "several")
    _run(run / "option", overrides=["peft=gone"])
    _run(run / "keys", {**config, "data": {**config["data"], "gone": 1}})
    _run(run / "lacks", {**config, "data": {key: value for key, value in config["data"].items() if key != "split"}})
    (run / "rows.csv").write_text("text,label\na,x\nb,y\nc,x\nd,y\n", encoding="utf-8")
    card: dict[str, Any] = {"config": config, "overrides": [], "choices": {}}
    AtomicCheckpointIO().save_checkpoint({"state_dict": {}, CARD: card}, run / "checkpoints" / "last.ckpt")
    commands = [json.dumps([word.replace("{run}", str(run)) for word in words]) for words, *_ in TYPED]
    ended = subprocess.run(
        [sys.executable, "-c", LISTING, str(folder), *commands], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return run, [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("[")]


@pytest.mark.parametrize("number", range(len(TYPED)), ids=[" ".join(words) for words, *_ in TYPED])
def test_commands_are_refused_before_torch_is_imported(number: int, ends: Ends) -> None:
    status, said, imported = ends[1][number]
    _, problem, remedy = TYPED[number]
    assert status == 1
    assert said.count("lightune:") == 1, said
    assert problem in said, said
    assert remedy in said.partition("→")[2], said
    assert imported == []


def test_nothing_is_left_behind(ends: Ends) -> None:
    assert [entry.name for entry in ends[0].parent.iterdir()] == ["run"]


@pytest.mark.parametrize(("values", "problem", "remedy"), SET, ids=[str(values) for values, *_ in SET])
def test_values_that_make_no_sense_are_refused(values: dict[str, Any], problem: str, remedy: str) -> None:
    cfg = _defaults().copy()
    for key, value in values.items():
        OmegaConf.update(cfg, key, value, merge=False, force_add=True)
    with pytest.raises(ConfigError) as caught:
        check(cfg)
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy


@cache
def _defaults() -> DictConfig:
    return composed()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("reproduce=run/checkpoints", "no run lies there, config.yaml is missing"),
        ("reproduce=unfinished", "that run has not ended.*\n.*resume="),
        ("reproduce=several", "several runs lie there\n.*reproduce=.*several/seed_7"),
        ("reproduce=damaged", "damaged/environment.json cannot be read"),
        ("reproduce=list", r"config.yaml cannot be read \(a list in place of a dict\)"),
        ("reproduce=run debug=limit", "debug=limit: a preset cannot be laid over"),
        ("reproduce=run,other", "one run at a time is reproduced"),
        ("-m reproduce=run seed=1,2", "one run at a time is reproduced"),
    ],
)
def test_a_run_that_cannot_be_reproduced(
    typed: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (_run(tmp_path / "run") / "checkpoints").mkdir()
    (_run(tmp_path / "unfinished") / "metrics.json").unlink()
    _several(tmp_path / "several")
    (_run(tmp_path / "damaged") / "environment.json").write_text("{", encoding="utf-8")
    _run(tmp_path / "list", [1, 2])
    with pytest.raises(ConfigError, match=said):
        with_its_overrides(typed.split())


@pytest.mark.parametrize("typed", [(), ("seeds=1",), ("seeds=[0,4294967295]",), ("data.folds=2", "data.fold=2")])
def test_what_can_be_done_passes(typed: tuple[str, ...]) -> None:
    check(composed(*typed))


def test_a_trial_is_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(machine.TRIAL, json.dumps({"study": "a", "trial": "b"}))
    check(composed())
    with pytest.raises(ConfigError, match=r"seeds: a trial of a study.*\n.*hydra\.sweeper\.seeds=2"):
        check(composed("seeds=2"))
    check_study(composed("data.folds=3", "data.fold=1"))


def test_processes_from_outside_do_not_start_several_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    with pytest.raises(ConfigError, match=r"data\.folds: each process that torchrun"):
        check(composed("data.folds=2"))


def test_each_run_of_a_multirun_may_have_ranks_since_it_is_a_process() -> None:
    check_multirun(composed("trainer=ddp_cpu", "seeds=2"))
    with pytest.raises(ConfigError, match="-m with DDP"):
        check_multirun(composed("trainer=ddp_cpu"))
