"""Writing the run folder. Every file is written under another name and renamed, so none is ever half there."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:  # torch, which reports of studies need not wait for
    from lightune.tasks.base import Prediction


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give another name to write a file under, and rename it when that is done; until then the old one stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    yield unfinished
    unfinished.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write a whole file, or leave the old one."""
    with written_whole(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write plain data as JSON."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_yaml(path: Path, content: Any) -> None:
    """Write plain data as YAML, in its own order."""
    write_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def write_predictions(path: Path, predictions: "Iterable[Prediction]") -> None:
    """Write one JSON line for each example."""
    write_text(path, "".join(json.dumps(p.row(), ensure_ascii=False) + "\n" for p in predictions))


def write_tables(folder: Path, split: str, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write the finer tables of a split, such as ``test_per_class.json``."""
    for name, rows in tables.items():
        write_json(folder / f"{split}_{name}.json", list(rows))


def flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, with dotted keys: the form that loggers and tables show best."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{prefix}{key}"
        found.update(flat(value, f"{name}.") if isinstance(value, Mapping) and value else {name: value})
    return found
