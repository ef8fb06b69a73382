"""SuperGLUE's own JSONL, where MultiRC, ReCoRD and WSC nest what the Hub has in columns (Wang et al. 2019)."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

from lightune.data.table import Row, Table
from lightune.errors import DataError

Flatten = Callable[[Row], Iterator[Row]]


def flattened(table: Table) -> Table:
    """Return the rows in the Hub's columns, if they are in one of the nested layouts; else the table as it is.

    Args:
        table: Objects of a file, one a line.

    Returns:
        For MultiRC a row for each answer, with ``idx``, ``paragraph``, ``question``, ``question_idx``, ``answer`` and
        ``label``; for ReCoRD a row for each query, with ``idx``, ``passage``, ``query``, ``entities`` and ``answers``,
        distinct texts; for WSC ``span1_text``, ``span2_text`` and their places beside the text.

    Raises:
        DataError: Some rows are nested so and another is not; names it.
    """
    kinds: dict[Flatten, Callable[[Row], bool]] = {_multirc: _is_multirc, _record: _is_record, _wsc: _is_wsc}
    for flatten, fits in kinds.items():
        if table.rows and fits(table.rows[0]):
            return _each(table, flatten, fits)
    return table


def _each(table: Table, flatten: Flatten, fits: Callable[[Row], bool]) -> Table:
    parts: list[Sequence[Row]] = []
    for index, row in enumerate(table.rows):
        if not fits(row):
            raise DataError(f"{table.locate(index)}: not in the layout of the rows before it", "mend or leave it out")
        parts.append([*flatten(row)])
    lines = [line for part, line in zip(parts, table.lines or [0] * len(parts), strict=True) for _ in part]
    return Table([*chain.from_iterable(parts)], table.origin, lines=lines)


def _is_multirc(row: Row) -> bool:
    passage = row.get("passage")
    questions = passage.get("questions") if isinstance(passage, dict) else None
    return isinstance(questions, list) and all(map(_is_question, questions))


def _is_question(value: Any) -> bool:
    answers = value.get("answers") if isinstance(value, dict) and "question" in value else None
    return isinstance(answers, list) and all(isinstance(a, dict) and "text" in a for a in answers)


def _multirc(row: Row) -> Iterator[Row]:
    passage = row["passage"]
    for number, question in enumerate(passage["questions"]):
        key = f"{row.get('idx', '')}-{question.get('idx', number)}"
        for place, answer in enumerate(question["answers"]):
            yield {
                "idx": f"{key}-{answer.get('idx', place)}",
                "paragraph": passage.get("text"),
                "question": question["question"],
                "question_idx": key,
                "answer": answer["text"],
                "label": answer.get("label"),
            }


def _is_record(row: Row) -> bool:
    passage, queries = row.get("passage"), row.get("qas")
    entities = passage.get("entities") if isinstance(passage, dict) else None
    return (
        isinstance(entities, list)
        and isinstance(queries, list)
        and all(isinstance(e, dict) and {"start", "end"} <= e.keys() for e in entities)
        and all(isinstance(q, dict) and "query" in q for q in queries)
    )


def _record(row: Row) -> Iterator[Row]:
    text = row["passage"]["text"]
    entities = [text[entity["start"] : entity["end"] + 1] for entity in row["passage"]["entities"]]  # inclusive ends
    for number, query in enumerate(row["qas"]):
        answers = [answer["text"] for answer in query.get("answers", ())]
        yield {
            "idx": f"{row.get('idx', '')}-{query.get('idx', number)}",
            "passage": text,
            "query": query["query"],
            "entities": list(dict.fromkeys(entities)),
            "answers": list(dict.fromkeys(answers)) or None,
        }


def _is_wsc(row: Row) -> bool:
    target = row.get("target")
    return isinstance(target, dict) and {"span1_text", "span2_text"} <= target.keys()


def _wsc(row: Row) -> Iterator[Row]:
    yield {**{key: value for key, value in row.items() if key != "target"}, **row["target"]}
