"""The report of a study: a file that loads nothing, with every trial, and a reason for each figure that is missing."""

import csv
import json
import math
import re
import warnings
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from matplotlib.image import imread
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import RandomSampler
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState

from lightune.report.page import Cell, Section, Table, page
from lightune.sweep import figures
from lightune.sweep import report as reports
from lightune.sweep.pictures import picture
from lightune.sweep.results import write_results
from lightune.sweep.shown import shown, spread
from lightune.sweep.study import REASON, WORDS

NASTY = "<script>alert('größer ≤ 日本')</script>"
GROUPS = {"experiment", "peft"}
KINDS = [kind.title for kind in reports.KINDS]


class Parsed(HTMLParser):
    """What a page consists of, as a browser would read it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sections: dict[str, str] = {}  # title → its text
        self.scripts: list[str] = []
        self.figures: list[tuple[str, Any]] = []  # section, figure
        self.rows: list[list[str]] = []
        self.attributes: list[tuple[str, str]] = []
        self._open: list[str] = []
        self._section = ""
        self._is_figure = False
        self.feed(text)
        assert not self._open, "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "meta":
            return
        self._open.append(tag)
        if tag == "script":
            self.scripts.append("")
            self._is_figure = dict(attrs) == {"type": "application/json"}
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag == "script" and self._is_figure:
            self.figures.append((self._section, json.loads(self.scripts[-1])))

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside == "script":
            self.scripts[-1] += data
        elif inside == "h2":
            self._section = data
            self.sections[data] = ""
        elif self._section:
            self.sections[self._section] += data
        if "td" in self._open:
            self.rows[-1][-1] += data


def learned(trial: Trial) -> float:
    """Report on the way to a value that two of five parameters decide, and a third one hardly."""
    rate = trial.suggest_float("optimizer.lr", 1e-5, 1e-1, log=True)
    decay = trial.suggest_float("optimizer.weight_decay_of_a_long_name.inside", 0, 1)
    trial.suggest_categorical("peft", ["lora", NASTY, "it's 5 > 3 & $x$"])
    trial.suggest_categorical("model.checkpointing", [True, False, None])
    trial.suggest_int("same", 3, 3)
    trial.set_user_attr(WORDS, [f"optimizer.lr={rate}"])
    if trial.number % 8 == 7:
        trial.set_user_attr(REASON, f"ValueError: {NASTY}")
        raise ValueError
    best = -abs(math.log10(rate) + 3) - 0.1 * decay
    for step in (50, 100, 150):
        trial.report(best - 10 / step, step)
        if step == 100 and trial.should_prune():
            raise optuna.TrialPruned
    return best


def two(trial: Trial) -> tuple[float, float]:
    x = trial.suggest_float("x", 0, 1)
    y = trial.suggest_float("y", 0, 1)
    return x, x + y


def one(trial: Trial) -> float:
    return trial.suggest_float("x", 0, 1)


def failing(trial: Trial) -> float:
    trial.suggest_float("x", 0, 1)
    trial.set_user_attr(REASON, "ValueError: x")
    raise ValueError


def studied(objective: Callable[[Trial], Any], n_trials: int, *directions: StudyDirection) -> optuna.Study:
    study = optuna.create_study(
        study_name="a study",
        directions=directions or [StudyDirection.MAXIMIZE],
        sampler=RandomSampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=60),
    )
    study.optimize(objective, n_trials, catch=ValueError)
    return study


def reported(study: optuna.Study, again: str = "") -> tuple[str, Parsed]:
    text = reports.report(shown(study), ["task=ner", f"name={NASTY}"], again)
    return text, Parsed(text)


def left_out(parsed: Parsed) -> dict[str, str]:
    return {title: text.strip() for title, text in parsed.sections.items() if "Left out" in text}


@pytest.fixture(scope="module")
def search() -> optuna.Study:
    return studied(learned, 32)


@pytest.fixture(scope="module")
def text(search: optuna.Study) -> str:
    return reported(search, f"python train.py --config-dir 'a {NASTY}' experiment=best")[0]


@pytest.fixture(scope="module")
def parsed(text: str) -> Parsed:
    return Parsed(text)


def test_every_section_has_its_figures(parsed: Parsed) -> None:
    assert [*parsed.sections] == ["Best trial", *KINDS, "Trials"]
    assert left_out(parsed) == {}
    counts = {title: sum(section == title for section, _ in parsed.figures) for title in KINDS}
    # Four parameters vary, and those of every pair of three are drawn against each other.
    assert counts == dict.fromkeys(KINDS, 1) | {"Slices": 4, "Contours": 3}


def test_nothing_is_loaded(text: str, parsed: Parsed) -> None:
    links = [value for name, value in parsed.attributes if name in ("src", "href", "srcset", "action", "data")]
    assert links
    assert [link for link in links if not re.fullmatch(r"#[\w-]+|trial_\d{4}(/|\.log)", link)] == []
    assert ("http-equiv", "Content-Security-Policy") in parsed.attributes
    style = text[text.index("<style>") : text.index("</style>")]
    assert not re.search(r"@import|url\(|http", style)
    own = parsed.scripts[-1]  # behind those of plotly
    assert "http" not in own
    assert "showSendToCloud: false" in own


def test_plotly_is_there_once(text: str, parsed: Parsed) -> None:
    from plotly.offline import get_plotlyjs

    assert text.count(get_plotlyjs()) == 1
    assert [script[:200].count("plotly.js v") for script in parsed.scripts].count(1) == 1
    none = page("empty", "", [Section("a", table=Table(["b"], [[Cell("c")]]))])
    assert len(none) < 20_000  # without a figure it is left out


def test_each_trial_has_a_row(search: optuna.Study, parsed: Parsed) -> None:
    rows = [row for row in parsed.rows if row]
    assert [row[0] for row in rows] == [f"trial_{trial.number:04d}" for trial in search.trials]
    assert [row[2] for row in rows] == [trial.state.name.lower() for trial in search.trials]
    assert {"complete", "pruned", "fail"} == {row[2] for row in rows}
    for row, trial in zip(rows, search.trials, strict=True):
        assert row[3] == ("" if trial.value is None else f"{trial.value:.6g}")
        assert row[6] == trial.params["peft"]
        assert row[7] == {True: "true", False: "false", None: "null"}[trial.params["model.checkpointing"]]
        assert row[-2] == ("100" if trial.state == TrialState.PRUNED else "")
        assert row[-1] == trial.user_attrs.get(REASON, "")


def test_texts_are_shown_as_they_are(text: str, parsed: Parsed) -> None:
    outside = "".join(re.split(r"<script.*?</script>", text, flags=re.DOTALL))
    assert "<script>" not in outside
    assert f"name={NASTY}" in parsed.sections["Best trial"]
    assert f"'a {NASTY}' experiment=best" in parsed.sections["Best trial"]
    labels = [
        str(figure["layout"]["xaxis"].get("categoryarray")) for title, figure in parsed.figures if title == "Slices"
    ]
    assert sum("&lt;script&gt;" in label and "<" not in label for label in labels) == 1  # plotly reads HTML too


def test_the_best_trial_is_told(search: optuna.Study, parsed: Parsed) -> None:
    told = parsed.sections["Best trial"]
    assert f"trial_{search.best_trial.number:04d}" in told
    assert f"{search.best_value:.6g}" in told


def test_the_best_so_far_rises(search: optuna.Study, parsed: Parsed) -> None:
    (history,) = (figure for title, figure in parsed.figures if title == "History")
    best = next(line for line in history["data"] if line["name"] == "best so far")
    assert max(best["y"]) == best["y"][-1] == search.best_value
    assert history["layout"]["yaxis"]["title"]["text"] == "value"


def test_lines_end_where_trials_were_given_up(search: optuna.Study, parsed: Parsed) -> None:
    (figure,) = (figure for title, figure in parsed.figures if title == "Intermediate values")
    ends = sorted((line["name"], line["x"][-1]) for line in figure["data"])
    expected = [(t.state.name.lower(), t.last_step) for t in search.trials if t.state != TrialState.FAIL]
    assert ends == sorted(expected)
    assert figure["layout"]["xaxis"]["title"]["text"] == "optimiser step"


def test_the_parameter_that_decides_comes_first(search: optuna.Study) -> None:
    (objective,) = shown(search).objectives
    assert objective.keys[0] == "optimizer.lr"
    assert set(objective.keys) == {*search.best_params} - {"same"}
    assert sum(objective.importances.values()) == pytest.approx(1)


def test_the_name_of_the_value_is_the_studys() -> None:
    study = studied(one, 3)
    with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
        study.set_metric_names(["val/f1"])
    (history,) = (figure for title, figure in reported(study)[1].figures if title == "History")
    assert history["layout"]["yaxis"]["title"]["text"] == "val/f1"


def test_several_objectives_have_a_set_each() -> None:
    study = studied(two, 12, StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE)
    _, parsed = reported(study)
    assert [*parsed.sections] == ["Best trial", "Pareto front", *KINDS, "Trials"]
    assert left_out(parsed) == {"Intermediate values": "Left out: no trial reported values on its way."}
    counts = {title: sum(section == title for section, _ in parsed.figures) for title in parsed.sections}
    assert counts["Pareto front"] == counts["Timeline"] == 1
    assert counts["History"] == counts["Contours"] == 2
    assert counts["Slices"] == 4
    first, second = (figure for title, figure in parsed.figures if title == "History")
    values = list(zip(*(trial.values for trial in study.trials), strict=True))
    assert first["data"][1]["y"][-1] == min(values[0])
    assert second["data"][1]["y"][-1] == max(values[1])
    # The larger, the darker, of what is to be large; Optuna reverses it for what is to be small.
    shades = [figure["data"][0]["reversescale"] for title, figure in parsed.figures if title == "Contours"]
    assert shades == [True, False]
    assert f"One of {len(study.best_trials)} that no trial surpasses." in parsed.sections["Best trial"]


def test_a_study_in_which_all_failed_has_its_reasons() -> None:
    _, parsed = reported(studied(failing, 3))
    assert set(left_out(parsed)) == {*KINDS} - {"Timeline"}
    assert "No trial has a value that counts." in parsed.sections["Best trial"]
    assert [row[-1] for row in parsed.rows if row] == ["ValueError: x"] * 3
    assert {value for name, value in parsed.attributes if name == "href" and value.endswith(".log")} == {
        f"trial_{number:04d}.log" for number in range(3)
    }


def test_one_trial_has_a_history() -> None:
    _, parsed = reported(studied(one, 1))
    assert {section for section, _ in parsed.figures} == {"History", "Timeline"}
    assert left_out(parsed)["Slices"] == "Left out: fewer than 2 trials were completed."


def test_one_parameter_has_no_contour() -> None:
    _, parsed = reported(studied(one, 6))
    assert left_out(parsed)["Contours"] == "Left out: completed trials differ in fewer than 2 parameters."
    assert len(left_out(parsed)) == 2  # nothing was reported on the way


def test_a_study_that_has_just_begun() -> None:
    study = optuna.create_study()
    assert "Trials to minimize value: none." in reported(study)[0]
    study.enqueue_trial({"x": 0.5})
    study.ask()
    study.enqueue_trial({"x": 0.6})
    rows = [row for row in reported(study)[1].rows if row]
    assert [row[:3] for row in rows] == [["trial_0000", "log", "running"], ["trial_0001", "", "waiting"]]


def test_infinite_values_are_shown_and_sorted() -> None:
    study = optuna.create_study()
    study.optimize(lambda trial: [trial.suggest_float("x", 0, 1), math.inf, -math.inf][trial.number], 3)
    text, parsed = reported(study)
    assert [row[3] for row in parsed.rows if row][1:] == ["inf", "-inf"]
    orders = [float(order) for order in re.findall(r'data-order="([^"]+)">-?inf<', text)]
    assert orders[0] > 1 > -1 > orders[1]
    assert all(map(math.isfinite, orders))


def test_the_best_trial_breaks_no_constraint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a sampler leaves it: more than 0 is too much."""
    sampler = optuna.samplers.NSGAIISampler(constraints_func=lambda trial: [trial.number - bound], seed=0)
    for bound, best in ((3, 3), (-1, None)):
        study = optuna.create_study(sampler=sampler)
        study.optimize(lambda trial: -trial.number * trial.suggest_float("x", 1, 1.1), 6)
        write_results(study, tmp_path / str(bound), [], GROUPS)
        told = Parsed((tmp_path / str(bound) / "report.html").read_text(encoding="utf-8")).sections["Best trial"]
        assert (f"trial_{best:04d}" if best else "No trial has a value that counts.") in told
        assert (tmp_path / str(bound) / "study.png").is_file() == (best is not None)
        assert ("run the best" in capsys.readouterr().out) == (best is not None)
        if best:
            assert picture(shown(study)).axes[0].lines[0].get_ydata()[-1] == study.best_value  # type: ignore[index]


def test_a_figure_that_fails_costs_no_other(search: optuna.Study) -> None:
    def fail(seen: Any) -> Any:
        raise KeyError("a fault of a library")

    section = reports.drawn(reports.Kind("Slices", "", fail), shown(search))
    assert section.text == "Left out: 'a fault of a library'."


def test_results_are_there_whatever_the_drawing_does(
    search: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lightune.sweep.results.write_report", full)
    write_results(search, tmp_path, ["task=ner"], GROUPS)
    with (tmp_path / "trials.csv").open(newline="", encoding="utf-8") as file:
        assert len([*csv.DictReader(file)]) == len(search.trials)
    assert (tmp_path / "experiment" / "best.yaml").is_file()
    said = capsys.readouterr().out
    assert "No space left on device" in said
    assert "report.html" not in said


def test_a_study_leaves_its_files(search: optuna.Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_results(search, tmp_path, ["task=ner"], GROUPS)
    assert "report.html" in capsys.readouterr().out
    told = Parsed((tmp_path / "report.html").read_text(encoding="utf-8")).sections["Best trial"]
    assert f"python train.py --config-dir {tmp_path} experiment=best" in told
    assert imread(tmp_path / "study.png").shape[1] > 1000
    assert not [*tmp_path.glob(".*.part")]


def test_the_picture_shows_the_history_and_what_matters(search: optuna.Study) -> None:
    history, rate, _ = picture(shown(search)).axes
    steps: Any = history.lines[0].get_ydata()
    assert steps[-1] == max(trial.value for trial in search.get_trials(states=[TrialState.COMPLETE]) if trial.value)
    assert (history.get_xlabel(), history.get_ylabel()) == ("trial", "value")
    assert (rate.get_xlabel(), rate.get_xscale()) == ("optimizer.lr", "log")


def test_trials_that_were_given_up_have_their_last_value(search: optuna.Study) -> None:
    history, rate, _ = picture(shown(search)).axes
    pruned = [t for t in search.get_trials(states=[TrialState.PRUNED]) if t.intermediate_values]
    assert pruned
    expected = [[t.number, t.intermediate_values[t.last_step]] for t in pruned]  # type: ignore[index]
    assert np.asarray(history.collections[1].get_offsets()).tolist() == expected
    assert len(np.asarray(rate.collections[0].get_offsets())) == len(pruned)
    assert history.get_legend_handles_labels()[1] == ["completed", "given up: its last value", "best so far"]


@pytest.mark.parametrize(
    ("low", "high", "numbers"),
    [
        (1e-4, 5e-3, ["0.0003", "0.001", "0.003"]),
        (0.2, 4.0, ["0.5", "1", "2"]),
        (1e-8, 1.0, ["1e-06", "0.01"]),
    ],
)
def test_numbers_of_decades_are_readable(low: float, high: float, numbers: list[str]) -> None:
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    study.optimize(lambda trial: trial.suggest_float("lr", low, high, log=True), 60)
    figure = picture(shown(study))
    figure.draw_without_rendering()
    axes = figure.axes[1]
    left, right = axes.get_xlim()
    texts = [label.get_text() for label in axes.get_xticklabels() if left <= label.get_position()[0] <= right]
    assert set(numbers) <= set(texts)
    assert len(texts) <= 9


def test_choices_of_a_picture_have_names() -> None:
    def objective(trial: Trial) -> float:
        choices: list[Any] = [NASTY, "$x$", None, True]
        return choices.index(trial.suggest_categorical("peft", choices))

    figure = picture(shown(studied(objective, 9)))
    figure.draw_without_rendering()
    axes = figure.axes[1]
    assert [label.get_text() for label in axes.get_xticklabels()] == [f"{NASTY[:15]}…", r"\$x\$", "null", "true"]


def test_large_studies_have_small_figures() -> None:
    """Of hundreds of trials contours would have a cell for every pair, and lines one for each."""
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    study.optimize(lambda trial: sum(trial.suggest_float(f"group.p{i}", 0, 1) * i for i in range(12)), 300)
    seen = shown(study)
    assert {len(drawing.figure.data[0].x) for drawing in figures.contours(seen)} == {152}  # every other, and the edges
    assert len(figures.contours(seen)) == 3
    assert len(figures.slices(seen)) == 10
    (parallel,) = figures.parallel_coordinates(seen)
    assert len(parallel.figure.data) == 150 + 1  # and the scale of colours
    assert len(parallel.figure.layout.xaxis.ticktext) == 11


@pytest.mark.parametrize(("count", "most", "left"), [(0, 3, 0), (3, 3, 3), (4, 3, 2), (9, 3, 3), (10, 3, 3)])
def test_trials_are_spread(count: int, most: int, left: int) -> None:
    assert len(spread([*range(count)], most)) == left


def test_long_keys_take_several_lines() -> None:
    assert figures.wrapped("optimizer.lr") == "optimizer.lr"
    assert figures.wrapped("callbacks.early_stopping.patience") == "callbacks.<br>early_stopping.<br>patience"
