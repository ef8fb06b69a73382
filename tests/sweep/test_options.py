"""Options of a study on a real application: seeds, constraints, a baseline, a target, launchers."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from tests import running

# It returns a function of its numbers, and leaves what it measured as lightune's runs do.
APPLICATION = """
import json
from pathlib import Path
import hydra

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    folder = Path(cfg.run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps({"size": cfg.x * 10, "seed": cfg.seed, "name": "no number"}))
    return cfg.x + cfg.seed / 10

if __name__ == "__main__":
    main()
"""
CONFIGURATION = """
defaults:
  - override hydra/sweeper: lightune
  - override hydra/sweeper/sampler: tpe
hydra:
  sweep:
    dir: study
  output_subdir: null
  sweeper:
    sampler: {seed: 1}
    direction: maximize
    n_jobs: 2
x: 3
logger: {}
seed: 7
run_dir: null
"""


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """Return the folder of the application."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "main.py").write_text(APPLICATION, encoding="utf-8")
    (tmp_path / "conf" / "config.yaml").write_text(CONFIGURATION, encoding="utf-8")
    return tmp_path


def _swept(folder: Path, *typed: str, status: int = 0) -> str:
    words = [sys.executable, "main.py", "-m", "x=range(1,9)", *typed]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def _trials(folder: Path) -> list[dict[str, str]]:
    with (folder / "study" / "trials.csv").open(newline="", encoding="utf-8") as file:
        return [*csv.DictReader(file)]


def _run(folder: Path, *place: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(folder.joinpath("study", *place, "metrics.json").read_text(encoding="utf-8"))
    return content


def test_a_trial_is_the_mean_of_its_seeds_and_keeps_to_constraints(application: Path) -> None:
    typed = ["hydra.sweeper.seeds=3", "hydra.sweeper.baseline=true", "hydra.sweeper.n_trials=5"]
    said = _swept(application, *typed, "hydra.sweeper.constraints=['size <= 40']")
    trials = _trials(application)
    assert trials[0]["x"] == "3"  # as it is configured
    for row in trials:
        assert float(row["value"]) == pytest.approx(float(row["x"]) + 0.8)  # the mean of 0.7, 0.8 and 0.9
        for seed in (7, 8, 9):
            assert _run(application, row["trial"], f"seed_{seed}")["seed"] == seed
    allowed = max(float(row["value"]) for row in trials if float(row["x"]) <= 4)
    assert any(float(row["x"]) > 4 for row in trials)
    found: Any = OmegaConf.load(application / "study" / "optimization_results.yaml")
    assert found.best_value == pytest.approx(allowed)
    assert f"best {allowed:.6g}" in said
    # Two more trials, with the same words.
    _swept(application, *typed[:2], "hydra.sweeper.n_trials=7", "hydra.sweeper.constraints=['size <= 40']")
    assert _trials(application)[:5] == trials
    assert len(_trials(application)) == 7


def test_a_study_is_a_run_of_weights_and_biases(application: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One, beside those of its trials, with the table of them; however often the study goes on."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    for count in (1, 2):
        _swept(application, "+logger.wandb={project: p, tags: [t]}", f"hydra.sweeper.n_trials={count}")
    files = running.wandb_records(application / "study")
    runs = [record.run for records in files for record in records if record.WhichOneof("record_type") == "run"]
    assert {(r.run_id, r.display_name, r.run_group, r.job_type, r.project) for r in runs} == {
        ("study-summary", "summary", "study", "study", "p")
    }
    assert len(files) == 2
    updates = [r.summary.update for r in files[-1] if r.WhichOneof("record_type") == "summary"]
    summary = {item.key: json.loads(item.value_json) for update in updates for item in update}
    best = max(_trials(application), key=lambda row: float(row["value"]))
    assert (summary["trials/complete"], summary["best/value"], summary["best/x"]) == (
        2,
        pytest.approx(float(best["value"])),
        int(best["x"]),
    )
    (table,) = [*(application / "study" / "wandb").glob("latest-run/files/media/table/trials_*.json")]
    content = json.loads(table.read_text(encoding="utf-8"))
    assert [dict(zip(content["columns"], row, strict=True)) for row in content["data"]] == _trials(application)


def test_seeds_by_name(application: Path) -> None:
    _swept(application, "hydra.sweeper.seeds=[1,5]", "hydra.sweeper.n_trials=1", "hydra.sweeper.n_jobs=1")
    (row,) = _trials(application)
    assert float(row["value"]) == pytest.approx(float(row["x"]) + 0.3)
    assert sorted(entry.name for entry in (application / "study" / row["trial"]).iterdir()) == ["seed_1", "seed_5"]


def test_a_study_ends_at_its_target(application: Path) -> None:
    typed = ["hydra.sweeper.n_trials=50", "hydra.sweeper.target=5", "hydra.sweeper.n_jobs=1"]
    said = _swept(application, *typed)
    trials = _trials(application)
    assert [float(row["value"]) >= 5 for row in trials] == [False] * (len(trials) - 1) + [True]
    assert f"The study has ended early: {trials[-1]['value']} reaches the target, 5" in said
    assert "→" not in _swept(application, *typed)
    assert len(_trials(application)) == len(trials)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("hydra.sweeper.constraints=['size < 4']", "'size < 4' is no condition"),
        ("hydra.sweeper.constraints=['size <= 4'] hydra/sweeper/sampler=random", "RandomSampler does not look at them"),
        ("hydra.sweeper.direction=[maximize,minimize] hydra.sweeper.patience=3", "none is the one to watch"),
    ],
)
def test_what_cannot_be_is_refused(typed: str, message: str, application: Path) -> None:
    said = _swept(application, *typed.replace("' ", "'\n").replace("] ", "]\n").split("\n"), status=1)
    assert message in said
    assert not [*application.glob("study/trial_*")]


def test_a_constraint_on_what_is_not_measured_fails_a_trial(application: Path) -> None:
    typed = ["hydra.sweeper.n_trials=1", "hydra.sweeper.max_failure_rate=1"]
    _swept(application, "hydra.sweeper.constraints=['sise <= 4']", *typed)
    assert _trials(application)[0]["reason"].startswith("it measured no sise: did you mean 'size'")


@pytest.mark.parametrize("launcher", ["submitit_local", "joblib"])
def test_trials_through_a_launcher(launcher: str, application: Path) -> None:
    """Each is a job of the launcher's, with its own folder; the study does not notice."""
    pytest.importorskip(f"hydra_plugins.hydra_{launcher.split('_')[0]}_launcher")
    _swept(application, f"hydra/launcher={launcher}", "hydra.sweeper.n_trials=3")
    trials = _trials(application)
    assert len(trials) == 3
    for row in trials:
        assert row["state"] == "complete"
        assert float(row["value"]) == pytest.approx(float(row["x"]) + 0.7)
        assert _run(application, row["trial"])["size"] == 10 * int(row["x"])
