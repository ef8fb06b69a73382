"""A study from the command line: every trial once, whatever is killed, and the same study when it is run again."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest
from omegaconf import OmegaConf

from lightune.sweep.processes import slot_environment
from tests import command, running

# A function of numbers in a second, with no more of lightune than its sweeper.
APPLICATION = """
import os, sys, time
import hydra

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def sphere(cfg):
    time.sleep(cfg.seconds)
    if cfg.x < cfg.fails_below:
        raise ValueError(f"x={cfg.x} is too small")
    return cfg.x**2 + cfg.y**2

if __name__ == "__main__":
    sphere()
"""
# As the plugin hydra-optuna-sweeper publishes it.
CONFIGURATION = """
defaults:
  - override hydra/sweeper: lightune
  - override hydra/sweeper/sampler: {sampler}

hydra:
  sweeper:
    sampler:
      seed: 123
    direction: minimize
    study_name: sphere
    storage: null
    n_trials: {n_trials}
    n_jobs: 2
    params:
      x: range(-5.5, 5.5, step=0.5)
      y: choice(-5 ,0 ,5)
  sweep:
    dir: runs/sphere

x: 1
y: 1
z: 1
seconds: 0
fails_below: -10
"""


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """Return the folder of an application with a study."""
    return _application(tmp_path)


def _application(folder: Path, sampler: str = "tpe", n_trials: int = 6) -> Path:
    (folder / "conf").mkdir()
    (folder / "sphere.py").write_text(APPLICATION, encoding="utf-8")
    (folder / "conf" / "config.yaml").write_text(
        CONFIGURATION.format(sampler=sampler, n_trials=n_trials), encoding="utf-8"
    )
    return folder


def _start(folder: Path, *typed: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "sphere.py", "-m", *typed],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _swept(folder: Path, *typed: str, status: int = 0) -> str:
    with _start(folder, *typed) as process:
        said, _ = process.communicate(timeout=200)
    assert process.returncode == status, said
    return said


def _trials(folder: Path, study: str = "runs/sphere") -> list[dict[str, str]]:
    with (folder / study / "trials.csv").open(newline="", encoding="utf-8") as file:
        return [*csv.DictReader(file)]


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in (folder / "runs" / "sphere").glob("trial_*") if entry.is_dir())


def test_every_trial_is_run_once_and_the_best_is_told(application: Path) -> None:
    said = _swept(application)
    trials = _trials(application)
    assert [row["trial"] for row in trials] == _folders(application) == [f"trial_{i:04d}" for i in range(6)]
    for row in trials:
        assert row["state"] == "complete"
        assert float(row["value"]) == float(row["x"]) ** 2 + float(row["y"]) ** 2
        assert f"{row['trial']}  x={row['x']} y={row['y']}" in said
        kept: Any = OmegaConf.load(application / "runs" / "sphere" / row["trial"] / ".hydra" / "overrides.yaml")
        assert kept[:2] == [f"x={row['x']}", f"y={row['y']}"]
    best: Any = OmegaConf.load(application / "runs" / "sphere" / "optimization_results.yaml")
    assert best.best_value == min(float(row["value"]) for row in trials)
    assert best.name == "optuna"
    assert best.best_params.keys() == {"x", "y"}


def test_run_again_it_goes_on(application: Path) -> None:
    _swept(application, "hydra.sweeper.n_trials=3")
    first = _trials(application)
    log = (application / "runs" / "sphere" / "trial_0001.log").stat()
    _swept(application, "hydra.sweeper.n_trials=5")
    assert _trials(application)[:3] == first
    assert len(_trials(application)) == len(_folders(application)) == 5
    assert (application / "runs" / "sphere" / "trial_0001.log").stat().st_mtime == log.st_mtime
    assert "→" not in _swept(application, "hydra.sweeper.n_trials=5")  # nothing is run


def test_the_same_seed_draws_the_same_trials(tmp_path: Path) -> None:
    """Run in one go, or in two: what trial 3 draws does not depend on who asks."""
    drawn = []
    for name, parts in (("one", [4]), ("two", [2, 4])):
        (tmp_path / name).mkdir()
        folder = _application(tmp_path / name, "random")
        for count in parts:
            _swept(folder, f"hydra.sweeper.n_trials={count}", "hydra.sweeper.n_jobs=1")
        drawn.append([(row["x"], row["y"]) for row in _trials(folder)])
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) > 1


def test_a_grid_is_gone_through(tmp_path: Path) -> None:
    folder = _application(tmp_path, "grid", n_trials=100)
    _swept(folder, "hydra.sweeper.params.x='range(1,4)'")
    assert Counter((row["x"], row["y"]) for row in _trials(folder)) == {
        (str(x), str(y)): 1 for x in (1, 2, 3) for y in (-5, 0, 5)
    }


def test_failures_end_a_study_or_are_counted(application: Path) -> None:
    said = _swept(application, "fails_below=100", status=1)
    assert "trials failed: ValueError: x=" in said
    assert "max_failure_rate" in said
    (application / "runs").rename(application / "before")
    _swept(application, "fails_below=0", "hydra.sweeper.max_failure_rate=1")
    for row in _trials(application):
        below = float(row["x"]) < 0
        assert row["state"] == ("fail" if below else "complete")
        assert ("is too small" in row["reason"]) == below


def _children(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Return the processes of trials: those that lead a session."""
    found = psutil.Process(process.pid).children(recursive=True)
    return [child for child in found if child.is_running() and os.getsid(child.pid) == child.pid]


def _when_trials_run(process: "subprocess.Popen[str]", count: int) -> list[psutil.Process]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            found = _children(process)
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
        if len(found) == count:
            return found
        time.sleep(0.05)
    raise AssertionError(process.communicate()[0])


def test_a_trial_that_is_killed_is_begun_again(application: Path) -> None:
    with _start(application, "seconds=2", "hydra.sweeper.n_trials=3") as process:
        for child in _when_trials_run(process, 2):
            child.send_signal(signal.SIGKILL)
        said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said
    trials = _trials(application)
    assert [row["state"] for row in trials] == ["complete"] * 3
    assert len(_folders(application)) == 3


def test_a_trial_that_is_killed_every_time_fails(application: Path) -> None:
    typed = ["seconds=30", "hydra.sweeper.n_trials=1", "hydra.sweeper.retries=1", "hydra.sweeper.max_failure_rate=1"]
    with _start(application, *typed) as process:
        for _ in range(2):
            (child,) = _when_trials_run(process, 1)
            child.send_signal(signal.SIGKILL)
            child.wait(timeout=20)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    (row,) = _trials(application)
    assert (row["state"], row["reason"]) == ("fail", "its process was killed 2 times")


def test_a_sweeper_that_is_killed_leaves_nothing_running_and_is_continued(application: Path) -> None:
    with _start(application, "seconds=4", "hydra.sweeper.n_trials=3") as process:
        children = _when_trials_run(process, 2)
        time.sleep(1)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
    assert len(gone) == 2
    _swept(application, "seconds=4", "hydra.sweeper.n_trials=3")
    assert [row["state"] for row in _trials(application)] == ["complete"] * 3


def test_a_sweeper_that_is_interrupted_says_how_to_go_on(application: Path) -> None:
    with _start(application, "seconds=30", "hydra.sweeper.n_trials=3") as process:
        children = _when_trials_run(process, 2)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "The same command goes on" in said
    assert "Traceback" not in said
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive


def test_two_sweepers_share_a_study(application: Path) -> None:
    with _start(application, "seconds=0.3", "hydra.sweeper.n_trials=8") as one:
        with _start(application, "seconds=0.3", "hydra.sweeper.n_trials=8") as two:
            said = [process.communicate(timeout=200)[0] for process in (one, two)]
        assert one.returncode == two.returncode == 0, said
    told = Counter(line.split()[0] for text in said for line in text.splitlines() if line.startswith("trial_"))
    assert told == {f"trial_{number:04d}": 1 for number in range(8)}
    assert [row["state"] for row in _trials(application)] == ["complete"] * 8


def test_a_slot_is_not_kept_waiting_by_the_other(application: Path) -> None:
    """One trial of many seconds and many short ones on two slots: the short ones pass it."""
    seconds = (8, 0.1, 0.2, 0.3, 0.4, 0.5)
    params = [f"+hydra.sweeper.params.seconds='choice({','.join(map(str, seconds))})'", "hydra.sweeper.n_trials=6"]
    points = ",".join(f"{{seconds: {each}}}" for each in seconds)
    said = _swept(application, *params, f"hydra.sweeper.enqueue=[{points}]", "hydra.sweeper.sampler.seed=1")
    order = [line.split()[0] for line in said.splitlines() if line.startswith("trial_")]
    assert order[-1] == "trial_0000" or order.index("trial_0000") >= 3, said


@pytest.mark.parametrize("cores", [1, 2, 8])
def test_threads_are_shared_out(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)))
    assert slot_environment(0, 2)["OMP_NUM_THREADS"] == str(max(cores // 2, 1))


@pytest.mark.parametrize(("slots", "visible"), [(4, ["0", "1", "2", "3"]), (2, ["0,2", "1,3"]), (1, ["0,1,2,3"])])
def test_devices_are_shared_out(slots: int, visible: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("lightune.machine.gpu_count", lambda: 4)
    assert [slot_environment(slot, slots)["CUDA_VISIBLE_DEVICES"] for slot in range(slots)] == visible


def test_ranks_of_a_trial_have_its_values(tmp_path: Path) -> None:
    """Two processes by DDP: each rank runs the trial's command, not the sweep's."""
    typed = (
        "-m",
        "hydra/sweeper=lightune",
        "hydra.sweeper.n_trials=2",
        "hydra.sweeper.n_jobs=1",
        "hydra.sweeper.direction=maximize",
        "hydra.sweeper.warm=[lightune.run]",
        "run_dir=study",
        "optimizer.lr=tag(log, interval(1e-4, 1e-2))",
        "peft=lora,full",
        "task=ner",
        "trainer=ddp_cpu",
        "data.batch_size=4",
    )
    small = [word for word in running.SMALL if not word.startswith(("trainer=", "data.batch"))]
    with running.started("train", tmp_path, *typed, *small) as process:
        said, _ = process.communicate(timeout=400)
    assert process.returncode == 0, said
    trials = _trials(tmp_path, "study")
    assert len(trials) == 2
    for row in trials:
        run = tmp_path / "study" / row["trial"]
        assert float(row["value"]) == running.metrics(run)["val/f1"]
        kept: Any = OmegaConf.load(run / "config.yaml")
        assert kept.optimizer.lr == float(row["optimizer.lr"])
        assert f"peft={row['peft']}" in OmegaConf.load(run / "overrides.yaml")
    assert len({running.metrics(tmp_path / "study" / row["trial"])["tokens/total"] for row in trials}) == 1
    best = max(trials, key=lambda row: float(row["value"]))
    assert f"python train.py --config-dir {tmp_path / 'study'} experiment=best" in said
    again = command.run("train", ["--config-dir", str(tmp_path / "study"), "experiment=best", "--cfg", "job"], tmp_path)
    assert again.status == 0, again.err
    assert f"lr: {best['optimizer.lr']}" in again.out


@pytest.mark.parametrize("trainer", ["cpu", "ddp_cpu"])
def test_a_trial_that_is_not_promising_is_given_up(trainer: str, tmp_path: Path) -> None:
    """By all of its ranks, at the first validation; it leaves no result, and its process ends well."""
    typed = (
        "-m",
        "hparams_search=lr_only",
        "hydra/sweeper/pruner=threshold",
        "hydra.sweeper.pruner.lower=2",  # of an F1
        "hydra.sweeper.n_trials=1",
        "hydra.sweeper.study_name=study",
        "task=ner",
        f"trainer={trainer}",
        "data.batch_size=4",
    )
    small = [word for word in running.SMALL if not word.startswith(("trainer=", "data.batch"))]
    with running.started("train", tmp_path, *typed, *small) as process:
        said, _ = process.communicate(timeout=400)
    assert process.returncode == 0, said
    assert "→ given up" in said
    (row,) = _trials(tmp_path, "runs/study")
    run = tmp_path / "runs" / "study" / "trial_0000"
    assert row["state"] == "pruned"
    assert not (run / "metrics.json").exists()
    history = running.history(run)
    assert [line["epoch"] for line in history if "val/f1" in line] == ["0"]
    assert float(row["value"]) == pytest.approx(float(history[-1]["val/f1"]), abs=1e-6)


def test_a_study_is_not_continued_with_another_configuration(application: Path) -> None:
    _swept(application, "hydra.sweeper.n_trials=1", "z=1")
    said = _swept(application, "hydra.sweeper.n_trials=2", "z=2", status=1)
    assert "the study was begun with other overrides (z=1 z=2)" in said
    assert len(_trials(application)) == 1


def test_several_objectives_have_a_front(application: Path) -> None:
    script = application / "sphere.py"
    content = script.read_text(encoding="utf-8")
    script.write_text(content.replace("cfg.x**2 + cfg.y**2", "cfg.x**2, cfg.y**2"), encoding="utf-8")
    typed = ["hydra.sweeper.direction=[minimize,minimize]", "hydra/sweeper/sampler=nsgaii"]
    said = _swept(application, *typed, "hydra/sweeper/pruner=median", status=1)
    assert "several objectives cannot be given up" in said
    _swept(application, *typed)
    kept: Any = OmegaConf.load(application / "runs" / "sphere" / "optimization_results.yaml")
    assert {"value_0", "value_1"} <= _trials(application)[0].keys()
    for solution in kept.solutions:
        assert solution["values"] == [solution.params.x**2, solution.params.y**2]
