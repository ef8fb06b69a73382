"""Queries of a database, through SQLAlchemy."""

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from lightune.data.sources.base import needed
from lightune.data.table import Row, Table
from lightune.errors import ConfigError, DataError

_VARIABLE = "env:"  # before the name of an environment variable that holds the address


@dataclass(frozen=True)
class Sql:
    """One query, or one table, for each split.

    Args:
        url: The database as SQLAlchemy addresses it, ``sqlite:///reviews.db`` or
            ``postgresql+psycopg://user@host/name``; or ``env:NAME``, an environment variable that holds this, so that
            no password is written into a run's configuration.
        train: SQL whose result's columns are the rows' columns; or the name of a table, ``reviews`` or
            ``schema.reviews``.
        val: The same for validation; None cuts it from train.
        test: The same for test; None cuts it from train.
    """

    url: str
    train: str | None = None
    val: str | None = None
    test: str | None = None

    def load(self, need: Collection[str]) -> dict[str, Table]:
        """Return the splits that were named; nothing is written into the database.

        Raises:
            ConfigError: SQLAlchemy or the database's driver is not installed, or the address is none.
            DataError: The database cannot be reached, or refuses a query.
        """
        try:
            import sqlalchemy
        except ImportError as error:
            raise ConfigError("data=sql needs SQLAlchemy", "type pip install 'lightune[sql]'") from error

        wanted = needed({"train": self.train, "val": self.val, "test": self.test}, need)
        engine = self._engine(sqlalchemy)
        try:
            with engine.connect() as connection:
                return {split: _table(sqlalchemy, connection, split, query) for split, query in wanted.items()}
        except sqlalchemy.exc.DBAPIError as error:
            raise DataError(
                f"{engine.url.render_as_string()}: {_first_line(error.orig)}",
                "check data.url and the queries " + ", ".join(f"data.{split}" for split in wanted),
            ) from error
        finally:
            engine.dispose()

    def _engine(self, sqlalchemy: Any) -> Any:
        address = self._address()
        try:
            url = sqlalchemy.make_url(address)
            engine = sqlalchemy.create_engine(url)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"data.url: the driver of {url.drivername} is not installed", f"type pip install {error.name}"
            ) from error
        except (sqlalchemy.exc.ArgumentError, ValueError) as error:  # not a word of an address that may hold a password
            raise ConfigError(
                f"data.url: {type(error).__name__}: this is no address of a database",
                "write data.url=sqlite:///reviews.db or data.url=postgresql+psycopg://user@host/name",
            ) from error
        file = url.database
        # SQLite would make an empty database of that name.
        if url.get_backend_name() == "sqlite" and (not file or not Path(file).is_file()):
            raise DataError(f"data.url={address}: there is no such file", "give the path of an SQLite database")
        return engine

    def _address(self) -> str:
        if not self.url.startswith(_VARIABLE):
            return self.url
        name = self.url.removeprefix(_VARIABLE)
        if name not in os.environ:
            raise ConfigError(
                f"data.url={self.url}: the environment variable {name} is not set", f"type export {name}=…"
            )
        return os.environ[name]


def _table(sqlalchemy: Any, connection: Any, split: str, query: str) -> Table:
    result = connection.execute(_statement(sqlalchemy, query))
    if not result.returns_rows:  # it is rolled back
        raise DataError(f"data.{split}: the query gives no rows: {query!r:.80}", "write a SELECT")
    names = list(result.keys())
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise DataError(
            f"data.{split}: the query has several columns called {min(twice)}", "rename one: SELECT a.x, b.x AS x2"
        )
    rows = [_row(names, values) for values in result]
    if not rows:
        raise DataError(f"data.{split}: the query's result is empty: {query!r:.80}", "write one that gives examples")
    return Table(rows, f"data.{split}")


def _statement(sqlalchemy: Any, query: str) -> Any:
    if len(query.split()) > 1:
        return sqlalchemy.text(query.replace(":", r"\:"))  # a colon would begin a parameter
    schema, _, name = query.strip().rpartition(".")
    return sqlalchemy.select(sqlalchemy.text("*")).select_from(sqlalchemy.table(name, schema=schema or None))


def _row(names: Iterable[str], values: Iterable[Any]) -> Row:
    return {name: _plain(value) for name, value in zip(names, values, strict=True)}


def _plain(value: Any) -> Any:
    """Return what JSON knows: features are cached, and predictions written, as that."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    return bytes(value).decode("utf-8", "replace") if isinstance(value, bytes | bytearray | memoryview) else value


def _first_line(error: Any) -> str:
    return str(error).strip().split("\n", 1)[0]
