"""Data that nobody here wrote: read, checked, encoded and trained on.

Skipped unless the environment variable LIGHTUNE_DATA names the folder that holds them.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lightune.data.splits import SPLITS
from lightune.examples import read_examples
from lightune.instantiate import as_config
from tests import running

ROOT = Path(os.environ.get("LIGHTUNE_DATA", "/nowhere"))

pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason="LIGHTUNE_DATA does not name a folder")


@dataclass(frozen=True)
class DataSet:
    """A data set as its publisher gives it.

    Args:
        task: What is learnt.
        files: Split → file.
        sizes: Examples of each split; those of a split that is cut from train are counted there.
        labels: Number of label names, None where the task has none.
        typed: What else has to be typed.
    """

    task: str
    files: dict[str, str]
    sizes: dict[str, int]
    labels: int | None = None
    typed: tuple[str, ...] = ()

    @property
    def overrides(self) -> tuple[str, ...]:
        named = [f"data.{split}={ROOT / file}" for split, file in self.files.items()]
        return f"task={self.task}", "data=files", *named, *self.typed


DATA_SETS = {
    "squad": DataSet(
        "qa",
        {split: f"squad/{split}.json" for split in ("train", "val", "test")},
        {"train": 5820, "val": 819, "test": 851},
    ),
    "squad_v2": DataSet(
        "qa_v2",
        {split: f"squad_v2/{split}.json" for split in ("train", "val")},
        {"train": 3988, "val": 1746},
    ),
    "banking77": DataSet(
        "classification",
        {split: f"banking77/{split}.csv" for split in ("train", "test")},
        {"train": 10003, "test": 3080},
        labels=77,
        typed=("task.columns.label=category",),
    ),
    "sick": DataSet(
        "classification",
        {"train": "sick/train.tsv", "val": "sick/trial.tsv", "test": "sick/test.tsv"},
        {"train": 4500, "val": 500, "test": 4927},
        labels=3,
        typed=("task.columns={id: pair_ID, text: sentence_A, text_pair: sentence_B, label: entailment_judgment}",),
    ),
    "wnut17": DataSet(
        "ner",
        {split: f"wnut17/{split}.conll" for split in ("train", "val", "test")},
        {"train": 3394, "val": 1009, "test": 1287},
        labels=13,  # six types, each at its beginning and inside, and O
    ),
}


@pytest.mark.parametrize("name", DATA_SETS)
def test_every_row_is_read_and_used(name: str, tmp_path: Path) -> None:
    data = DATA_SETS[name]
    limits = ("data.limit={train: 160, val: 40, test: 45}", "data.max_length=64", "data.batch_size=16")
    run = running.train(tmp_path / "run", *data.overrides, *limits, "optimizer.lr=5e-3")

    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    examples = read_examples(as_config({**config, "data": {**config["data"], "limit": {}}}), SPLITS)
    task, tables = examples.task, examples.tables
    found = {split: len(table) for split, table in tables.items()}
    assert len({row["id"] for row in tables["test"].rows}) == found["test"]
    for cut in found.keys() - data.sizes.keys():
        assert found[cut] == pytest.approx(0.1 * data.sizes["train"], rel=0.2)
        found["train"] += found.pop(cut)
    assert found == data.sizes
    assert data.labels is None or len(config["task"]["labels"]) == len(getattr(task, "labels", ())) == data.labels

    losses = running.losses(run)
    assert sum(losses[-5:]) < sum(losses[:5])
    assert [row["id"] for row in running.predictions(run)] == [row["id"] for row in tables["test"].rows[:45]]
    evaluated = running.evaluate(run, tmp_path / "eval")
    assert running.metrics(evaluated, "test/") == running.metrics(run, "test/")
