"""Training rows that are read as they are needed, because they do not fit into memory."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightune.data import readers
from lightune.data.readers.source import named
from lightune.data.sources.base import needed
from lightune.data.sources.files import Paths
from lightune.data.sources.hub import SPLIT_NAMES, named_classes, opening
from lightune.data.table import Row, Table
from lightune.errors import ConfigError, DataError

# Suffix → what `datasets` calls the format, and how it is told to read it.
_FORMATS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    ".jsonl": ("json", {}),
    ".ndjson": ("json", {}),
    ".csv": ("csv", {}),
    ".tsv": ("csv", {"sep": "\t"}),
    ".parquet": ("parquet", {}),
    ".txt": ("text", {}),
}


@dataclass(frozen=True)
class Stream:
    """Rows to train on from files or from the Hub, read and shuffled as they come; val and test are read whole.

    Args:
        train: Files (a path, several, a pattern) of JSON lines, CSV, TSV, Parquet or text; or None and `path`.
        val: Files to validate on; with `path` None takes the data set's own split.
        test: The same for test.
        path: Name of a data set of the Hub, or a folder of its layout.
        name: Its configuration.
        revision: Branch, tag or commit.
        splits: train, val, test → what the data set calls them.
        shuffle_buffer: Rows held in memory, of which the next is drawn at random; 1 keeps the order of the files.
    """

    train: Paths = None
    val: Paths = None
    test: Paths = None
    path: str | None = None
    name: str | None = None
    revision: str | None = None
    splits: Mapping[str, str] = field(default_factory=SPLIT_NAMES.copy)
    shuffle_buffer: int = 10_000

    def __post_init__(self) -> None:
        if (self.train is None) == (self.path is None):
            raise ConfigError(
                "data=streaming: name files or a data set, and not both", "type data.train=<files> or data.path=<name>"
            )

    def load(self, need: Collection[str]) -> dict[str, Table]:
        """Return the splits to evaluate on; train is not among them."""
        wanted = needed({"val": self.val, "test": self.test}, set(need) - {"train"})
        tables = {split: readers.read(paths) for split, paths in wanted.items()}
        if self.path is not None:
            absent = [split for split in need if split != "train" and split not in tables]
            tables |= {split: self._hub_table(split) for split in absent}
        return tables

    def rows(self, seed: int) -> "StreamedRows":
        """Return the rows to train on.

        Args:
            seed: Of their order.
        """
        return StreamedRows(self._opened("train"), self._origin, seed, self.shuffle_buffer)

    def _hub_table(self, split: str) -> Table:
        return Table([*named_classes(self._opened(split))], f"{self.path} ({self.splits[split]})")

    def _opened(self, split: str) -> Any:
        import datasets

        if self.path is not None:
            with opening(self._origin):
                return datasets.load_dataset(
                    self.path, self.name, revision=self.revision, split=self.splits[split], streaming=True
                )
        files = [str(file) for file in named(self.train or ())]
        kind, options = _format(files)
        with opening(self._origin):
            return datasets.load_dataset(kind, data_files={split: files}, split=split, streaming=True, **options)

    @property
    def _origin(self) -> str:
        return f"data.train={self.train}" if self.path is None else f"data.path={self.path}"


@dataclass(frozen=True)
class StreamedRows:
    """The rows of a stream, from the beginning as often as they are asked for, each time in another order.

    Args:
        dataset: An iterable data set of `datasets`.
        origin: What the user calls it.
        seed: Of the order.
        buffer: Rows among which the next is drawn.
    """

    dataset: Any
    origin: str
    seed: int
    buffer: int

    def __call__(self, turn: int) -> Iterator[Row]:
        """Return all rows.

        Args:
            turn: How often they were gone through before; the order depends on it.
        """
        dataset = self.dataset
        if self.buffer > 1:
            dataset = dataset.shuffle(seed=self.seed, buffer_size=self.buffer)
            dataset.set_epoch(turn)
        with opening(self.origin):
            yield from named_classes(dataset)


def _format(files: Sequence[str]) -> tuple[str, Mapping[str, Any]]:
    suffixes = {Path(file.lower().removesuffix(".gz")).suffix for file in files}
    if len(suffixes) > 1 or not suffixes <= _FORMATS.keys():
        raise DataError(
            f"data.train: files of {', '.join(sorted(suffixes))} cannot be streamed",
            f"use one of {', '.join(_FORMATS)}",
        )
    return _FORMATS[suffixes.pop()]
