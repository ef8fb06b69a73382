"""A stream gives every row, to one process or several, goes on where it stopped, and is never held in memory."""

import gzip
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase

from lightune.data.batching import Share
from lightune.data.loaders import Collate
from lightune.data.sources import Stream as StreamSource
from lightune.data.streaming import Stream, StreamedBatches, StreamLoader
from lightune.data.table import Row
from lightune.errors import CheckpointError, ConfigError, DataError
from lightune.tasks.classification import Classification
from tests import command, running
from tests.command import ROOT

pytestmark = pytest.mark.usefixtures("processes")  # from which those of loaders are forked

ROWS = 230
BATCH = 2  # a chunk is 100 rows
TASK = Classification(columns={"text": "text", "label": "label"}, labels=("a", "b"))


def _text(number: int) -> str:
    return f"text number {number} " + "and more " * (number % 7)


def _rows(turn: int) -> Iterator[Row]:
    for number in range(ROWS):
        yield {"text": _text((number * 7 + turn) % ROWS), "label": "ab"[number % 2]}


def _stream(tokenizer: PreTrainedTokenizerBase, rows: Any = _rows, **filters: Any) -> Stream:
    return Stream(rows, "a stream", filters, TASK, tokenizer, 64, epoch_size=ROWS)


def _loader(stream: Stream, length: int, share: Share = Share(), workers: int = 0, seed: int = 0) -> StreamLoader:  # noqa: B008
    collate = Collate({"input_ids": 0, "token_type_ids": 0})
    return StreamLoader(StreamedBatches(stream, collate, BATCH, share, seed, max(workers, 1)), length, workers)


def _seen(loader: StreamLoader, tokenizer: PreTrainedTokenizerBase, batches: int | None = None) -> list[list[str]]:
    found = []
    for number, batch in enumerate(loader, start=1):
        found.append([str(tokenizer.decode(ids, skip_special_tokens=True)) for ids in batch["input_ids"]])
        if number == batches:
            break
    return found


def _flat(batches: list[list[str]]) -> Counter[str]:
    return Counter(text for batch in batches for text in batch)


EVERY = Counter(_text(number).strip() for number in range(ROWS))


@pytest.mark.parametrize(("world", "workers"), [(1, 0), (1, 2), (2, 0)])
def test_all_ranks_and_workers_together_see_every_row_once(
    world: int, workers: int, tokenizer: PreTrainedTokenizerBase
) -> None:
    parts = world * max(workers, 1)
    seen = Counter[str]()
    for rank in range(world):
        loader = _loader(_stream(tokenizer), ROWS, Share(rank, world), workers)
        batches = iter(loader)
        # A worker's chunks end with what is left over: as many batches as hold its part of the rows.
        for _ in range(max(workers, 1) * -(-(ROWS // parts) // BATCH)):
            batch = next(batches)
            seen.update(str(tokenizer.decode(ids, skip_special_tokens=True)) for ids in batch["input_ids"])
    assert set(seen) <= set(EVERY)
    assert max(seen.values()) == 1
    assert seen.total() >= ROWS - 2 * parts


def test_one_turn_is_every_row_and_the_next_another_order(tokenizer: PreTrainedTokenizerBase) -> None:
    loader = _loader(_stream(tokenizer), ROWS // BATCH)
    first, second = _seen(loader, tokenizer), _seen(loader, tokenizer)
    assert _flat(first) == _flat(second) == EVERY
    assert first != second
    assert _seen(_loader(_stream(tokenizer), ROWS // BATCH), tokenizer) == first
    assert _seen(_loader(_stream(tokenizer), ROWS // BATCH, seed=1), tokenizer) != first


def test_batches_are_of_similar_lengths(tokenizer: PreTrainedTokenizerBase) -> None:
    batches = _seen(_loader(_stream(tokenizer), 50), tokenizer)
    spread = [abs(len(one.split()) - len(other.split())) for one, other in batches]
    assert sum(spread) / len(spread) < 1


# Workers are started anew, which takes seconds.
@pytest.mark.parametrize(("stop", "workers"), [(1, 0), (49, 0), (50, 0), (115, 0), (130, 0), (51, 2)])
def test_a_stream_goes_on_where_it_stopped(stop: int, workers: int, tokenizer: PreTrainedTokenizerBase) -> None:
    whole = _seen(_loader(_stream(tokenizer), 160, workers=workers), tokenizer)
    broken = _loader(_stream(tokenizer), 160, workers=workers)
    _seen(broken, tokenizer, stop)
    other = _loader(_stream(tokenizer), 160, workers=workers)
    other.load_state_dict(json.loads(json.dumps(broken.state_dict())))
    assert _seen(other, tokenizer) == whole[stop:]


def test_an_epoch_that_was_limited_is_over(tokenizer: PreTrainedTokenizerBase) -> None:
    loader = _loader(_stream(tokenizer), 100)
    loader.limit = 10
    first = _seen(loader, tokenizer, 10)
    assert loader.state_dict()["position"] == 0
    assert len(_seen(loader, tokenizer)) == 100
    assert len(first) == 10


def test_another_number_of_workers_is_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    state = _loader(_stream(tokenizer), 10, workers=2).state_dict()
    with pytest.raises(CheckpointError, match=r"data\.num_workers=1: the stream was read by 2") as caught:
        _loader(_stream(tokenizer), 10).load_state_dict(state)
    assert "data.num_workers=2" in caught.value.remedy


def test_rows_are_filtered_as_they_come(tokenizer: PreTrainedTokenizerBase) -> None:
    stream = _stream(tokenizer, text={"matches": "number 1[0-9] "})
    assert set(_flat(_seen(_loader(stream, 9), tokenizer))) == {_text(n).strip() for n in range(10, 20)}
    with pytest.raises(DataError, match="there is no row for one of the processes"):
        _seen(_loader(_stream(tokenizer, text={"matches": "never"}), 5), tokenizer)


def _with_an_unknown_label(turn: int) -> Iterator[Row]:
    yield from [{"text": "fine", "label": "a"}] * 4
    yield {"text": "what", "label": "c"}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_row_is_named_by_its_place(workers: int, tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(DataError, match=r"^a stream, row 5: label 'c' is unknown"):
        _seen(_loader(_stream(tokenizer, _with_an_unknown_label), 5, Share(0, 2), workers), tokenizer)


def _write(path: Path, count: int) -> Path:
    rows = [{"text": _text(n), "label": "ab"[n % 2]} for n in range(count)]
    if path.suffix in (".csv", ".tsv"):
        mark = {".csv": ",", ".tsv": "\t"}[path.suffix]
        path.write_text("\n".join([mark.join(row) for row in [["text", "label"], *(list(r.values()) for r in rows)]]))
    elif path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv", "a.parquet", "a.jsonl.gz"])
def test_files_of_every_kind_are_streamed(name: str, tmp_path: Path) -> None:
    source = StreamSource(train=str(_write(tmp_path / name, 30)), shuffle_buffer=1)
    assert [row["text"].strip() for row in source.rows(0)(0)] == [_text(n).strip() for n in range(30)]
    shuffled = StreamSource(train=str(tmp_path / "a.*"), shuffle_buffer=100).rows(0)
    orders = [[row["text"] for row in shuffled(turn)] for turn in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2])


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_workers_read_files_that_were_looked_into_before(
    name: str, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    rows = StreamSource(train=str(_write(tmp_path / name, 40)), shuffle_buffer=10).rows(0)
    assert len(list(rows(0))) == 40  # as is done for labels
    found = _flat(_seen(_loader(_stream(tokenizer, rows), 20, workers=2), tokenizer))
    assert found == Counter(_text(number).strip() for number in range(40))


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({}, ConfigError, "name files or a data set, and not both"),
        ({"train": "a.jsonl", "path": "squad"}, ConfigError, "name files or a data set, and not both"),
        ({"train": "none.jsonl"}, DataError, "there is no file 'none.jsonl'"),
        ({"train": "a.conll"}, DataError, r"files of \.conll cannot be streamed"),
        ({"train": ["a.jsonl", "b.csv"]}, DataError, r"files of \.csv, \.jsonl cannot be streamed"),
    ],
)
def test_what_cannot_be_streamed_is_named(
    given: dict[str, Any], error: type[Exception], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jsonl", "b.csv", "a.conll"):
        _write(tmp_path / name, 3)
    with pytest.raises(error, match=says):
        StreamSource(**given).rows(0)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.jsonl", "", "it is empty"),
        ("bad.jsonl", '{"text": "a", "label": "b"}\n' * 50 + '{"text": "a", "la\n', "JSON parse error: .* in row 50"),
        ("bad.csv", "text,label\n" + "a,b\n" * 50 + "a,b,c,d\n", "Expected 2 fields in line 52, saw 4"),
    ],
)
def test_what_breaks_a_stream_is_told(name: str, content: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError, match=f"^data.train={path}: the data set could not be loaded: .*{says}"):
        list(StreamSource(train=str(path)).rows(0)(0))


def test_a_data_set_s_own_splits_are_read(tmp_path: Path) -> None:
    for name, count in (("train", 30), ("validation", 4), ("test", 3)):
        _write(tmp_path / f"{name}.jsonl", count)
    source = StreamSource(path=str(tmp_path))
    assert {split: len(table) for split, table in source.load(["train", "val", "test"]).items()} == {
        "val": 4,
        "test": 3,
    }
    assert len(list(source.rows(0)(0))) == 30


STREAMED = ("task=classification", "data=streaming", "data.limit={train: null, val: null, test: null}")


def _files(folder: Path, train: int = 60) -> list[str]:
    return [
        f"data.{name}={_write(folder / f'{name}.jsonl', n)}" for name, n in (("train", train), ("val", 10), ("test", 9))
    ]


def test_a_run_from_a_stream_is_resumed_and_evaluated(tmp_path: Path) -> None:
    typed = (*STREAMED, *_files(tmp_path), "data.epoch_size=40", "data.shuffle_buffer=20")
    whole = running.train(tmp_path / "whole", *typed, "trainer.max_epochs=3")
    assert len(running.losses(whole)) == 15 + 1  # the last row holds the last step's again, beside the test
    part = running.train(tmp_path / "part", *typed, "trainer.max_epochs=3", "trainer.max_steps=7", "scheduler=constant")
    running.resume(part, "trainer.max_steps=15")
    again = running.train(tmp_path / "again", *typed, "trainer.max_epochs=3", "scheduler=constant")
    assert running.losses(part) == running.losses(again)
    tested = running.evaluate(whole / "checkpoints" / "best.ckpt", tmp_path / "tested")
    assert running.predictions(tested) == running.predictions(whole)
    assert len(running.predictions(tested)) == 9


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (("data.packing=true",), "data.packing does not go with data=streaming"),
        (("data.limit.train=5",), "data.limit.train does not go with data=streaming"),
        (("data.augment={swap: 0.1}",), "data.augment does not go with data=streaming"),
        (("data.train=null",), "nothing to train on was named"),
        (("data.test=null",), "there is no data for test"),
        (("data.epoch_size=0",), "data.epoch_size=0: expected a whole number"),
    ],
)
def test_what_a_stream_cannot_do_is_refused(typed: tuple[str, ...], says: str, tmp_path: Path) -> None:
    place = f"run_dir={tmp_path / 'run'}"
    outcome = command.run("train", [*running.SMALL, *STREAMED, *_files(tmp_path), *typed, place], tmp_path)
    assert outcome.status == 1
    assert says in outcome.err
    assert not (tmp_path / "run").exists()


MEASURE = """
import resource, sys
from itertools import islice
from lightune.data.sources import Stream
from lightune.data.table import Table
from lightune.data import readers
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
list(islice(Stream(train=sys.argv[1], shuffle_buffer=100).rows(0)(0), 500))
before = peak()
count = sum(1 for _ in Stream(train=sys.argv[1], shuffle_buffer=100).rows(0)(0))
print(count, peak() - before)
"""


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    line = json.dumps({"text": "word " * 400, "label": "a"}) + "\n"
    with path.open("w") as file:
        file.writelines(line for _ in range(60_000))  # 120 MB
    ended = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    count, more = ended.stdout.split()
    assert int(count) == 60_000
    assert float(more) < 60  # MiB
