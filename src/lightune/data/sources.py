"""Where examples come from: the built-in corpus, the user's files, the Hugging Face Hub. Needs no torch."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Protocol

from lightune.data import readers, world
from lightune.data.readers import superglue
from lightune.data.table import Table
from lightune.errors import ConfigError, DataError, nearest

Paths = str | Sequence[str] | None


class Source(Protocol):
    """Gives the rows of each split it has."""

    def load(self, need: Collection[str]) -> dict[str, Table]:
        """Return split name (train, val, test) → its rows as the user has them.

        Args:
            need: The splits that will be used; others need not be read where these are there without them.
        """


@dataclass(frozen=True)
class BuiltIn:
    """The corpus that comes with lightune.

    Args:
        task: Name of the task whose examples are derived from it.
    """

    task: str

    def load(self, need: Collection[str]) -> dict[str, Table]:
        """Return the three splits; they share neither entities nor templates."""
        splits = world.generate(self.task)
        return {split: Table(rows, f"built-in corpus ({split})") for split, rows in splits.items()}


@dataclass(frozen=True)
class Files:
    """Files of the user.

    Args:
        train: A path, several, or a pattern; so are `val` and `test`.
        val: Validation rows; None cuts them from train.
        test: Test rows; None cuts them from train.
        format: Overrules the file's suffix and content.
        options: Further options of the reader, such as ``delimiter`` or ``header``.
    """

    train: Paths = None
    val: Paths = None
    test: Paths = None
    format: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = [name for name, p in signature(readers.read).parameters.items() if p.kind is Parameter.KEYWORD_ONLY]
        for name in self.options:
            if name not in known:
                raise ConfigError(f"data.options.{name}: readers have no such option", nearest(name, known))

    def load(self, need: Collection[str]) -> dict[str, Table]:
        """Return the splits that were named; all of them where a needed one will have to be cut from train."""
        given = {"train": self.train, "val": self.val, "test": self.test}
        named = {split: paths for split, paths in given.items() if paths is not None}
        wanted = need if set(need) <= named.keys() else named
        return {split: readers.read(named[split], self.format, **dict(self.options)) for split in wanted}


@dataclass(frozen=True)
class Hub:
    """A data set of the Hugging Face Hub, or a local folder that ``datasets.load_dataset`` understands.

    Args:
        path: Name on the Hub, or a folder.
        name: Configuration of the data set; or, in a folder, a folder of that name in any case.
        revision: Branch, tag or commit.
        splits: train, val, test → what the data set calls them.
    """

    path: str
    name: str | None = None
    revision: str | None = None
    splits: Mapping[str, str] = field(default_factory=lambda: {"train": "train", "val": "validation", "test": "test"})

    def load(self, need: Collection[str]) -> dict[str, Table]:
        """Return the splits that exist and are labelled; class indices become their names."""
        loaded = self._load_dataset()
        if self.splits.get("train") not in loaded:
            raise DataError(
                f"data.path={self.path}: it has no split '{self.splits.get('train')}'",
                f"type data.splits.train=<one of {', '.join(loaded)}>",
            )
        tables = {
            split: superglue.flattened(Table(_named_classes(loaded[theirs]), f"{self.path} ({theirs})"))
            for split, theirs in self.splits.items()
            if theirs in loaded
        }
        # Benchmarks publish test sets whose labels are withheld: a column of None that train has values in.
        withheld = {split: _blank_columns(table) - _blank_columns(tables["train"]) for split, table in tables.items()}
        return {split: table for split, table in tables.items() if not withheld[split]}

    def _load_dataset(self) -> Mapping[str, Any]:
        import datasets

        try:
            return datasets.load_dataset(*self._place(), revision=self.revision)
        except (OSError, ValueError, RuntimeError) as error:
            raise DataError(
                f"data.path={self.path}: the data set could not be loaded: {str(error).splitlines()[0]}",
                "check its name and the network, or use your own files: data=files data.train=<file>",
            ) from error

    def _place(self) -> tuple[str, str | None]:
        folder = Path(self.path).expanduser()
        inner = [place for place in folder.glob("*/") if place.name.lower() == str(self.name).lower()]
        return (str(inner[0]), None) if inner else (self.path, self.name)


def _named_classes(dataset: Any) -> list[dict[str, Any]]:
    """Return the rows; integers that stand for class names become the names, in lists too."""
    from datasets import ClassLabel

    names = {}
    for column, feature in dataset.features.items():
        inner = getattr(feature, "feature", feature)
        if isinstance(inner, ClassLabel):
            names[column] = inner.names
    return [{column: _name(value, names.get(column)) for column, value in row.items()} for row in dataset]


def _name(value: Any, names: Sequence[str] | None) -> Any:
    if names is None or value is None:
        return value
    if isinstance(value, list):
        return [_name(item, names) for item in value]
    return names[value] if value >= 0 else None


def _blank_columns(table: Table) -> set[str]:
    return {column for column in table.columns if all(row[column] is None for row in table.rows)}
