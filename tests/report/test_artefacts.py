"""The files of a run folder are whole or not there, and readable by anyone."""

import json
from pathlib import Path

import pytest
import yaml

from lightune.report import artefacts
from lightune.tasks.base import Prediction


@pytest.mark.parametrize("content", [{"test/f1": 0.1 + 0.2, "größe": [1, None]}, {}, [{"label": "東京"}]])
def test_json_comes_back(content: object, tmp_path: Path) -> None:
    path = tmp_path / "new" / "metrics.json"
    artefacts.write_json(path, content)
    assert json.loads(path.read_text(encoding="utf-8")) == content


def test_letters_stay_letters(tmp_path: Path) -> None:
    artefacts.write_json(tmp_path / "a.json", {"name": "größe"})
    artefacts.write_yaml(tmp_path / "a.yaml", {"name": "größe"})
    assert "größe" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "größe" in (tmp_path / "a.yaml").read_text(encoding="utf-8")


def test_yaml_keeps_its_order(tmp_path: Path) -> None:
    content = {"task": {"name": "qa", "columns": {"id": None}}, "data": {"a": [1, 2]}, "seed": 42}
    artefacts.write_yaml(tmp_path / "config.yaml", content)
    text = (tmp_path / "config.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == content
    assert text.index("task:") < text.index("data:") < text.index("seed:")


def test_a_prediction_is_a_line_with_its_scores(tmp_path: Path) -> None:
    predictions = [
        Prediction(0, "a", "Paris", ["Paris", "paris"], {"f1": 1.0, "score": 12.5}),
        Prediction(1, "b", ["O", "B-PER"], ["O", "O"]),
    ]
    artefacts.write_predictions(tmp_path / "predictions.jsonl", predictions)
    lines = (tmp_path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"id": "a", "prediction": "Paris", "target": ["Paris", "paris"], "f1": 1.0, "score": 12.5},
        {"id": "b", "prediction": ["O", "B-PER"], "target": ["O", "O"]},
    ]


def test_finer_tables_have_files_of_their_own(tmp_path: Path) -> None:
    artefacts.write_tables(tmp_path, "val", {"per_class": [{"label": "a", "f1": 0.5}], "pairs": []})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["val_pairs.json", "val_per_class.json"]
    assert json.loads((tmp_path / "val_per_class.json").read_text(encoding="utf-8")) == [{"label": "a", "f1": 0.5}]


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.json"
    artefacts.write_json(path, {"a": 1})
    original = Path.write_text

    def half(self: Path, text: str, encoding: str) -> int:
        original(self, text[: len(text) // 2], encoding=encoding)
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", half)
        with pytest.raises(OSError, match="No space"):
            artefacts.write_json(path, {"a": 2})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 1}
