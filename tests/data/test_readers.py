"""Each format is written by other means than ours and read back; each fault is named with its place and remedy."""

import csv
import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightune.data.readers import FORMATS, read
from lightune.data.table import Row, Table, concatenate
from lightune.errors import ConfigError, DataError, UserError

# A lone quote, a character at which str.splitlines would cut, and an empty field.
ROWS = [
    {"text": 'a "quoted, word', "label": "yes"},
    {"text": "naïve\u2028line\x85 · 日本語", "label": "no"},
    {"text": "", "label": "yes"},
]
SENTENCES = [
    {"tokens": ["New\xa0York", '"', "rocks"], "tags": ["B-LOC", "O", "O"]},
    {"tokens": ["#", "EU"], "tags": ["O", "B-ORG"]},
]


def _json(**options: Any) -> Callable[[list[Row]], bytes]:
    return lambda rows: json.dumps(rows, **options).encode()


def _jsonl(end: str) -> Callable[[list[Row]], bytes]:
    return lambda rows: "".join(json.dumps(row, ensure_ascii=False) + end for row in rows).encode()


def _tsv(end: str) -> Callable[[list[Row]], bytes]:
    return lambda rows: "".join("\t".join(line) + end for line in [rows[0], *(r.values() for r in rows)]).encode()


def _parquet(rows: list[Row]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return bytes(sink.getvalue().to_pybytes())


def _conll(gap: str, tail: str = "", end: str = "\n") -> Callable[[list[Row]], bytes]:
    def write(rows: list[Row]) -> bytes:
        lines = [f"-DOCSTART-{gap}-X-{gap}O", ""]
        for row in rows:
            lines += [f"{token}{gap}X{gap}{tag}{tail}" for token, tag in zip(row["tokens"], row["tags"], strict=True)]
            lines += [tail, ""]
        return end.join(lines).encode()

    return write


WRITTEN: dict[str, tuple[Callable[[list[Row]], bytes], list[Row]]] = {
    "list.json": (_json(), ROWS),
    "indented.json": (_json(indent=2), ROWS),
    "under_data.json": (lambda rows: json.dumps({"version": 1, "data": rows}, indent=1).encode(), ROWS),
    "lines.json": (_jsonl("\n"), ROWS),
    "lines.jsonl": (_jsonl("\n\n"), ROWS),
    "lines.ndjson": (_jsonl("\r\n"), ROWS),
    "table.tsv": (_tsv("\n"), ROWS),
    "crlf.tsv": (_tsv("\r\n"), ROWS),
    "mac.tsv": (_tsv("\r"), ROWS),
    "flat.parquet": (_parquet, ROWS),
    "nested.parquet": (_parquet, [{"id": 1, "answers": {"text": ["a", "b"], "answer_start": [0, 3]}}]),
    "tabs.conll": (_conll("\t"), SENTENCES),
    "blanks.bio": (_conll(" "), SENTENCES),
    "runs.iob": (_conll("   ", "  ", "\r\n"), SENTENCES),
    "tail.conll": (_conll("\t", " \t"), SENTENCES),
    "corpus.txt": (_conll(" "), SENTENCES),
    "corpus.tsv": (_conll("\t"), SENTENCES),
}
TEXTUAL = [name for name in WRITTEN if not name.endswith("parquet")]


def _put(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", WRITTEN)
def test_round_trip(name: str, packed: bool, tmp_path: Path) -> None:
    write, rows = WRITTEN[name]
    content = write(rows)
    path = _put(tmp_path / f"{name}.gz", gzip.compress(content)) if packed else _put(tmp_path / name, content)
    table = read(path)
    assert table.rows == rows
    assert table.columns == list(rows[0])
    assert table.origin == path.name


@pytest.mark.parametrize("name", TEXTUAL)
def test_byte_order_mark_is_no_part_of_the_data(name: str, tmp_path: Path) -> None:
    write, rows = WRITTEN[name]
    assert read(_put(tmp_path / name, b"\xef\xbb\xbf" + write(rows))).rows == rows


def test_csv_as_the_csv_module_writes_it(tmp_path: Path) -> None:
    rows = [*ROWS, {"text": 'two\nlines, "one" field', "label": "no"}, {"text": "x " * 100_000, "label": "yes"}]
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["text", "label"])
        writer.writeheader()
        writer.writerows(rows)
    limit = csv.field_size_limit()
    table = read(tmp_path / "a.csv")
    assert table.rows == rows
    # The fourth row spans lines 5 and 6, so the fifth begins in line 7.
    assert table.lines == [2, 3, 4, 5, 7]
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    ("name", "content", "options", "expected"),
    [
        ("a.csv", "x;y\n1;2\n", {"delimiter": ";"}, [{"x": "1", "y": "2"}]),
        ("a.csv", 'x|||y\n"1|||2\n', {"delimiter": "|||", "quoting": False}, [{"x": '"1', "y": "2"}]),
        ("a.csv", 'x,y\n"1,2"\n', {"quoting": False}, [{"x": '"1', "y": '2"'}]),
        ("a.tsv", 'x\ty\n"1\t"""\t2\n', {"quoting": True}, [{"x": '1\t"', "y": "2"}]),
        ("a.tsv", "1\t2\n", {"header": False}, [{"column_1": "1", "column_2": "2"}]),
        ("a.tsv", "1\t2\n", {"header": ["u", "v"]}, [{"u": "1", "v": "2"}]),
        ("a.tsv", " x \ty\n 1\t\n\t\n", {}, [{"x": " 1", "y": ""}, {"x": "", "y": ""}]),
        ("a.tsv", "x\tO\n\n1\tO\n", {"format": "tsv"}, [{"x": "1", "O": "O"}]),
        ("a.tsv", "x\tO\n\n1\tO\n", {"header": ["u", "v"]}, [{"u": "x", "v": "O"}, {"u": "1", "v": "O"}]),
        ("a.tsv", "x\tO\n1\tO\n\n\n", {}, [{"x": "1", "O": "O"}]),
        ("a.tsv", "O\n\nO\n", {}, [{"O": "O"}]),
        ("a.conll", " a b \t O\nc\t O", {}, [{"tokens": ["a b", "c"], "tags": ["O", "O"]}]),
        ("a.log", '{"x": 1}\n', {"format": "jsonl"}, [{"x": 1}]),
        ("a.JSONL", '{"x": 1}\n{"y": 2}', {}, [{"x": 1}, {"y": 2}]),
        ("a.v1.csv", "\n\nx\n\n1\n", {}, [{"x": "1"}]),
        ("a.csv", "x\ty\n1\t2\n", {"format": "tsv"}, [{"x": "1", "y": "2"}]),
    ],
)
def test_options(name: str, content: str, options: dict[str, Any], expected: list[Row], tmp_path: Path) -> None:
    assert read(_put(tmp_path / name, content), **options).rows == expected


def _squad(**question: object) -> dict[str, Any]:
    qa = {"id": 7, "question": "Who?", "answers": [{"text": "Ada", "answer_start": 0}]} | question
    kept = {key: value for key, value in qa.items() if value is not None}
    return {"version": "x", "data": [{"title": "A", "paragraphs": [{"context": "Ada wrote.", "qas": [kept]}]}]}


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ({}, {"answers": {"text": ["Ada"], "answer_start": [0]}}),
        (
            {"answers": [{"text": "Ada", "answer_start": 0}] * 3},
            {"answers": {"text": ["Ada"] * 3, "answer_start": [0] * 3}},
        ),
        (
            {"is_impossible": False},
            {"answers": {"text": ["Ada"], "answer_start": [0]}, "is_impossible": False},
        ),
        ({"is_impossible": True, "answers": []}, {"answers": {"text": [], "answer_start": []}, "is_impossible": True}),
        (
            {"is_impossible": True, "answers": None, "plausible_answers": [{"text": "wrote", "answer_start": 4}]},
            {"answers": {"text": [], "answer_start": []}, "is_impossible": True},
        ),
    ],
)
@pytest.mark.parametrize("format", ["squad", "json", None])
def test_squad_is_flattened(question: Row, expected: Row, format: str | None, tmp_path: Path) -> None:
    path = _put(tmp_path / "a.json", json.dumps(_squad(**question)))
    row = {"id": "7", "title": "A", "context": "Ada wrote.", "question": "Who?", **expected}
    assert read(path, format).rows == [row]


LATIN = "caf\xe9"
# name, content, options of read, and what the message must hold: the place, the fault, the remedy
FAULTS: list[tuple[str, str | bytes, dict[str, Any], list[str]]] = [
    # whole files
    ("a.csv", "", {}, ["a.csv is empty", "at least one example"]),
    ("a.jsonl", " \n\n", {}, ["a.jsonl is empty"]),
    ("a.csv", '""\n', {}, ["a.csv is empty"]),
    ("a.json", "[]", {}, ["a.json holds no rows"]),
    ("a.conll", "-DOCSTART- O\n", {}, ["a.conll holds no rows"]),
    ("a.parquet", _parquet([{"x": 1}])[:-9], {}, ["a.parquet is not a whole Parquet file", "again"]),
    ("a.parquet", b"", {}, ["a.parquet is not a whole Parquet file", "again"]),
    ("a.csv.gz", gzip.compress(b"x\n1\n" * 99)[:-12], {}, ["a.csv.gz", "truncated gzip", "again"]),
    ("a.csv.gz", gzip.compress(b"x\n1\n")[:-8] + bytes(8), {}, ["a.csv.gz", "gzip", "again"]),
    ("a.xlsx", "x", {}, ["a.xlsx", "format", *FORMATS, ".jsonl"]),
    ("train", "x", {}, ["train", "data.format="]),
    ("a.doc", "Some words.\n\nMore words.\n", {}, ["a.doc", "data.format="]),
    ("a.txt", " \n\n", {}, ["a.txt"]),
    ("a.txt", "Some words.\n", {"unit": "lines"}, ["data.options.unit=lines", "did you mean 'line'"]),
    ("a.txt", "Some words.\n", {"header": True}, ["a.txt is read as text", "data.format=csv"]),
    ("a.csv", "x\n1\n", {"unit": "line"}, ["a.csv is read as csv", "unit", "data.format=text"]),
    ("a.csv", "x\n1\n", {"format": "jsnl"}, ["'jsnl'", "did you mean 'jsonl'"]),
    ("a.jsonl", "{}", {"header": True}, ["a.jsonl is read as jsonl", "header", "data.format=csv"]),
    # encodings
    ("a.tsv", f"x\nok\n{LATIN}\n".encode("latin1"), {}, ["a.tsv, line 3", "0xe9 is not UTF-8", "iconv -f latin1"]),
    ("a.csv", "x\nab\n".encode("utf-16"), {}, ["a.csv, line 1", "not UTF-8", "iconv -f utf-16"]),
    # JSON
    ("a.jsonl", '{"x": 1}\n\n{"x": }\n', {}, ["a.jsonl, line 3", "Expecting value", "column 7", "one object per line"]),
    ("a.jsonl", '{"x": 1}\n[2]\n', {}, ["a.jsonl, line 2: a list, not an object"]),
    ("a.jsonl", '[\n{"x": 1}\n]\n', {}, ["a.jsonl, line 1", "data.format=json"]),
    ("a.jsonl", '{"x": "cut o', {}, ["a.jsonl, line 1", "Unterminated string"]),
    ("a.jsonl", f'{{"x": {"9" * 5000}}}', {}, ["a.jsonl, line 1", "digits"]),
    ("a.json", '{"x": 1}\n{"x": \n', {}, ["a.json, line 2", "Expecting value"]),
    ("a.json", '[\n{"x": 1},\n]', {}, ["a.json, line", "not valid JSON", "[{…}, {…}]"]),
    ("a.json", '{"x": [1, 2], "y": [3]}', {}, ["a.json", "keys x, y", "[{…}, {…}]"]),
    ("a.json", '{"data": {"x": 1}}', {}, ["a.json", "keys data", "[{…}, {…}]"]),
    ("a.json", '"x"', {}, ["a.json holds a string", "list of objects"]),
    ("a.json", '[{"x": 1}, [2], 3]', {}, ["a.json, row 2: a list, not an object"]),
    ("a.json", '[{"x": 1}, {}, 3]', {}, ["a.json, row 3: a number, not an object"]),
    ("a.json", "[" * 200_000, {}, ["a.json", "not valid JSON"]),
    # CSV and TSV
    ("a.csv", "x,y\n", {}, ["a.csv", "header (x, y) and no rows", "data.options.header=false"]),
    ("a.csv", "x,y\n1,2\n\n1,2,3\n", {}, ["a.csv, line 4: 3 fields, expected 2 (x, y)", "'1,2,3'", "double quotes"]),
    ("a.csv", 'x,y\n"a\nb",2\n1\n', {}, ["a.csv, line 4: 1 field, expected 2", "delimiter"]),
    ("a.csv", 'x,y\n1,2\n"a,2\n1,2\n', {}, ["a.csv, row that begins in line 3", "quoting=false"]),
    ("a.csv", 'x,y\n"a"b,2\n', {}, ["a.csv, row that begins in line 2", '""']),
    (
        "a.tsv",
        "x\ty\n1\t2\n1\t" + "z" * 99 + "\t3\n",
        {},
        ["a.tsv, line 3: 3 fields, expected 2", "zzz…", "quoting=true"],
    ),
    ("a.tsv", "x\ty\tx\n1\t2\t3\n", {}, ["a.tsv, line 1", "'x' occurs twice", "data.options.header=false"]),
    ("a.csv", "x,,y\n1,2,3\n", {}, ["a.csv, line 1", "column 2 has no name", "data.options.header=["]),
    ("a.csv", ",x\n0,1\n", {}, ["a.csv, line 1", "column 1 has no name", "to_csv(index=False)"]),
    ("a.csv", "1,2\n", {"header": ["x"]}, ["a.csv, line 1: 2 fields, expected 1 (x)"]),
    ("a.csv", "1,2\n", {"header": ["x", "x"]}, ["data.options.header", "'x' occurs twice"]),
    ("a.csv", "1,2\n", {"header": []}, ["data.options.header", "no column names"]),
    ("a.csv", "1,2\n", {"header": "x"}, ["data.options.header", "not a list"]),
    ("a.csv", "1,2\n", {"delimiter": ""}, ["data.options.delimiter=''", "one character"]),
    ("a.csv", "1,2\n", {"delimiter": "||"}, ["data.options.delimiter='||'", "quoting=false"]),
    # CoNLL
    ("a.conll", "a O\nb\n", {}, ["a.conll, line 2", "'b' has no tag", "blank line"]),
    ("a.conll", "a\nb O\n", {}, ["a.conll, line 1", "'a' has no tag"]),
    ("a.conll", "a X O\n\nb O\n", {}, ["a.conll, line 3: 2 columns, but 3"]),
    ("a.conll", "a\tO\nb\tX\tO\n", {}, ["a.conll, line 2: 3 columns, but 2"]),
    ("a.conll", "a\tO\nNew York\n", {}, ["a.conll, line 2", "'New York' has no tag"]),
    ("a.conll", "a\tO\n\tB-PER\n", {}, ["a.conll, line 2", "'B-PER' has no token"]),
    # SQuAD
    ("a.json", '{"data": [{"title": "A"}]}', {"format": "squad"}, ["a.json, article 1 (A)", "'paragraphs'"]),
    ("a.json", '{"rows": []}', {"format": "squad"}, ["a.json", "'data'", "there is: rows"]),
    ("a.json", "[1]", {"format": "squad"}, ["a.json", "'data'", "list"]),
    ("a.json", '{"data": [{"paragraphs": []}, {"title": "B"}]}', {}, ["article 2 (B)", "'paragraphs'", "SQuAD reads"]),
    ("a.json", '{"data": [{"paragraphs": [{"context": "c"}]}]}', {}, ["article 1, paragraph 1", "'qas'", "context"]),
    ("a.json", '{"data": [{"paragraphs": [{"qas": []}]}]}', {}, ["article 1, paragraph 1", "'context'"]),
    ("a.json", '{"data": [{"paragraphs": {}}]}', {}, ["article 1", "'paragraphs' has the wrong type, dict"]),
    ("a.json", json.dumps(_squad(answers=None)), {}, ["article 1 (A), paragraph 1, question 1", "'answers'"]),
    ("a.json", json.dumps(_squad(id=None)), {}, ["article 1 (A), paragraph 1, question 1", "'id'"]),
    ("a.json", json.dumps(_squad(answers=[{"text": "a"}])), {}, ["question 1", "'answer_start'", "there is: text"]),
    ("a.json", json.dumps(_squad(answers=["Ada"])), {}, ["question 1", "'text'", "got str"]),
]


@pytest.mark.parametrize(
    ("name", "content", "options", "expected"), FAULTS, ids=[f"{i}-{fault[0]}" for i, fault in enumerate(FAULTS)]
)
def test_faults_are_explained(
    name: str, content: str | bytes, options: dict[str, Any], expected: list[str], tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        read(_put(tmp_path / name, content), **options)
    assert caught.value.remedy
    assert [part for part in expected if part not in str(caught.value)] == [], str(caught.value)
    about_options = any(word in caught.value.problem for word in ("data.options", "no data format"))
    assert isinstance(caught.value, ConfigError if about_options else DataError)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("trian.csv", ["trian.csv", "did you mean 'train.csv'"]),
        ("fodler/a.csv", ["fodler", "did you mean 'folder'"]),
        ("folder/sub/a.csv", ["no folder", "sub", "there is: a.csv"]),
        ("train.csv/a.csv", ["train.csv", "there is no"]),
        ("folder", ["folder is a folder", "it holds a.csv"]),
        ("folder/*.tsv", ["*.tsv", "a.csv"]),
        ([], ["list of data files is empty"]),
        (["train.csv", "nowhere.csv"], ["nowhere.csv"]),
    ],
)
def test_missing_files(
    asked: str | list[str], expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    _put(tmp_path / "train.csv", "x\n1\n")
    _put(tmp_path / "folder" / "a.csv", "x\n1\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        read(asked)
    assert [part for part in expected if part not in str(caught.value)] == [], str(caught.value)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_file_without_permission(tmp_path: Path) -> None:
    path = _put(tmp_path / "a.csv", "x\n1\n")
    path.chmod(0)
    with pytest.raises(DataError, match=r"a\.csv cannot be read"):
        read(path)


def test_several_files_keep_their_places(tmp_path: Path) -> None:
    _put(tmp_path / "b.jsonl", '{"x": 1}\n\n{"x": 2}\n')
    _put(tmp_path / "a.jsonl", '{"x": 0}\n')
    _put(tmp_path / "c.json", '[{"x": 3}, {"y": 4}]')
    table = read([str(tmp_path / "*.jsonl"), tmp_path / "c.json"])
    assert [row.get("x", row.get("y")) for row in table.rows] == [0, 1, 2, 3, 4]
    assert [table.locate(i) for i in range(len(table))] == [
        "a.jsonl, line 1",
        "b.jsonl, line 1",
        "b.jsonl, line 3",
        "c.json, row 1",
        "c.json, row 2",
    ]
    assert table.columns == ["x", "y"]
    assert table.origin == "a.jsonl, b.jsonl, c.json"


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    paths = [tmp_path / folder / "a.csv" for folder in ("one", "two")]
    for path in paths:
        path.parent.mkdir()
        _put(path, "x\n1\n")
    table = read(paths)
    assert [table.locate(i) for i in range(2)] == [f"{path}, line 2" for path in paths]


def test_taken_rows_keep_their_places() -> None:
    lines = Table([{"x": i} for i in range(4)], "a.tsv", lines=[2, 3, 5, 6])
    rows = Table([{"x": i} for i in range(4)], "squad (train)")
    picked = concatenate([lines, rows]).take([7, 2, 4]).take([1, 0])
    assert [row["x"] for row in picked.rows] == [2, 3]
    assert [picked.locate(0), picked.locate(1)] == ["a.tsv, line 5", "squad (train), row 4"]
    assert rows.take([3, 1]).take([0]).locate(0) == "squad (train), row 4"
    assert concatenate([rows]) is rows
    assert concatenate([lines, rows, rows, rows, lines]).origin == "a.tsv, squad (train), squad (train) and 2 more"


def test_sixty_thousand_rows_take_about_a_second(tmp_path: Path) -> None:
    line = 'it \'s a charming and often affecting journey , "said" no one\t1\n'
    path = _put(tmp_path / "a.tsv", "sentence\tlabel\n" + line * 60_000)
    start = time.perf_counter()
    assert len(read(path)) == 60_000
    # A tenth of this on an idle machine; the margin is for a busy one.
    assert time.perf_counter() - start < 3


def test_reading_text_imports_nothing_heavy(tmp_path: Path) -> None:
    path = _put(tmp_path / "a.csv", "x\n1\n")
    code = (
        "import sys; from lightune.data import readers, splits; readers.read(sys.argv[1]); "
        "print([name for name in ('torch', 'pandas', 'datasets', 'pyarrow', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


DATA = Path(os.environ.get("LIGHTUNE_DATA", "no such folder"))


@pytest.mark.skipif(not DATA.is_dir(), reason="LIGHTUNE_DATA does not name the folder of real data sets")
@pytest.mark.parametrize(
    ("name", "options", "count", "columns"),
    [
        ("sst2/train.tsv", {}, 60_614, ["sentence", "label"]),
        ("banking77/train.csv", {}, 10_003, ["text", "category"]),
        ("goemotions/train.tsv", {}, 43_410, ["text", "label", "id"]),
        ("glue/cola/in_domain_train.tsv", {"header": ["by", "label", "mark", "text"]}, 8_551, ["by", "label"]),
        ("glue/stsb/train.tsv", {"header": False}, 4_249, ["column_1", "column_10"]),
        ("glue/mrpc/msr-para-train.tsv", {}, 3_576, ["Quality", "#1 String"]),
        ("sick/test.tsv", {}, 4_927, ["sentence_A", "entailment_judgment"]),
        ("wnut17/train.conll", {}, 3_394, ["tokens", "tags"]),
        ("wnut17/val.conll", {}, 1_009, ["tokens", "tags"]),
        ("squad/*.json", {}, 5_820 + 819 + 851, ["id", "title", "context", "question", "answers"]),
        ("squad_v2/train.json", {}, 3_988, ["answers", "is_impossible"]),
        ("multi30k/train.jsonl", {}, 10_000, ["en", "de", "fr"]),
        ("mmlu/test__*.csv", {}, 14_042, ["question", "choice0", "answer"]),
    ],
)
def test_real_data(name: str, options: dict[str, Any], count: int, columns: list[str]) -> None:
    table = read(DATA / name, **options)
    assert len(table) == count
    assert set(columns) <= set(table.columns)
    if name.startswith("squad"):
        spans = [
            (row["context"][start : start + len(text)], text)
            for row in table.rows
            for text, start in zip(*row["answers"].values(), strict=True)
        ]
        assert spans
        assert all(seen == text for seen, text in spans)


DREAM: list[Any] = [
    [
        ["M: Hello.", "W: Good evening."],
        [
            {"question": "Who greets?", "choice": ["Both.", "Nobody."], "answer": "Both."},
            {"question": "When?", "choice": ["At noon.", "In the evening.", "Never."], "answer": "In the evening."},
        ],
        "5-510",
    ],
    [["M: Yes."], [{"question": "What?", "choice": ["Yes.", "No."], "answer": "Yes."}], "4-1"],
]


def test_dream_is_recognised_and_flattened(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text(json.dumps(DREAM, indent=2), encoding="utf-8")
    rows = read(path).rows
    assert [row["id"] for row in rows] == ["5-510-1", "5-510-2", "4-1-1"]
    assert rows[1] == {
        "id": "5-510-2",
        "context": "M: Hello.\nW: Good evening.",
        "question": "When?",
        "choices": ["At noon.", "In the evening.", "Never."],
        "answer": "In the evening.",
    }


@pytest.mark.parametrize(
    ("broken", "place"),
    [
        ([["M: No."], [], 7], "dialogue 2: expected its turns, its questions and its id"),
        ([["M: No."], []], "dialogue 2"),
        ([[3], [], "a"], "dialogue 2"),
        ({"question": "What?"}, "dialogue 2"),
        (
            [["M: No."], [DREAM[0][1][0], {"question": "What?"}], "a"],
            "dialogue 2, question 2: expected question, choice",
        ),
        ([["M: No."], ["What?"], "a"], "dialogue 2, question 1"),
    ],
)
def test_a_broken_dialogue_is_named(broken: Any, place: str, tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text(json.dumps([DREAM[0], broken]), encoding="utf-8")
    with pytest.raises(DataError, match=rf"train\.json, {place}"):
        read(path)


def test_a_file_s_name_fills_columns(tmp_path: Path) -> None:
    for name in ("dev__high_school_art_dev.csv", "dev__law_dev.csv"):
        (tmp_path / name).write_text("question\nWhat?\n", encoding="utf-8")
    table = read(tmp_path / "*.csv", from_name=r"__(?P<subject>\w+)_(?P<part>dev|test)\.csv")
    assert table.rows == [
        {"question": "What?", "subject": "high_school_art", "part": "dev"},
        {"question": "What?", "subject": "law", "part": "dev"},
    ]
    assert table.locate(1) == "dev__law_dev.csv, line 2"
    with pytest.raises(DataError, match=r"dev__high_school_art_dev\.csv: its name does not match"):
        read(tmp_path / "*.csv", from_name=r"(?P<subject>law)_dev")


@pytest.mark.parametrize(("expression", "problem"), [("(?P<subject>", "from_name"), (r"(\w+)_dev", "names no column")])
def test_an_expression_has_to_name_a_column(expression: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "a_dev.csv").write_text("question\nWhat?\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=problem):
        read(tmp_path / "a_dev.csv", from_name=expression)


@pytest.mark.parametrize(
    ("unit", "rows"),
    [
        (None, [(2, "One."), (3, "Two."), (6, "Three."), (7, "Four.")]),
        ("line", [(2, "One."), (3, "Two."), (6, "Three."), (7, "Four.")]),
        ("paragraph", [(2, "One.\nTwo."), (6, "Three.\n Four.")]),
        ("file", [(1, "One.\nTwo.\n\n \nThree.\n Four.")]),
    ],
)
def test_an_example_of_plain_text_is_a_line_a_paragraph_or_a_file(
    unit: str | None, rows: list[tuple[int, str]], tmp_path: Path
) -> None:
    path = _put(tmp_path / "words.txt", "\nOne.\nTwo.\n\n \nThree.\n Four.\n")
    table = read(path, unit=unit)
    assert [row["text"] for row in table.rows] == [text for _, text in rows]
    assert [table.locate(i) for i in range(len(rows))] == [f"words.txt, line {line}" for line, _ in rows]
    assert read([path, path], unit=unit).rows == table.rows * 2


def test_another_suffix_may_hold_plain_text(tmp_path: Path) -> None:
    assert read(_put(tmp_path / "notes.md", "# One\n"), "text").rows == [{"text": "# One"}]
