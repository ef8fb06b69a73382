"""A W&B workspace and a report: what they show is what runs have really logged, and without a server all is told."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lightune.report import workspace
from lightune.report.runs.found import find
from tests import running
from tests.command import ROOT

ME = ("--entity", "me", "--project", "lightune")


def _train(folder: Path) -> None:
    for rate in ("5e-4", "5e-3"):
        running.train(folder / rate, "task=classification", "logger=[csv,wandb]", f"optimizer.lr={rate}")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of two runs that differ in their learning rate, which W&B has recorded offline."""
    return running.once(tmp_path_factory, "recorded", _train)


@pytest.fixture(scope="module")
def spec(runs: Path) -> dict[str, Any]:
    """Return what would be sent."""
    return workspace.serialised(*workspace.build(find([runs]).runs, "me", "lightune", "Comparison"))


def panels_of(spec: dict[str, Any], kind: str | None = None) -> list[dict[str, Any]]:
    """Return the panels of the workspace, or those of a kind."""
    sections = spec["workspace"]["spec"]["section"]["panelBankConfig"]["sections"]
    return [panel for section in sections for panel in section["panels"] if kind in (None, panel["viewType"])]


def recorded(runs: Path, kind: str) -> Iterator[set[str]]:
    """Yield the names in each record of a kind: those that W&B's history holds beside each other, a summary's."""
    for folder in runs.iterdir():
        for record in running.wandb_records(folder)[0]:
            if record.WhichOneof("record_type") == kind:
                content = getattr(record, kind)
                items = content.item if kind == "history" else content.update
                yield {item.key or ".".join(item.nested_key) for item in items}


def test_curves_are_of_what_is_logged_together(spec: dict[str, Any], runs: Path) -> None:
    plots = [panel["config"] for panel in panels_of(spec, "Run History Line Plot")]
    rows = [*recorded(runs, "history")]
    drawn = {(plot["xAxis"], *plot["metrics"]) for plot in plots}
    assert {
        ("train/tokens", "val/f1_macro"),
        ("trainer/global_step", "val/f1_macro"),
        ("train/tokens", "train/loss"),
        ("trainer/global_step", "lr-AdamW/head"),
        ("trainer/global_step", "train/grad_norm"),
    } <= drawn
    assert [pair for pair in drawn if not any(set(pair) <= row for row in rows)] == []


def test_every_number_of_a_run_that_is_shown_is_in_its_summary(spec: dict[str, Any], runs: Path) -> None:
    (scatter,) = panels_of(spec, "Scatter Plot")
    assert [scatter["config"][axis] for axis in ("xAxis", "yAxis")] == [
        "summary:params/trainable",
        "summary:test/f1_macro",
    ]
    (parallel,) = panels_of(spec, "Parallel Coordinates Plot")
    columns = [column["accessor"] for column in parallel["config"]["columns"]]
    bars = [name for panel in panels_of(spec, "Bar Chart") for name in panel["config"]["metrics"]]
    assert bars == ["time/train_s", "memory/peak_rss_mb"]
    named = [*bars, *(name.removeprefix("summary:") for name in (*columns, "summary:params/trainable"))]
    summaries = set().union(*recorded(runs, "summary"))
    assert [name for name in named if not name.startswith("config:") and name not in summaries] == []


def test_pictures_and_predictions_are_those_that_were_logged(spec: dict[str, Any], runs: Path) -> None:
    (pictures,) = panels_of(spec, "Media Browser")
    assert pictures["config"]["mediaKeys"] == ["test/calibration_picture", "test/confusion_picture"]
    (table,) = panels_of(spec, "Weave")
    assert "test/predictions" in json.dumps(table["config"])
    summaries = set().union(*recorded(runs, "summary"))
    assert {*pictures["config"]["mediaKeys"], "test/predictions"} <= {name.partition(".")[0] for name in summaries}


def test_settings_are_those_that_differ_as_they_are_recorded(spec: dict[str, Any], runs: Path) -> None:
    (parallel,) = panels_of(spec, "Parallel Coordinates Plot")
    columns = [column["accessor"] for column in parallel["config"]["columns"]]
    assert columns == ["config:optimizer.lr.value", "summary:val/f1_macro"]
    assert any("optimizer.lr" in names for names in recorded(runs, "config"))  # one name, not one level in another


def test_runs_are_grouped_as_they_are_recorded(spec: dict[str, Any]) -> None:
    (of_workspace,) = spec["workspace"]["spec"]["section"]["runSets"]
    assert of_workspace["grouping"] == [{"section": "run", "name": "group"}]
    grids = [block for block in spec["report"]["spec"]["blocks"] if block["type"] == "panel-grid"]
    for grid in grids:
        (runset,) = grid["metadata"]["runSets"]
        assert runset["grouping"] == [{"section": "run", "name": "group"}]


def test_a_report_has_the_panels_of_the_workspace_and_none_covers_another(spec: dict[str, Any]) -> None:
    grids = [block["metadata"] for block in spec["report"]["spec"]["blocks"] if block["type"] == "panel-grid"]
    shown = [panel["config"] for grid in grids for panel in grid["panelBankSectionConfig"]["panels"]]
    assert shown == [panel["config"] for panel in panels_of(spec)]
    for grid in grids:
        places = [tuple(panel["layout"].values()) for panel in grid["panelBankSectionConfig"]["panels"]]
        assert len({place[:2] for place in places}) == len(places)


def test_what_was_not_logged_has_no_panel(runs: Path) -> None:
    (whole,) = find([runs / "5e-3"]).runs
    run = replace(whole, metrics={}, folder=runs / "none")  # one that died before anything was logged
    run.history.clear()
    found = workspace.serialised(*workspace.build([run], "me", "lightune", "Comparison"))
    assert [panel["viewType"] for panel in panels_of(found)] == ["Run Comparer"]


def test_a_file_takes_what_would_be_sent(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "spec.json"
    workspace.main([str(runs), *ME, "--output", str(file)])
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["workspace"]["entity"] == "me"
    assert found["report"]["displayName"] == "Comparison of classification"
    workspace.main([str(runs), *ME, "--dry-run"])
    assert f"7 sections with {len(panels_of(found))} panels can be built" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"WANDB_MODE": "offline"}, "there is no login"),
        (
            {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_HTTP_TIMEOUT": "2"},
            "did not take it",
        ),
    ],
)
def test_without_login_or_server_there_is_a_hint(
    environment: dict[str, str], says: str, runs: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "lightune.report.workspace", str(runs), *ME]
    own = {"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "src"), **environment}
    ended = subprocess.run(command, env=own, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert says in ended.stderr
    assert "--output spec.json" in ended.stderr


def test_an_entity_is_asked_for(runs: Path) -> None:
    with pytest.raises(SystemExit, match=r"--entity: expected.*\n.*ENTITY=me"):
        workspace.main([str(runs), "--entity", ""])


def test_wandb_workspaces_may_be_missing(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "lightune.report.panels"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("lightune.report.panels", raising=False)
    monkeypatch.setitem(sys.modules, "wandb_workspaces.reports.v2", None)
    with pytest.raises(SystemExit, match=r"not installed\n.*pip install"):
        workspace.main([str(runs), *ME, "--dry-run"])
