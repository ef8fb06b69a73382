"""Features come out of their file as they went in, whatever the depth of their columns, and in little space."""

import multiprocessing
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from torch.utils.data import DataLoader

from lightune.data.features import Column, Features, concatenate
from tests.command import ROOT

COLUMNS: dict[str, list[Any]] = {
    "whole": [3, -100, 2**40],
    "broken": [0.5, 2.0, -1e-3],
    "yes": [True, False, True],
    "tokens": [[1, 40_000], [], [7]],
    "options": [[[1, 2], [3]], [[]], [[4], [5, 6, 7], []]],
    "nothing": [[], [], []],
}


def _equal(found: Any, expected: Any) -> bool:
    return bool(found == pytest.approx(expected)) if isinstance(expected, float) else bool(found == expected)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_holds_what_was_put_in(name: str) -> None:
    column = Column.of(COLUMNS[name])
    assert len(column) == 3
    for index, item in enumerate(COLUMNS[name]):
        assert _equal(column[index], item)
        assert _equal(column.tolist()[index], item)


def test_a_file_gives_back_its_features(tmp_path: Path) -> None:
    columns = {name: items for name, items in COLUMNS.items() if name != "broken"}
    Features.from_dict(columns).save(tmp_path / "file")
    read = Features.load(tmp_path / "file")
    assert list(read) == list(datasets.Dataset.from_dict(columns))
    assert set(read.column_names) == set(columns)
    assert len(read) == 3


def test_joined_parts_are_the_whole() -> None:
    whole = Features.from_dict(COLUMNS)
    # Each part has its own smallest type, and one of them no token at all.
    parts = [Features.from_dict({name: items[i : i + 1] for name, items in COLUMNS.items()}) for i in range(3)]
    assert list(concatenate([parts[0], parts[2]])) == [whole[0], whole[2]]
    joined = concatenate([Features.from_dict({"tokens": [row, [1]], "whole": [1, 2]}) for row in COLUMNS["tokens"]])
    assert joined["tokens"] == [[1, 40_000], [1], [], [1], [7], [1]]
    assert joined["whole"] == [1, 2] * 3


@pytest.mark.parametrize(
    ("most", "kind"),
    [(127, torch.int8), (128, torch.int16), (30_521, torch.int16), (49_151, torch.int32), (2**31, torch.int64)],
)
def test_numbers_take_little_space(most: int, kind: torch.dtype) -> None:
    assert Column.of([[0, -100], [most]]).values.dtype == kind


def test_columns_are_chosen() -> None:
    features = Features.from_dict(COLUMNS)
    assert features.select_columns(["tokens", "whole"])[2] == {"tokens": [7], "whole": 2**40}
    assert features.remove_columns(["whole", "absent"]).column_names == [
        "broken",
        "yes",
        "tokens",
        "options",
        "nothing",
    ]
    assert features["tokens"] == COLUMNS["tokens"]


@pytest.mark.parametrize("position", [3, -1])
def test_there_is_nothing_outside(position: int) -> None:
    with pytest.raises(IndexError, match=f"feature {position} of 3"):
        Features.from_dict(COLUMNS)[position]


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_loader_processes_read_the_same(start: str, tmp_path: Path) -> None:
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"processes cannot {start} here")
    Features.from_dict({"tokens": COLUMNS["tokens"]}).save(tmp_path / "file")
    features = Features.load(tmp_path / "file")
    loader = DataLoader(features, batch_size=3, num_workers=2, multiprocessing_context=start, collate_fn=list)
    assert list(loader) == [[{"tokens": row} for row in COLUMNS["tokens"]]]


def test_a_run_holds_neither_arrow_nor_pandas() -> None:
    code = (
        "import sys, lightune.assemble, lightune.tasks.qa; print(*{'pandas', 'pyarrow', 'datasets'} & {*sys.modules})"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == ""
