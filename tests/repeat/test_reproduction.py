"""A run once more: the same numbers, and what is said where they are not."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import running
from tests.command import run, trained

RUN = ("task=classification", "optimizer.lr=5e-3")


@pytest.fixture
def earlier(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """Return a copy of a finished run's folder."""
    base = tmp_path_factory.getbasetemp() / "reproduced"
    base.mkdir(exist_ok=True)
    return Path(shutil.copytree(trained(base, *RUN), tmp_path / "earlier"))


def _result(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "reproduction.json").read_text(encoding="utf-8"))
    return content


def test_the_same_numbers_are_found_whatever_conf_says_by_now(earlier: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((earlier / "config.yaml").read_text(encoding="utf-8"))
    assert config["optimizer"]["lr"] == 5e-3
    outcome = run("train", [f"reproduce={earlier}", "run_dir=again"], tmp_path)
    assert outcome.status == 0, outcome.err
    found = _result(tmp_path / "again")
    assert {each["verdict"] for each in found["numbers"].values()} == {"equal"}
    assert {"val/loss", "test/accuracy", "train/loss", "params/total"} <= set(found["numbers"])
    assert f"Reproduced: {len(found['numbers'])} of {len(found['numbers'])} numbers are equal.\n" in outcome.out
    again = yaml.safe_load((tmp_path / "again" / "config.yaml").read_text(encoding="utf-8"))
    assert {key: value for key, value in again.items() if key not in ("run_dir", "callbacks", "logger")} == {
        key: value for key, value in config.items() if key not in ("run_dir", "callbacks", "logger")
    }
    typed = yaml.safe_load((tmp_path / "again" / "overrides.yaml").read_text(encoding="utf-8"))
    assert typed == yaml.safe_load((earlier / "overrides.yaml").read_text(encoding="utf-8"))


def test_the_configuration_counts_and_not_what_conf_composes_now(earlier: Path, tmp_path: Path) -> None:
    path = earlier / "config.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["optimizer"]["weight_decay"] = 0.123
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    run("train", [f"reproduce={earlier}", "run_dir=again"], tmp_path)
    again = yaml.safe_load((tmp_path / "again" / "config.yaml").read_text(encoding="utf-8"))
    assert again["optimizer"]["weight_decay"] == 0.123


def test_other_numbers_and_what_is_not_as_it_was_are_told(earlier: Path, tmp_path: Path) -> None:
    environment = json.loads((earlier / "environment.json").read_text(encoding="utf-8"))
    environment["versions"]["torch"] = "1.0"
    (earlier / "environment.json").write_text(json.dumps(environment), encoding="utf-8")
    metrics = running.metrics(earlier)
    changed = {**metrics, "val/loss": metrics["val/loss"] + 3e-5, "test/gone": 1.0}
    (earlier / "metrics.json").write_text(json.dumps(changed), encoding="utf-8")
    outcome = run("train", [f"reproduce={earlier}", "run_dir=again", "seed=5"], tmp_path)
    assert outcome.status == 1
    found = _result(tmp_path / "again")
    assert found["numbers"]["test/gone"] == {"then": 1.0, "now": None, "difference": None, "verdict": "differs"}
    assert found["numbers"]["train/loss"]["verdict"] == "differs"
    assert found["differences"][-1] == "changed on purpose: seed=5"
    assert any(line.startswith("torch 1.0, now 2.") for line in found["differences"])
    before, _, after = outcome.out.partition("Choices")
    assert "torch 1.0, now" in before
    assert "changed on purpose: seed=5" in before
    assert "What is not as it was then" in after
    assert "numbers differ (train/loss" in outcome.err


def test_nearly_the_same_numbers_are_the_same(earlier: Path, tmp_path: Path) -> None:
    metrics = running.metrics(earlier)
    (earlier / "metrics.json").write_text(json.dumps({**metrics, "val/loss": metrics["val/loss"] + 3e-5}), "utf-8")
    outcome = run("train", [f"reproduce={earlier}", "run_dir=again"], tmp_path)
    assert outcome.status == 0, outcome.err
    assert _result(tmp_path / "again")["numbers"]["val/loss"]["verdict"] == "within 1e-4"
    assert "numbers are equal, the others within 0.0001." in outcome.out
