"""What the documents tell readers to write works as it stands there."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightune.data import world
from tests import command, running

DOCS = command.ROOT / "docs"
# A comment names the file that the block after it belongs into.
FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[\w-]+)?\)")
PAGES = sorted([*DOCS.glob("*.md"), command.ROOT / "README.md"])


def written(page: str, folder: Path) -> list[str]:
    """Write the files of a page below a folder, and return their names."""
    found = FILE.findall((DOCS / page).read_text(encoding="utf-8"))
    for name, content in found:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return [name for name, _ in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the files of both pages, whose modules can be imported."""
    assert written("extending.md", tmp_path)
    assert written("add-a-task.md", tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def _searched(place: Path) -> str:
    return f"hydra.searchpath=[file://{place}/conf]"


@pytest.mark.parametrize("typed", ["model=electra-small", "peft=dora_wide", "peft=loha_small"])
def test_new_options_compose(typed: str, place: Path) -> None:
    outcome = command.run("train", [typed, _searched(place), "--cfg", "job", "--resolve"], place)
    assert outcome.status == 0, outcome.err
    assert yaml.safe_load(outcome.out)


@pytest.mark.parametrize("method", ["dora_wide", "loha_small"])
def test_new_methods_train(method: str, place: Path) -> None:
    running.train(place / "run", "task=classification", f"peft={method}", _searched(place), "trainer.max_epochs=1")


def test_a_new_source_is_read(place: Path) -> None:
    rows = [(row["text"], row["label"]) for row in world.generate("classification")["train"][:80]]
    with closing(sqlite3.connect(place / "reviews.db")) as database, database:
        database.execute("create table t (text, label)")
        database.executemany("insert into t values (?, ?)", rows)
    typed = ("data=sqlite", f"data.path={place}/reviews.db", '+data.queries.train="select text, label from t"')
    running.train(place / "run", "task=classification", *typed, _searched(place), "trainer.max_epochs=1")
    assert len(running.predictions(place / "run")) == 8


def _stars(path: Path, count: int) -> Path:
    rows = world.generate("regression")["train"][:count]
    kept: list[dict[str, Any]] = [
        {"text": row["text"], "text_pair": row["text_pair"], "label": str(round(row["score"] * 3 / 5))} for row in rows
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    return path


def test_a_new_task_trains_and_is_evaluated(place: Path) -> None:
    typed = ("task=ordinal", "data=files", f"data.train={_stars(place / 'stars.jsonl', 120)}", _searched(place))
    labels = ('task.labels=["0","1","2","3"]', "task.columns.text_pair=text_pair")
    run = running.train(place / "run", *typed, *labels, "trainer.max_epochs=1", "peft=full")
    found = running.metrics(run, "test/")
    assert found.keys() == {"test/accuracy", "test/mae", "test/kappa", "test/loss"}
    again = running.evaluate(run / "checkpoints/best.ckpt", place / "eval", _searched(place), "trust=[my_tasks]")
    assert running.metrics(again, "test/") == pytest.approx(found, abs=1e-6)
