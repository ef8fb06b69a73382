"""The built-in corpus, the user's files and local data sets, each by the splits that are asked for."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from lightune.data import world
from lightune.data.sources import BuiltIn, Files, Hub
from lightune.errors import ConfigError, DataError, UserError

ALL = ("train", "val", "test")


def _jsonl(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def _texts(folder: Path, **counts: int) -> dict[str, Any]:
    return {
        name: _jsonl(folder / f"{name}.jsonl", [{"text": f"{name} {i}"} for i in range(n)])
        for name, n in counts.items()
    }


@pytest.mark.parametrize("task", world.tasks())
def test_the_corpus_has_three_splits_of_the_task_s_rows(task: str) -> None:
    tables = BuiltIn(task).load(ALL)
    assert {split: table.rows for split, table in tables.items()} == world.generate(task)
    assert tables.keys() == set(ALL)
    assert tables["val"].locate(1) == "built-in corpus (val), row 2"


def test_the_corpus_names_its_tasks_where_it_has_none() -> None:
    with pytest.raises(ConfigError, match="translation"):
        BuiltIn("translations").load(ALL)


def test_only_the_files_that_are_needed_are_read(tmp_path: Path) -> None:
    source = Files(train=str(tmp_path / "absent.jsonl"), **_texts(tmp_path, val=1, test=2))
    tables = source.load(["val", "test"])
    assert {split: len(table) for split, table in tables.items()} == {"val": 1, "test": 2}


@pytest.mark.parametrize("need", [ALL, ["val"], ["val", "test"]])
def test_all_files_are_read_where_a_split_has_to_be_cut_from_train(tmp_path: Path, need: Collection[str]) -> None:
    tables = Files(**_texts(tmp_path, train=3, test=2)).load(need)
    assert {split: len(table) for split, table in tables.items()} == {"train": 3, "test": 2}


def test_format_and_options_reach_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "reviews.txt"
    path.write_text("good;1\nbad;0\n")
    source = Files(train=[str(path)], format="csv", options={"delimiter": ";", "header": ["text", "label"]})
    assert source.load(["train"])["train"].rows == [{"text": "good", "label": "1"}, {"text": "bad", "label": "0"}]


def test_several_files_and_patterns_become_one_table(tmp_path: Path) -> None:
    _texts(tmp_path, a1=2, a2=1, b=1)
    (table,) = Files(train=str(tmp_path / "a*.jsonl")).load(["train"]).values()
    assert [row["text"] for row in table.rows] == ["a1 0", "a1 1", "a2 0"]
    assert table.locate(2) == "a2.jsonl, line 1"


def _parquet(folder: Path, name: str, **columns: list[Any]) -> None:
    from datasets import ClassLabel, Dataset, Features, List, Value

    kinds = {"label": ClassLabel(names=["no", "yes"]), "tags": List(ClassLabel(names=["O", "B-PER", "I-PER"]))}
    features = Features({column: kinds.get(column, Value("string")) for column in columns})
    Dataset.from_dict(columns, features=features).to_parquet(folder / f"{name}.parquet")


def test_class_numbers_of_a_data_set_become_names(tmp_path: Path) -> None:
    for name in ("train", "validation", "test"):
        _parquet(tmp_path, name, text=[name, "x"], label=[1, 0], tags=[[1, 2, 0], []])
    tables = Hub(str(tmp_path)).load(ALL)
    assert tables["val"].rows == [
        {"text": "validation", "label": "yes", "tags": ["B-PER", "I-PER", "O"]},
        {"text": "x", "label": "no", "tags": []},
    ]
    assert tables["test"].locate(0) == f"{tmp_path} (test), row 1"


def test_a_split_whose_labels_are_withheld_is_left_out(tmp_path: Path) -> None:
    # -1 is what benchmarks write there. A column that is empty everywhere says nothing about labels.
    _parquet(tmp_path, "train", text=["a", "b"], label=[1, 0], note=[None, None])
    _parquet(tmp_path, "validation", text=["c", "d"], label=[1, -1], note=[None, None])
    _parquet(tmp_path, "test", text=["e", "f"], label=[-1, -1], note=[None, None])
    tables = Hub(str(tmp_path)).load(ALL)
    assert tables.keys() == {"train", "val"}
    assert [row["label"] for row in tables["val"].rows] == ["yes", None]


def test_a_data_set_names_its_splits_as_it_likes(tmp_path: Path) -> None:
    _texts(tmp_path, train=4, test=2)
    tables = Hub(str(tmp_path), splits={"train": "train", "val": "test", "test": "validation"}).load(ALL)
    assert {split: len(table) for split, table in tables.items()} == {"train": 4, "val": 2}


@pytest.mark.parametrize("name", ["wic", "WiC"])
def test_a_folder_may_hold_a_folder_for_each_data_set(tmp_path: Path, name: str) -> None:
    for folder in ("WiC", "rte"):
        (tmp_path / folder).mkdir()
        _texts(tmp_path / folder, train=2, val=len(folder))
    tables = Hub(str(tmp_path), name=name).load(ALL)
    assert {split: len(table) for split, table in tables.items()} == {"train": 2, "val": 3}


def test_nested_rows_of_a_folder_are_flattened(tmp_path: Path) -> None:
    row = {"text": "a", "target": {"span1_text": "b", "span2_text": "c"}, "label": True}
    _jsonl(tmp_path / "train.jsonl", [row])
    assert Hub(str(tmp_path)).load(ALL)["train"].rows == [
        {"text": "a", "label": True, "span1_text": "b", "span2_text": "c"}
    ]


@pytest.mark.parametrize(
    ("options", "problem", "remedy"),
    [
        ({"splits": {"train": "training"}}, "no split 'training'", "data.splits.train=<one of train, test>"),
        ({"name": "german"}, "could not be loaded", "data=files"),
        ({"path": "nobody/nothing"}, "data.path=nobody/nothing: the data set could not be loaded", "data=files"),
    ],
)
def test_what_a_data_set_lacks_is_named(tmp_path: Path, options: dict[str, Any], problem: str, remedy: str) -> None:
    _texts(tmp_path, train=2, test=2)
    with pytest.raises(UserError) as caught:
        Hub(**{"path": str(tmp_path), **options}).load(ALL)
    assert isinstance(caught.value, DataError)
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy
