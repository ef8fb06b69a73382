"""A data set of the Hugging Face Hub, or a local folder of the same layout."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightune.data.readers import superglue
from lightune.data.table import Row, Table
from lightune.errors import DataError

SPLIT_NAMES = {"train": "train", "val": "validation", "test": "test"}  # what most data sets call them
_AT_ONCE = 100  # rows


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
    splits: Mapping[str, str] = field(default_factory=SPLIT_NAMES.copy)

    def load(self, need: Collection[str]) -> dict[str, Table]:
        """Return the splits that exist and are labelled; class indices become their names."""
        loaded = self._load_dataset()
        if self.splits.get("train") not in loaded:
            raise DataError(
                f"data.path={self.path}: it has no split '{self.splits.get('train')}'",
                f"type data.splits.train=<one of {', '.join(loaded)}>",
            )
        tables = {
            split: superglue.flattened(Table([*named_classes(loaded[theirs])], f"{self.path} ({theirs})"))
            for split, theirs in self.splits.items()
            if theirs in loaded
        }
        # Benchmarks publish test sets whose labels are withheld: a column of None that train has values in.
        withheld = {split: _blank_columns(table) - _blank_columns(tables["train"]) for split, table in tables.items()}
        return {split: table for split, table in tables.items() if not withheld[split]}

    def _load_dataset(self) -> Mapping[str, Any]:
        import datasets

        with opening(f"data.path={self.path}"):
            return datasets.load_dataset(*self._place(), revision=self.revision)

    def _place(self) -> tuple[str, str | None]:
        folder = Path(self.path).expanduser()
        inner = [place for place in folder.glob("*/") if place.name.lower() == str(self.name).lower()]
        return (str(inner[0]), None) if inner else (self.path, self.name)


@contextmanager
def opening(what: str) -> Iterator[None]:
    """Say in one message what to do where `datasets` cannot read a data set.

    Args:
        what: The user's name of it.
    """
    try:
        yield
    except (OSError, ValueError, RuntimeError, StopIteration) as error:
        reason = next(iter(str(error).splitlines()), "it is empty")
        raise DataError(
            f"{what}: the data set could not be loaded: {reason}",
            "check its name, its rows and the network, or use your own files: data=files data.train=<file>",
        ) from error


def named_classes(dataset: Any) -> Iterator[Row]:
    """Yield the rows; integers that stand for class names become the names, in lists too.

    Args:
        dataset: Of `datasets`, iterable or not.
    """
    from datasets import ClassLabel

    names = {}
    for column, feature in (dataset.features or {}).items():
        inner = getattr(feature, "feature", feature)
        if isinstance(inner, ClassLabel):
            names[column] = inner.names
    # By batches, since an iterable data set that is asked row by row gives each loader process another part.
    for batch in dataset.iter(_AT_ONCE):
        for row in zip(*batch.values(), strict=True):
            yield {column: _name(value, names.get(column)) for column, value in zip(batch, row, strict=True)}


def _name(value: Any, names: Sequence[str] | None) -> Any:
    if names is None or value is None:
        return value
    if isinstance(value, list):
        return [_name(item, names) for item in value]
    return names[value] if value >= 0 else None


def _blank_columns(table: Table) -> set[str]:
    return {column for column in table.columns if all(row[column] is None for row in table.rows)}
