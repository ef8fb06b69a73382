"""Features of a split, built once and kept on disk under a hash of everything they depend on."""

import hashlib
import inspect
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import transformers
from rich.progress import track
from transformers import PreTrainedTokenizerBase

from lightune.cache import built_once
from lightune.data import features as storage
from lightune.data.features import Features, concatenate
from lightune.data.table import Row
from lightune.tasks.base import Task

_BATCH = 1_000  # examples that a task encodes at once
_PROGRESS_FROM = 20_000  # examples; fewer are encoded before a bar would be read
_FILE = "features.safetensors"


@dataclass(frozen=True)
class EncodedSplit:
    """A split as the user's examples and as the model's features.

    Args:
        examples: Canonical rows.
        features: Their features; column ``example`` is a position in `examples`.
        lengths: Tokens of each feature.
        truncated: Number of examples that lost tokens.
        unknown: Share of tokens that stand for what the vocabulary lacks; None where it lacks nothing, as of bytes.
    """

    examples: Sequence[Row]
    features: Features
    lengths: Sequence[int]
    truncated: int
    unknown: float | None = None


def encode(
    examples: Sequence[Row], task: Task, tokenizer: PreTrainedTokenizerBase, max_length: int, cache: Path
) -> EncodedSplit:
    """Return the features of a split, from the cache where they are there already.

    When several processes ask at the same time, one builds and the others wait for it.

    Args:
        examples: Canonical rows of one split.
        task: Holds the encoding.
        tokenizer: Of the backbone.
        max_length: Tokens of a feature.
        cache: Folder that holds encoded splits.
    """
    folder = cache / "encoded" / fingerprint(examples, task, tokenizer, max_length)
    built_once(folder, lambda unfinished: _build(unfinished, examples, task, tokenizer, max_length))
    features = Features.load(folder / _FILE)
    truncated = len({e for e, was in zip(features["example"], features["truncated"], strict=True) if was})
    lengths = features["length"]
    unknown = _unknown_share(features, tokenizer)
    return EncodedSplit(examples, features.remove_columns(["length", "truncated"]), lengths, truncated, unknown)


def _unknown_share(features: Features, tokenizer: PreTrainedTokenizerBase) -> float | None:
    unknown = tokenizer.unk_token_id
    # Tokenizers of bytes know every text, and often call the token that ends a text their unknown one.
    if unknown is None or unknown in (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id):
        return None
    ids = features.columns["input_ids"].values
    return float((ids == unknown).sum()) / max(len(ids), 1)


def _build(
    folder: Path, examples: Sequence[Row], task: Task, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> None:
    begins = track(range(0, len(examples), _BATCH), "Encoding", disable=len(examples) < _PROGRESS_FROM)
    parts = [encoded(examples[begin : begin + _BATCH], begin, task, tokenizer, max_length) for begin in begins]
    folder.mkdir()
    concatenate(parts).save(folder / _FILE)


def encoded(
    rows: Sequence[Row], begin: int, task: Task, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> Features:
    """Return the features of some rows, with a column ``length``.

    Args:
        rows: Canonical rows, one after the other.
        begin: Position of the first in its split.
        task: Holds the encoding.
        tokenizer: Of the backbone.
        max_length: Tokens of a feature.
    """
    names = dict.fromkeys(chain.from_iterable(rows))
    columns: dict[str, list[Any]] = {name: [row.get(name) for row in rows] for name in names}
    columns["example"] = list(range(begin, begin + len(rows)))
    features = task.encode(columns, tokenizer, max_length)
    return Features.from_dict({"length": [len(ids) for ids in features["input_ids"]], **features})


def fingerprint(examples: Sequence[Row], task: Task, tokenizer: PreTrainedTokenizerBase, max_length: int) -> str:
    """Return a hash of everything that features depend on: rows, task settings, its code, tokenizer, length."""
    digest = hashlib.sha256()
    for row in examples:
        digest.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode())
    parts = {
        "settings": _settings(task),
        "code": "".join([_code(type(task).__module__), *map(inspect.getsource, (sys.modules[__name__], storage))]),
        "tokenizer": _tokenizer_state(tokenizer),
        "max_length": max_length,
        "transformers": transformers.__version__,
    }
    digest.update(json.dumps(parts, sort_keys=True, default=str).encode())
    return digest.hexdigest()[:32]


def _settings(task: Task) -> Any:
    """Return what of a task's settings its features depend on."""
    if not is_dataclass(task):
        return repr(task)
    ignored = {"monitor", "architectures", *task.unencoded}  # a sweep over them encodes once
    return {field.name: getattr(task, field.name) for field in fields(task) if field.name not in ignored}


def _code(module: str) -> str:
    """Return the source of a task's module and of those beside it that it takes functions from."""
    room = module.rpartition(".")[0] or module
    used = {str(getattr(value, "__module__", "")) for value in vars(sys.modules[module]).values()}
    return "".join(inspect.getsource(sys.modules[name]) for name in sorted(used | {module}) if name.startswith(room))


def _tokenizer_state(tokenizer: PreTrainedTokenizerBase) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:  # a slow tokenizer, in Python
        return repr(tokenizer) + json.dumps(tokenizer.get_vocab(), sort_keys=True)
    return _digest_of_state(backend.to_str())


@lru_cache(maxsize=8)  # it takes a tenth of a second, for each split
def _digest_of_state(content: str) -> str:
    # Truncation and padding are set by each call and would make the hash depend on what was encoded before.
    state = {**json.loads(content), "truncation": None, "padding": None}
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
