"""Instruction tuning: what an assistant responds, in conversations of one or several turns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from transformers import PreTrainedTokenizerBase

from lightune.data.table import Row, Table
from lightune.losses import IGNORED
from lightune.tasks.base import absent
from lightune.tasks.chat import ANY_RESPONSE, ChatTemplate, Message, Span, awaits_response, checked_messages
from lightune.tasks.columns import Columns, canonical, require_text
from lightune.tasks.text_to_text import TextToText


@dataclass(frozen=True)
class InstructionTuning(TextToText):
    """The responses of an assistant; the loss counts their tokens and the ones that end them, and nothing else.

    A row is a conversation (``messages``), or an ``instruction`` with its ``output`` and perhaps an ``input`` (Alpaca's
    form). An evaluation generates the last response from all that comes before it. Of a conversation that is too long
    the end is cut off.

    Args:
        columns: Canonical column (id, messages; or id, instruction, input, output, system) → the data's column. Where
            the data has the one for messages, the others are not read.
        prompt: Not used: the chat template says what is read.
        chat_template: A Jinja template instead of the tokenizer's own.
        architectures: Kinds of backbone that have a head for it.
        name: Name of the task.
        monitor: Validation metric that picks the best checkpoint.
    """

    columns: Columns
    prompt: Mapping[str, str] = field(default_factory=dict)
    max_target_length: int = 256
    chat_template: str | None = None
    architectures: tuple[str, ...] = ("decoder",)
    name: str = "instruct"

    packable: ClassVar[bool] = True

    def read(self, table: Table) -> Table:
        """Return rows of id, messages, and target: the last response, as a list of one text."""
        if self.columns.get("messages") in table.columns:
            read = canonical(table, {key: self.columns.get(key) for key in ("id", "messages")})
            for index, row in enumerate(read.rows):
                row["messages"] = checked_messages(row["messages"], read.locate(index))
        else:
            read = _read_instructions(table, self.columns)
        for row in read.rows:
            row["target"] = [row["messages"][-1]["content"]]
        return read

    def stand_ins(self, row: Row) -> Row:
        """Return some response, where responses are generated: as the output, or at the end of the conversation."""
        column = str(self.columns.get("messages"))
        if self.generation is None:
            return {}
        if column in row:
            return {column: [*row[column], ANY_RESPONSE]} if awaits_response(row[column]) else {}
        return absent(row, self.columns.get("output"), ANY_RESPONSE["content"])

    def encode(
        self, rows: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, list[Any]]:
        """Return input ids, labels at the tokens of responses, and how many tokens stand before the last response."""
        chat = ChatTemplate(tokenizer, self.chat_template)
        told = [chat.responses(messages) for messages in rows["messages"]]
        encoded = tokenizer(
            [text for text, _ in told], add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        pieces = list(zip(encoded["input_ids"], encoded["offset_mapping"], told, strict=True))
        return {
            "input_ids": [ids[:max_length] for ids, _, _ in pieces],
            "labels": [_labels(ids, offsets, spans)[:max_length] for ids, offsets, (_, spans) in pieces],
            "prompt_length": [min(_before(offsets, spans[-1]), max_length) for _, offsets, (_, spans) in pieces],
            "target_bytes": [_bytes(text, spans, offsets[:max_length]) for _, offsets, (text, spans) in pieces],
            "example": rows["example"],
            "truncated": [len(ids) > max_length for ids in encoded["input_ids"]],
        }


def _read_instructions(table: Table, columns: Columns) -> Table:
    wanted = {key: columns.get(key) for key in ("id", "instruction", "output")}
    there = {key: str(columns[key]) for key in ("input", "system") if columns.get(key) in table.columns}
    read = canonical(table.filled(there.values()), {**wanted, **there})
    for column in ("instruction", "output"):
        require_text(read, column, columns[column])
    for row in read.rows:
        row["messages"] = _conversation(row)
        for column in ("instruction", "input", "output", "system"):
            row.pop(column, None)
    return read


def _conversation(row: Row) -> list[Message]:
    asked = "\n\n".join(str(row[key]) for key in ("instruction", "input") if str(row.get(key) or "").strip())
    system = [{"role": "system", "content": row["system"]}] if str(row.get("system") or "").strip() else []
    return [*system, {"role": "user", "content": asked}, {"role": "assistant", "content": row["output"]}]


def _labels(ids: Sequence[int], offsets: Sequence[Span], spans: Sequence[Span]) -> list[int]:
    """Return the token where it belongs to a response, and `IGNORED` elsewhere."""
    return [
        token if any(start <= first < end for start, end in spans) else IGNORED
        for token, (first, _) in zip(ids, offsets, strict=True)
    ]


def _before(offsets: Sequence[Span], span: Span) -> int:
    """Return how many tokens begin before a span."""
    return sum(first < span[0] for first, _ in offsets)


def _bytes(text: str, spans: Sequence[Span], offsets: Sequence[Span]) -> int:
    """Return the bytes of responses that the given tokens cover."""
    reached = max((end for _, end in offsets), default=0)
    return sum(len(text[start : min(end, reached)].encode()) for start, end in spans if start < reached)
