"""What does not train does not wait for torch: help, the composed configuration, and every refusal of a command."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import ROOT
from tests.running import SMALL

HEAVY = {
    "torch",
    "transformers",
    "lightning",
    "datasets",
    "peft",
    "pyarrow",
    "numpy",
    "matplotlib",
    "optuna",
    "plotly",
    "jinja2",
}
# Runs a script as Python does, and prints at the very end what was imported meanwhile.
LISTING = """
import atexit, runpy, sys
atexit.register(lambda: print("IMPORTED", *sys.modules, file=sys.stderr))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
BARE = """
import hydra

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    print(cfg)

main()
"""
LIMIT = 1.6
PAIRS = 5


TASKS = ", ".join(sorted(file.stem for file in (ROOT / "conf" / "task").glob("*.yaml")))


@pytest.mark.parametrize(
    ("command", "status", "shows"),
    [
        ("train.py --help", 0, f"task: {TASKS}"),
        ("eval.py --help", 0, "checkpoint"),
        ("train.py --cfg job", 0, "_target_: lightune.tasks.qa.QuestionAnswering"),
        ("train.py --cfg job --resolve task=ner", 0, "monitor: val/f1"),
        ("train.py sed=3", 1, "sed: there is no such key"),
        ("train.py task=qq", 1, "task=qq: there is no such option"),
        ("train.py model=t5-small", 1, "task=qa does not work on an encoder-decoder"),
        ("train.py data=files data.train=no.csv", 1, "data.train=no.csv: there is no such file"),
        ("train.py -m trainer=ddp seed=1,2", 1, "-m with DDP"),
        ("train.py resume=latest", 1, "no checkpoint lies under runs"),
        ("eval.py", 1, "nothing to evaluate was named"),
    ],
)
def test_nothing_heavy_is_imported(command: str, status: int, shows: str, tmp_path: Path) -> None:
    script, *arguments = command.split()
    ended = subprocess.run(
        [sys.executable, "-c", LISTING, str(ROOT / script), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    printed, _, imported = ended.stderr.rpartition("IMPORTED ")
    assert ended.returncode == status
    assert shows in ended.stdout + printed
    assert "hydra" in imported.split()  # the list is the real one
    assert HEAVY & set(imported.split()) == set()


def test_a_sweep_imports_nothing_that_its_trials_alone_need() -> None:
    code = "import sys, lightune.sweep.sweep; print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "optuna" in imported
    assert (HEAVY - {"numpy", "optuna"}) & set(imported) == set()


def seconds(script: Path) -> float:
    """Return the processor time of ``--help``, which other processes disturb less than the clock's."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, str(script), "--help"], env=environment, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def test_help_takes_little_more_than_that_of_a_bare_hydra_app(tmp_path: Path) -> None:
    bare = tmp_path / "app.py"
    bare.write_text(BARE, encoding="utf-8")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text("{}\n", encoding="utf-8")
    pairs = [(seconds(ROOT / "train.py"), seconds(bare)) for _ in range(PAIRS)]
    ours, theirs = (min(times) for times in zip(*pairs, strict=True))
    assert ours <= LIMIT * theirs, f"{ours:.2f} s, a bare app {theirs:.2f} s"


def test_libraries_say_nothing_of_what_is_not_there(tmp_path: Path) -> None:
    """A machine without a GPU lacks kernels, and the first line of a run is not about them."""
    typed = [*SMALL, "task=classification", "check=true"]
    ended = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *typed], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0
    assert ended.stderr == ""
