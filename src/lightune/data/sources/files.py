"""Files of the user."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import Parameter, signature
from typing import Any

from lightune.data import readers
from lightune.data.sources.base import needed
from lightune.data.table import Table
from lightune.errors import ConfigError, nearest

Paths = str | Sequence[str] | None


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
        wanted = needed(given, need)
        return {split: readers.read(paths, self.format, **dict(self.options)) for split, paths in wanted.items()}
