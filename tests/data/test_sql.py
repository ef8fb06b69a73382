"""Rows of a database: queries and tables, their values, and what is said where something is missing."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lightune.data.sources import Sql
from lightune.errors import ConfigError, DataError, UserError
from tests import running

ALL = ("train", "val", "test")


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = tmp_path / "reviews.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "create table reviews (id integer, text text, label text, at timestamp, blob blob, score real)"
        )
        connection.executemany(
            "insert into reviews values (?, ?, ?, '2026-01-02 03:04:05', ?, ?)",
            [(i, f"text: {i}", "good" if i % 2 else "bad", b"caf\xc3\xa9", i / 2) for i in range(40)],
        )
        connection.execute("create table unused (text text)")
    return f"sqlite:///{path}"


def test_a_query_and_a_table_give_rows(database: str) -> None:
    source = Sql(database, train="select text, label from reviews where label = 'good' order by id", test="reviews")
    tables = source.load(ALL)
    assert {split: len(table) for split, table in tables.items()} == {"train": 20, "test": 40}
    assert tables["train"].rows[0] == {"text": "text: 1", "label": "good"}
    assert tables["test"].rows[1]["blob"] == "café"
    assert tables["train"].locate(2) == "data.train, row 3"


def test_a_colon_is_no_parameter(database: str) -> None:
    (table,) = Sql(database, train="select id from reviews where text = 'text: 7'").load(["train"]).values()
    assert table.rows == [{"id": 7}]


def test_other_values_become_plain_ones(database: str) -> None:
    import datetime as dt
    import decimal
    import uuid

    from lightune.data.sources.sql import _plain

    key = uuid.uuid4()
    given = [
        decimal.Decimal("2.50"),
        decimal.Decimal(3),
        dt.date(2026, 1, 2),
        dt.datetime(2026, 1, 2, 3),
        key,
    ]
    assert list(map(_plain, given)) == [2.5, 3, "2026-01-02", "2026-01-02T03:00:00", str(key)]
    assert [_plain(value) for value in (None, True, ["a"], {"b": 1})] == [None, True, ["a"], {"b": 1}]


def test_only_what_is_needed_is_asked_for(database: str) -> None:
    source = Sql(database, train="select no_such_column from reviews", test="reviews")
    assert source.load(["test"]).keys() == {"test"}
    with pytest.raises(DataError, match="no such column: no_such_column"):
        source.load(ALL)


def test_the_address_may_stand_in_the_environment(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEWS", database)
    assert len(Sql("env:REVIEWS", train="reviews").load(["train"])["train"]) == 40
    with pytest.raises(ConfigError, match="the environment variable REVIEW is not set"):
        Sql("env:REVIEW", train="reviews").load(["train"])


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("revews", "no such table: revews"),
        ("select label, label from reviews", "several columns called label"),
        ("delete from reviews", "the query gives no rows: 'delete from reviews'"),
        ("unused", "the query's result is empty"),
        ("selekt * from reviews", 'near "selekt": syntax error'),
    ],
)
def test_a_query_that_cannot_be_used_is_named(query: str, says: str, database: str) -> None:
    with pytest.raises(DataError, match=says):
        Sql(database, train=query).load(["train"])
    assert len(Sql(database, train="reviews").load(["train"])["train"]) == 40  # nothing was deleted


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite:///none.db", r"data\.url=sqlite:///none\.db: there is no such file"),
        ("sqlite://", "there is no such file"),
        ("reviews.db", "this is no address of a database"),
        ("nodb://me:secret@host/name", "this is no address of a database"),
        ("postgresql+asyncpg://me:secret@host/name", "the driver of postgresql"),
    ],
)
def test_a_database_that_is_not_there_is_named(
    url: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=says) as caught:
        Sql(url, train="reviews").load(["train"])
    assert "secret" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_run_reads_a_database(database: str, tmp_path: Path) -> None:
    query = "select id, text, label from reviews order by id"
    run = running.train(
        tmp_path / "run", "task=classification", "data=sql", f"data.url={database}", f'data.train="{query}"'
    )
    assert len(running.predictions(run)) == 4
    again = running.evaluate(run / "checkpoints" / "best.ckpt", tmp_path / "again")
    assert running.predictions(again) == running.predictions(run)
