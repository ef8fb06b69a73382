"""The report of real runs: what stands on the page is what their files say."""

import html
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf
from scipy import stats

from lightune.errors import DataError
from lightune.report.runs.command import write
from tests import command, running
from tests.pages import Page, Part

NAMES = ["full/1", "full/2", "lora"]
NASTY = "<script>alert('größer & 日本')</script>"


@pytest.fixture(scope="module")
def place(three: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write([three], tmp_path_factory.mktemp("report") / "some" / "page.html")


@pytest.fixture(scope="module")
def parts(place: Path) -> dict[str, Part]:
    return Page(place.read_text(encoding="utf-8")).parts


@pytest.fixture
def copied(three: Path, tmp_path: Path) -> Path:
    """Return a copy that may be changed; without checkpoints, which are large."""
    return shutil.copytree(three, tmp_path / "runs", ignore=shutil.ignore_patterns("checkpoints", "model"))


def shown(folder: Path) -> dict[str, Part]:
    return Page(write([folder]).read_text(encoding="utf-8")).parts


def f1_of(run: Path) -> float:
    return running.metrics(run)["test/f1_macro"]


def rows_of(run: Path, table: str) -> list[dict[str, Any]]:
    return json.loads((run / f"test_{table}.json").read_text(encoding="utf-8"))


def test_all_sections_are_there(parts: dict[str, Part]) -> None:
    assert list(parts) == [
        "Runs",
        "Configuration: classification",
        "Results: classification",
        "Comparison: classification",
        "Curves: classification",
        "Throughput and memory",
        "Labels: classification",
        "Confusion: classification",
        "Differences: classification",
        "Commands and files",
    ]


def test_run_table_has_the_files_numbers(parts: dict[str, Part], three: Path) -> None:
    table = parts["Runs"]
    found = [running.metrics(three / name) for name in NAMES]
    assert table.cells("run") == NAMES
    assert table.cells("seed") == ["1", "2", "1"]
    assert table.cells("peft") == ["full", "full", "lora"]
    assert set(table.cells("model")) == {"tiny"}
    assert table.cells("val/f1_macro") == [f"{each['val/f1_macro']:.4f}" for each in found]
    assert table.cells("test/f1_macro") == [f"{each['test/f1_macro']:.4f}" for each in found]
    assert table.cells("trained") == [f"{each['params/trainable']:,}" for each in found]
    assert table.cells("tokens/s") == [f"{each['tokens/total'] / each['time/train_s']:,.0f}" for each in found]
    assert table.cells("steps") == ["10"] * 3  # two epochs of 40 examples in batches of 8
    assert table.inputs == ["filter"]


def test_links_lead_to_the_runs_files(parts: dict[str, Part], place: Path) -> None:
    links = [*parts["Runs"].links, *parts["Commands and files"].links]
    assert len(links) == 3 * (1 + 7)
    assert [link for link in links if link.startswith("/") or not (place.parent / link).exists()] == []


def test_commands_compose_what_the_runs_were(parts: dict[str, Part], three: Path) -> None:
    for name, typed in zip(NAMES, parts["Commands and files"].cells("command"), strict=True):
        python, script, *overrides = shlex.split(typed)
        composed = OmegaConf.to_container(command.composed(*overrides), resolve=True)
        was = yaml.safe_load((three / name / "config.yaml").read_text(encoding="utf-8"))
        assert (python, script) == ("python", "train.py")
        assert isinstance(composed, dict)
        for key in ("seed", "peft", "optimizer", "data", "trainer"):
            assert composed[key] == was[key]


def test_configuration_shows_what_differs_alone(parts: dict[str, Part], three: Path) -> None:
    table = parts["Configuration: classification"]
    keys = table.cells("key")
    assert table.columns == ["key", "peft=full", "peft=lora"]
    assert "peft._target_" in keys
    assert {key.split(".")[0] for key in keys} == {"peft"}
    assert table.rows[keys.index("peft._target_")][1:] == ["lightune.adapt.Full", "lightune.adapt.Adapter"]


def test_seeds_are_summed_up_by_students_interval(parts: dict[str, Part], three: Path) -> None:
    values = [f1_of(three / name) for name in NAMES[:2]]
    margin = stats.t.ppf(0.975, 1) * stats.sem(values)
    table = parts["Results: classification"]
    result = dict(zip(table.cells("system"), table.cells("test/f1_macro"), strict=True))
    assert result["peft=full"] == f"{fmean(values):.4f} ± {margin:.4f}"
    assert result["peft=lora"] == f"{f1_of(three / 'lora'):.4f}"
    assert dict(zip(table.cells("system"), table.cells("seeds"), strict=True)) == {
        "peft=full": "1, 2",
        "peft=lora": "1",
    }


def test_comparison_is_between_systems(parts: dict[str, Part], three: Path) -> None:
    table = parts["Comparison: classification"]
    difference = fmean(f1_of(three / name) for name in NAMES[:2]) - f1_of(three / "lora")
    (row,) = table.rows
    found = dict(zip(table.columns, row, strict=True))
    assert [found["better"], found["other"]] == sorted(["peft=full", "peft=lora"], reverse=difference < 0)
    assert float(found["difference"]) == pytest.approx(abs(difference), abs=1e-4)
    low, high = map(float, found["95 % interval"].split(" … "))
    assert low <= float(found["difference"]) <= high
    assert found["test"] == "bootstrap"
    assert 0 < float(found["p"]) == float(found["p (Holm)"]) <= 1


def test_curves_are_the_logged_values(parts: dict[str, Part], three: Path) -> None:
    lines = parts["Curves: classification"].lines("optimiser step", "train/loss")
    assert [line["y"] for line in lines] == [pytest.approx(running.losses(three / name)[:10]) for name in NAMES]
    assert lines[0]["x"] == [*range(1, 11)]
    assert {line["meta"] for line in lines} == {"smoothed"}
    assert len({line["line"]["color"] for line in lines[:2]}) == 1
    assert parts["Curves: classification"].inputs == ["smoothing"]


def test_validations_are_drawn_where_they_were_made(parts: dict[str, Part], three: Path) -> None:
    lines = parts["Curves: classification"].lines("tokens trained on", "val/f1_macro")
    rows = running.history(three / "lora")[:-1]
    assert lines[2]["y"] == [float(row["val/f1_macro"]) for row in rows if "val/f1_macro" in row]
    assert lines[2]["x"][-1] == running.metrics(three / "lora")["tokens/total"]
    assert lines[2]["x"][0] == float(rows[4]["train/tokens"])


def test_bars_are_the_tables_values(parts: dict[str, Part], three: Path) -> None:
    ((full, lora),) = [figure["data"] for figure in parts["Labels: classification"].figures]
    tables = [{row["label"]: row["f1"] for row in rows_of(three / name, "per_class")} for name in NAMES]
    assert full["x"] == [pytest.approx(fmean(table[label] for table in tables[:2])) for label in full["y"]]
    assert dict(zip(lora["y"], lora["x"], strict=True)) == tables[2]


def test_matrices_hold_the_counts(parts: dict[str, Part], three: Path) -> None:
    figures = parts["Confusion: classification"].figures
    assert len(figures) == 2
    rows = rows_of(three / "lora", "confusion")
    assert figures[1]["data"][0]["customdata"] == [[*row["predicted"].values()] for row in rows]


def test_examples_are_those_that_one_gets_right_alone(parts: dict[str, Part], three: Path) -> None:
    table = parts["Differences: classification"]
    best = max(NAMES[:2], key=lambda name: running.metrics(three / name)["val/f1_macro"])
    runs = {"peft=full": running.predictions(three / best), "peft=lora": running.predictions(three / "lora")}
    right = {label: {row["id"] for row in rows if row["prediction"] == row["target"]} for label, rows in runs.items()}
    expected = {
        (one, other, example)
        for one, other in (("peft=full", "peft=lora"), ("peft=lora", "peft=full"))
        for example in right[one] - right[other]
    }
    columns = ("better", "worse", "example")
    assert {tuple(row) for row in zip(*map(table.cells, columns), strict=True)} == expected
    assert expected or "same examples" in table.text


def test_tables_for_documents_lie_beside_the_page(place: Path, three: Path) -> None:
    value = f"{f1_of(three / 'lora'):.4f}"
    markdown = place.with_suffix(".md").read_text(encoding="utf-8").splitlines()
    latex = place.with_suffix(".tex").read_text(encoding="utf-8").splitlines()
    assert [line.count("|") for line in markdown[2:]] == [5] * 4
    assert any(line.startswith(f"| peft=lora | 1 | {value} |") for line in markdown)
    assert any(line.startswith(f"peft=lora & 1 & {value} &") and line.endswith(r"\\") for line in latex)
    assert r"system & runs & f1\_macro & trained parameters \\" in latex


def test_whatever_a_run_holds_is_shown_as_text(copied: Path, tmp_path: Path) -> None:
    run = copied / "lora"
    rows = [{**row, "id": NASTY, "prediction": NASTY} for row in running.predictions(run)]
    (run / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (run / "overrides.yaml").write_text(yaml.safe_dump([f"task.columns.id={NASTY}"]), encoding="utf-8")
    table = [{"label": NASTY, "f1": 0.5, "support": 3}]
    (run / "test_per_class.json").write_text(json.dumps(table), encoding="utf-8")
    run.rename(copied / "<b>&")
    text = write([copied]).read_text(encoding="utf-8")
    page = Page(text)
    assert NASTY not in text
    assert "<b>&" not in text
    assert "<b>&" in page.parts["Runs"].cells("run")
    typed = shlex.split(page.parts["Commands and files"].cells("command")[0])
    assert typed[-1] == f"task.columns.id={NASTY}"
    bars = [figure["data"] for title, part in page.parts.items() if "Labels" in title for figure in part.figures]
    assert html.escape(NASTY) in [label for data in bars for bar in data for label in bar["y"]]


def test_a_damaged_run_is_named_and_left_out(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copied / "lora" / "metrics.json").write_text('{"test/f1_macro": 0.', encoding="utf-8")
    parts = shown(copied)
    assert parts["Runs"].cells("run") == NAMES[:2]
    assert "lora/metrics.json: cannot be read" in parts["Runs"].text
    assert "lora/metrics.json: cannot be read" in capsys.readouterr().out.replace("\n", "")


@pytest.mark.parametrize("name", ["history.csv", "predictions.jsonl", "test_confusion.json"])
def test_a_damaged_file_costs_only_what_is_made_of_it(name: str, copied: Path) -> None:
    (copied / "lora" / name).write_text("step,train/loss\n{", encoding="utf-8")
    parts = shown(copied)
    assert len(parts["Runs"].rows) == 3
    assert f"lora/{name} cannot be read" in parts["Commands and files"].text


def test_an_unfinished_run_is_shown_without_numbers(copied: Path) -> None:
    run = copied / "lora"
    for name in ("metrics.json", "predictions.jsonl", "test_confusion.json", "test_per_class.json"):
        (run / name).unlink()
    lines = (run / "history.csv").read_text(encoding="utf-8").splitlines()
    (run / "history.csv").write_text(
        "\n".join(lines[:-1]) + "\n", encoding="utf-8"
    )  # without what is written at the end
    parts = shown(copied)
    assert parts["Runs"].cells("test/f1_macro")[2] == ""
    assert parts["Runs"].cells("steps")[2] == "10"
    assert len(parts["Curves: classification"].lines("optimiser step", "train/loss")) == 3
    assert "Comparison: classification" not in parts


def test_a_run_that_has_only_begun_is_shown(copied: Path) -> None:
    for file in (copied / "lora").iterdir():
        if file.name not in {"config.yaml", "overrides.yaml", "environment.json"}:
            file.unlink()
    parts = shown(copied / "lora")
    assert parts["Runs"].cells("steps") == [""]
    assert "Nothing was logged" in parts["Curves: classification"].text
    assert "No run has ended" in parts["Throughput and memory"].text


def test_runs_of_other_test_sets_are_not_compared(copied: Path) -> None:
    path = copied / "lora" / "predictions.jsonl"
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")
    parts = shown(copied)
    assert {"Results: classification (1)", "Results: classification (2)"} < parts.keys()
    assert not any(title.startswith("Comparison") for title in parts)


def test_numbers_that_predictions_do_not_give_are_not_compared(copied: Path) -> None:
    path = copied / "lora" / "metrics.json"
    path.write_text(json.dumps({**running.metrics(copied / "lora"), "test/f1_macro": 0.987}), encoding="utf-8")
    assert "cannot be had again" in shown(copied)["Comparison: classification"].text


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("nothing", "there is no such folder"),
        ("file.txt", "this is no folder"),
        ("empty", "no run lies in or below this folder"),
        ("damaged", "cannot be read"),
    ],
)
def test_what_cannot_be_reported_is_told_and_nothing_written(
    named: str, says: str, copied: Path, tmp_path: Path
) -> None:
    (tmp_path / "file.txt").touch()
    (tmp_path / "empty").mkdir()
    shutil.move(copied / "lora", tmp_path / "damaged")
    (tmp_path / "damaged" / "config.yaml").write_text("a: [", encoding="utf-8")
    outcome = command.run("report", [str(tmp_path / named), "--output", "page.html"], tmp_path)
    assert outcome.status == 1
    assert not list(tmp_path.glob("page.*"))
    with pytest.raises(DataError, match=says):
        write([tmp_path / named])


def test_a_run_and_all_runs_below_a_folder_are_found(copied: Path, tmp_path: Path) -> None:
    shutil.copytree(copied / "lora", copied / "study" / "trial_0007")
    shutil.copytree(copied / "lora", copied / ".hidden" / "run")
    (copied / "lora" / "eval_test_x").mkdir()
    (copied / "lora" / "eval_test_x" / "metrics.json").write_text("{}", encoding="utf-8")
    outcome = command.run("report", [str(copied / "study"), str(copied / "lora"), str(copied / "lora")], tmp_path)
    assert outcome.status == 0, outcome.err
    parts = Page((copied / "report.html").read_text(encoding="utf-8")).parts
    assert parts["Runs"].cells("run") == ["study/trial_0007", "lora"]
    assert len(shown(copied)["Runs"].rows) == 4
    assert shown(copied / "lora")["Runs"].cells("run") == ["lora"]


def test_a_studys_own_report_stays(copied: Path) -> None:
    (copied / "trials.csv").touch()
    assert write([copied]).name == "runs.html"
    assert not (copied / "report.html").exists()


def test_a_report_needs_no_torch(three: Path, tmp_path: Path) -> None:
    listing = "import sys; from lightune.report.runs.command import main; main(); print('torch' in sys.modules)"
    arguments = [str(three), "--output", "a.html", "--markdown", "b.md", "--latex", "c.tex"]
    ended = subprocess.run([sys.executable, "-c", listing, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert ended.stdout.endswith("False\n"), ended.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.md", "c.tex"]


def test_the_same_runs_make_the_same_page(three: Path, place: Path) -> None:
    before = place.read_bytes()
    assert np.array_equal(before, write([three], place).read_bytes())
