"""Several sources as one."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from lightune.data.sources.base import Source
from lightune.data.sources.files import Files
from lightune.data.table import PART, Table, concatenate
from lightune.errors import ConfigError, DataError, nearest

_KEYS = (*(field.name for field in fields(Files)), "columns")


@dataclass(frozen=True)
class Mixture:
    """The rows of several sources, one after the other; column ``part`` names the source of each.

    Args:
        parts: Name → a file (or pattern, or list of them) to train on; or `Files`' arguments, ``{train: …, val: …,
            columns: {text: body}}``, where ``columns`` renames the part's own columns; or a source with its
            ``_target_``.
    """

    parts: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not self.parts:
            raise ConfigError("data.parts: there is nothing to mix", "type 'data.parts={news: news.csv, web: web.csv}'")
        for name, part in self.parts.items():
            unknown = [key for key in part if key not in _KEYS] if isinstance(part, Mapping) else []
            if unknown:
                raise ConfigError(f"data.parts.{name}.{unknown[0]}: a part has no such key", nearest(unknown[0], _KEYS))

    def load(self, need: Collection[str]) -> dict[str, Table]:
        """Return every split that any part has.

        Raises:
            DataError: Of a split that one part gives, another says nothing: it would be evaluated on the one alone.
        """
        loaded = {name: self._load(name, part, need) for name, part in self.parts.items()}
        splits = list(dict.fromkeys(split for tables in loaded.values() for split in tables))
        for split in splits:
            for name, tables in loaded.items():
                if split not in tables and split != "train":
                    other = next(other for other in loaded if split in loaded[other])
                    raise DataError(
                        f"data.parts.{name} has no {split} split, and data.parts.{other} has one",
                        f"give data.parts.{name}.{split}, or leave all of them out: {split} is then cut from train",
                    )
        return {
            split: concatenate([tables[split] for tables in loaded.values() if split in tables]) for split in splits
        }

    def _load(self, name: str, part: Any, need: Collection[str]) -> dict[str, Table]:
        columns: Mapping[str, str] = {}
        if isinstance(part, Mapping):
            columns = part.get("columns") or {}
            part = Files(**{key: value for key, value in part.items() if key != "columns"})
        source: Source = Files(train=part) if isinstance(part, str | list) else part
        return {split: _marked(name, table, columns) for split, table in source.load(need).items()}


def _marked(name: str, table: Table, columns: Mapping[str, str]) -> Table:
    there = table.columns
    for wanted, own in columns.items():
        if own not in there:
            raise DataError(
                f"data.parts.{name}.columns.{wanted}={own}: {table.origin} has no such column", nearest(own, there)
            )
    renamed = {own: wanted for wanted, own in columns.items()}
    rows = [{**{renamed.get(key, key): value for key, value in row.items()}, PART: name} for row in table.rows]
    return replace(table, rows=rows)
