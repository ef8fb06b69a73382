"""Reads the benchmark files for the Hugging Face side, on its own: nothing here comes from lightune.

Each reader returns a list of plain rows:

- question answering: ``id``, ``question``, ``context``, ``answers`` (lists ``text`` and ``answer_start``, as in SQuAD)
- classification: ``text``, ``text_pair`` (only where a second column was named), ``label``
- named entities: ``tokens``, ``tags`` (BIO)
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Columns:
    """Which columns of a table hold the text, its optional partner and the label."""

    text: str = "text"
    text_pair: str | None = None
    label: str = "label"


def read_squad(path: Path) -> list[Row]:
    """Flatten a SQuAD JSON file into one row per question."""
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    return [
        {
            "id": question["id"],
            "question": question["question"].strip(),
            "context": paragraph["context"],
            "answers": {
                "text": [answer["text"] for answer in question["answers"]],
                "answer_start": [answer["answer_start"] for answer in question["answers"]],
            },
        }
        for article in articles
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


def read_table(path: Path, columns: Columns) -> list[Row]:
    """Read a CSV file, or a TSV file in which quotes are ordinary characters."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        if path.suffix == ".tsv":
            records = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        else:
            records = list(csv.DictReader(file))
    rows = [{"text": record[columns.text], "label": record[columns.label]} for record in records]
    if columns.text_pair is not None:
        for row, record in zip(rows, records, strict=True):
            row["text_pair"] = record[columns.text_pair]
    return rows


def read_conll(path: Path) -> list[Row]:
    """Read tab-separated ``token, tag`` lines; a blank line ends a sentence."""
    return list(_sentences(path.read_text(encoding="utf-8").split("\n")))


def _sentences(lines: list[str]) -> Iterator[Row]:
    tokens: list[str] = []
    tags: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            token, tag = line.split("\t")
            tokens.append(token)
            tags.append(tag.strip())
        elif tokens:
            yield {"tokens": tokens, "tags": tags}
            tokens, tags = [], []


def read_rows(task: str, path: Path, columns: Columns, limit: int | None = None) -> list[Row]:
    """Read one split.

    Args:
        task: ``qa``, ``classification`` or ``ner``.
        path: The file.
        columns: Column names, used for classification only.
        limit: Keep the first so many rows only; everything by default.

    Returns:
        Rows as described at the top of this module.
    """
    if task == "classification":
        rows = read_table(path, columns)
    else:
        rows = read_squad(path) if task == "qa" else read_conll(path)
    return rows[:limit]
