"""plan=true plots=true: what is drawn of a data set is what its files hold."""

from collections import Counter
from math import log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from lightune.forecast import charts
from lightune.forecast.facts import facts, pairs
from lightune.forecast.gallery import pictures, write
from lightune.forecast.overlap import Overlap
from lightune.forecast.words import distinctive
from tests import command, running
from tests.pages import Page

TEXTS = {"good": "A fine and very fine film .", "bad": "A dull film ."}


def test_words_are_scored_by_hand() -> None:
    """Monroe, Colaresi and Quinn (2008), equations 16, 19 and 20, with a prior as large as what was counted."""
    counts = {"good": Counter(fine=3, film=1), "bad": Counter(dull=2, film=1)}
    found = {label: dict(scored) for label, scored in distinctive(counts, 5).items()}
    # 7 words, 4 of good and 3 of bad; `fine` occurs 3 times in good and never in bad, and 3 times in all.
    here, there = 3 + 3, 0 + 3
    expected = (log(here / (4 + 7 - here)) - log(there / (3 + 7 - there))) / sqrt(1 / here + 1 / there)
    assert found["good"] == {"fine": pytest.approx(expected)}
    assert [*found["bad"]] == ["dull", "film"]  # one in three is more than one in four
    assert distinctive({"a": Counter(x=4), "b": Counter(x=2)}, 5) == {"a": [], "b": []}


def test_only_the_best_words_are_kept_equal_ones_by_name() -> None:
    found = distinctive({"a": Counter(z=2, y=2, x=5), "b": Counter(w=9)}, 2)
    assert [word for word, _ in found["a"]] == ["x", "y"]


@pytest.mark.parametrize(
    ("values", "limit", "edges"),
    [
        ([1, 2, 3], None, [0.5, 1.5, 2.5, 3.5]),
        ([1, 2, 3], 384, [0.5, 1.5, 2.5, 3.5]),  # nothing comes near the limit
        ([1, 3], 3, [0.5, 1.5, 2.5, 3.5, 4.5]),  # the line at 3 has something behind it
        ([0.0, 0.5], None, np.linspace(0, 0.5, 41)),
        ([], 10, [0, 1]),
    ],
)
def test_edges_of_bars(values: list[float], limit: float | None, edges: Any) -> None:
    assert charts.bins(np.array(values), limit) == pytest.approx(edges)


def test_bars_of_a_histogram_are_shares_of_each_split() -> None:
    figure = charts.histogram({"train": [1, 1, 2, 4], "test": [2, 2]}, "tokens", limit=3)
    (axes,) = figure.axes
    outlines = [patch.get_xy() for patch in axes.patches if not patch.get_fill()]  # type: ignore[attr-defined]
    assert [max(outline[:, 1]) for outline in outlines] == [0.5, 1.0]
    assert [line.get_xdata()[0] for line in axes.lines] == [3]  # type: ignore[index]
    assert [text.get_text() for text in figure.legends[0].texts] == ["train, 4", "test, 2", "cut off above 3"]
    assert not charts.histogram({"train": [1, 1]}, "tokens", limit=3).axes[0].lines


def test_the_last_bar_says_what_it_holds_besides() -> None:
    far = charts.histogram({"train": [*range(1000), 5000]}, "tokens").axes[0]
    assert far.get_xlabel() == "tokens; the last bar holds all up to 5,000"
    near = charts.histogram({"train": [*range(1000), 1200]}, "tokens").axes[0]
    assert near.get_xlabel() == "tokens"
    assert near.get_xlim()[1] > 1200


def test_bars_of_labels_are_their_shares_the_most_frequent_on_top() -> None:
    figure = charts.balance({"train": Counter(rare=1, often=3), "test": Counter(often=1, new=1)})
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["often", "rare", "new"]
    assert [bar.get_width() for bar in axes.patches] == [0.75, 0.25, 0, 0.5, 0, 0.5]  # type: ignore[attr-defined]
    assert axes.yaxis_inverted()
    many = charts.balance({"train": Counter({f"$label_{i}": 1 for i in range(77)})})
    assert len(many.axes[0].get_yticks()) == 40
    assert "37 rarer ones are left out" in many.axes[0].get_xlabel()
    many.draw_without_rendering()  # no name is taken for a formula


def test_words_have_a_panel_a_label() -> None:
    figure = charts.words({f"label {i}": [("word", 2.0), ("other", 1.0)][: 2 - i % 2] for i in range(14)})
    shown = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title() for axes in shown] == [f"label {i}" for i in range(12)]
    assert [bar.get_width() for bar in shown[0].patches] == [2.0, 1.0]  # type: ignore[attr-defined]
    assert figure._supxlabel.get_text().endswith("2 rarer labels are left out")  # type: ignore[attr-defined]


def _reviews(folder: Path) -> list[str]:
    """Write 12 training rows, 8 of them good, and 2 test rows of which one is a training row in capitals."""
    rows = {"train": [("good", i) for i in range(8)] + [("bad", i) for i in range(4)], "val": [("bad", 50)]}
    lines = {split: [f"{TEXTS[label]} {number},{label}" for label, number in each] for split, each in rows.items()}
    lines["test"] = [f"{TEXTS['good']} 3,good".upper().replace("GOOD", "good"), "Nothing like the others,bad"]
    for split, each in lines.items():
        (folder / f"{split}.csv").write_text("\n".join(["text,label", *each, ""]), encoding="utf-8")
    return [
        "task=classification",
        "data=files",
        *(f"data.{split}={folder / split}.csv" for split in lines),
        "data.limit={train: null, val: null, test: null}",
    ]


def test_a_plan_draws_what_the_files_hold(tmp_path: Path) -> None:
    typed = [*running.SMALL, *_reviews(tmp_path), "data.max_length=8", f"run_dir={tmp_path / 'run'}"]
    outcome = command.run("train", [*typed, "plan=true", "plots=true"], tmp_path)
    assert outcome.status == 0, outcome.err
    folder = tmp_path / "run" / "data"
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["data"]
    drawn = {file.name for file in folder.iterdir()}
    assert drawn == {"data.html", "lengths.png", "labels.png", "words.png"}
    assert all(str(folder / name) in outcome.out for name in drawn)
    assert all(imread(folder / name).std() > 0.01 for name in drawn - {"data.html"})
    parts = Page((folder / "data.html").read_text(encoding="utf-8")).parts
    assert parts["Labels"].rows == [
        ["good", "8 (66.7%)", "0 (0.0%)", "1 (50.0%)"],
        ["bad", "4 (33.3%)", "1 (100.0%)", "1 (50.0%)"],
    ]
    assert parts["Words of labels"].cells("label") == ["good", "bad"]
    assert parts["Words of labels"].cells("words")[1].startswith("dull")
    # [CLS] a fine and very fine film . 3 [SEP] are 10 tokens, of which 8 stay; those with "dull" are 7.
    assert parts["Lengths"].rows[0] == ["train", "12", "10", "10", "10", "8 (66.7%)"]
    (pair,) = parts["Also in train"].rows
    assert pair == ["test", "1", "100%", f"{TEXTS['good']} 3".upper(), "4", f"{TEXTS['good']} 3"]


@pytest.mark.parametrize(
    ("task", "names", "numbers"),
    [
        ("ner", {"lengths", "labels", "words"}, None),
        ("qa", {"lengths", "words_of_the_answer"}, "words of the answer"),
        ("clm", {"lengths"}, None),
    ],
)
def test_a_task_offers_what_it_has(task: str, names: set[str], numbers: str | None, tmp_path: Path) -> None:
    model = ("model=tiny-decoder",) if task == "clm" else ()
    experiment = running.assembled(tmp_path / "run", f"task={task}", *model)
    splits = experiment.data.splits
    seen = facts(experiment.task, experiment.tokenizer, splits, 384)
    assert pictures(seen).keys() == names
    assert seen.examples == {"train": 40, "val": 13, "test": 11}
    assert {split: sum(lengths) for split, lengths in seen.lengths.items()} == {
        split: sum(each.lengths) for split, each in splits.items()
    }  # nothing is cut off at 384
    if numbers:
        words = [len(row["answers"]["text"][0].split()) for row in splits["train"].examples]
        assert seen.numbers[numbers]["train"] == words


def test_scores_are_drawn_and_bad_names_are_shown_as_text(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,score\n" + "".join(f"<b>{i}</b>,{i / 4}\n" for i in range(20)))
    typed = ("task=regression", "task.columns.text_pair=null", "data=files", f"data.train={tmp_path / 'train.csv'}")
    experiment = running.assembled(tmp_path / "run", *typed)
    seen = facts(experiment.task, experiment.tokenizer, experiment.data.splits, 384)
    values = [value for each in seen.numbers["score"].values() for value in each]
    assert sorted(values) == [i / 4 for i in range(20)]
    found = pairs({"test": Overlap(near={0: 1})}, {"test": ["<b>1</b> a b c d"], "train": ["x", "<b>1</b> a b c e"]})
    place = write(tmp_path / "data", "Data", seen, [*found])
    (row,) = Page(place.read_text(encoding="utf-8")).parts["Also in train"].rows
    assert row == ["test", "1", "75%", "<b>1</b> a b c d", "2", "<b>1</b> a b c e"]
    assert (tmp_path / "data" / "score.png").is_file()


def test_pictures_without_a_plan_are_refused(tmp_path: Path) -> None:
    outcome = command.run("train", [*running.SMALL, "plots=true", f"run_dir={tmp_path / 'run'}"], tmp_path)
    assert outcome.status == 1
    assert "type plan=true plots=true" in outcome.err
