"""Features are built once, kept under a name that changes with whatever they depend on, and never half there."""

import importlib.util
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.context import ForkServerContext
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from lightune.data.encoding import EncodedSplit, encode, fingerprint
from lightune.data.table import Row
from lightune.tasks.base import Task
from lightune.tasks.classification import Classification
from lightune.tasks.ner import EntityRecognition
from lightune.tasks.qa import QuestionAnswering

LENGTH = 16
ROWS: list[Row] = [
    {"id": "1", "text": "fine", "label": "good"},
    {"id": "2", "text": "Ω and 😀 \u2028 in one", "label": "bad"},
    {"id": "3", "text": "far too long " * 20, "label": "good"},
]
TASK = Classification(columns={"text": "text", "label": "label"}, labels=("bad", "good"))


@dataclass(frozen=True)
class Logged(Classification):
    """Writes a line for each batch it encodes; fails while there is a file called ``fail``."""

    folder: str = ""

    def encode(
        self, rows: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, list[Any]]:
        log = Path(self.folder) / "log"
        with log.open("a") as file:
            file.write(f"{len(rows['id'])}\n")
        time.sleep(0.2)  # so that others come while it builds
        if (Path(self.folder) / "fail").exists() and rows["example"][0] > 0:
            raise KeyboardInterrupt
        return super().encode(rows, tokenizer, max_length)

    def batches(self) -> list[int]:
        log = Path(self.folder) / "log"
        return [int(line) for line in log.read_text().split()] if log.exists() else []


def _logged(folder: Path) -> Logged:
    return Logged(columns=TASK.columns, labels=TASK.labels, folder=str(folder))


def _rows(count: int) -> list[Row]:
    return [{"id": str(i), "text": f"text {i}", "label": "good" if i % 3 else "bad"} for i in range(count)]


def _listed(split: EncodedSplit) -> list[Row]:
    return list(split.features)


def test_features_are_what_the_task_made_of_the_rows(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    split = encode(ROWS, TASK, tokenizer, LENGTH, tmp_path)
    expected = tokenizer([row["text"] for row in ROWS], truncation=True, max_length=LENGTH)["input_ids"]
    assert split.features["input_ids"] == expected
    assert split.features["labels"] == [1, 0, 1]
    assert split.features["example"] == [0, 1, 2]
    assert set(split.features.column_names) == {"input_ids", "token_type_ids", "labels", "example"}
    assert split.lengths == [len(ids) for ids in expected]
    assert split.examples is ROWS


def test_encoded_once_then_read(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    task, rows = _logged(tmp_path), _rows(1500)
    first, second = (encode(rows, task, tokenizer, LENGTH, tmp_path / "cache") for _ in range(2))
    assert task.batches() == [1000, 500]
    assert _listed(first) == _listed(second)
    assert first.lengths == second.lengths


def _state(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "encoded").iterdir() if path.suffix != ".lock")


def test_a_build_that_was_broken_off_leaves_nothing(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    task, rows, cache = _logged(tmp_path), _rows(1500), tmp_path / "cache"
    fail = tmp_path / "fail"
    fail.touch()
    with pytest.raises(KeyboardInterrupt):
        encode(rows, task, tokenizer, LENGTH, cache)
    assert _state(cache) == []
    fail.unlink()
    assert encode(rows, task, tokenizer, LENGTH, cache).features["example"] == list(range(1500))
    assert task.batches() == [1000, 500, 1000, 500]


def test_what_a_killed_process_left_is_replaced(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    name = fingerprint(ROWS, TASK, tokenizer, LENGTH)
    half = tmp_path / "encoded" / f"{name}.part"
    half.mkdir(parents=True)
    (half / "data-00000-of-00001.arrow").write_bytes(b"half a file")
    assert len(encode(ROWS, TASK, tokenizer, LENGTH, tmp_path).features) == 3
    assert _state(tmp_path) == [name]


def _encode_with_others(start: Any, folder: Path, tokenizer: PreTrainedTokenizerBase, results: Any) -> None:
    start.wait()
    split = encode(_rows(1200), _logged(folder), tokenizer, LENGTH, folder / "cache")
    results.put((len(split.features), sum(split.lengths)))


def test_of_several_processes_one_builds(
    processes: ForkServerContext, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    start, results = processes.Barrier(3), processes.Queue()
    ranks = [
        processes.Process(target=_encode_with_others, args=(start, tmp_path, tokenizer, results)) for _ in range(3)
    ]
    for rank in ranks:
        rank.start()
    found = [results.get(timeout=120) for _ in ranks]
    for rank in ranks:
        rank.join(timeout=60)
    assert [rank.exitcode for rank in ranks] == [0, 0, 0]
    assert _logged(tmp_path).batches() == [1000, 200]
    assert found == [found[0]] * 3
    assert found[0][0] == 1200


def _with_label(row: Row) -> Row:
    return {**row, "label": "bad"}


CHANGES: dict[str, Callable[[list[Row], Classification, PreTrainedTokenizerBase, int], tuple[Any, ...]]] = {
    "another text": lambda rows, *rest: ([{**rows[0], "text": "Fine"}, *rows[1:]], *rest),
    "another label": lambda rows, *rest: ([_with_label(rows[0]), *rows[1:]], *rest),
    "another order": lambda rows, *rest: (rows[::-1], *rest),
    "a row less": lambda rows, *rest: (rows[:-1], *rest),
    "another order of labels": lambda rows, task, *rest: (rows, replace(task, labels=("good", "bad")), *rest),
    "pairs": lambda rows, task, *rest: (rows, replace(task, columns={**task.columns, "text_pair": "id"}), *rest),
    "another length": lambda rows, task, tokenizer, length: (rows, task, tokenizer, length + 1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_name_changes_with(change: Callable[..., tuple[Any, ...]], tokenizer: PreTrainedTokenizerBase) -> None:
    changed = change([dict(row) for row in ROWS], TASK, tokenizer, LENGTH)
    assert fingerprint(*changed) != fingerprint(ROWS, TASK, tokenizer, LENGTH)


def test_the_name_changes_with_the_tokenizer(
    minilm: Any, tokenizer: PreTrainedTokenizerBase, byte_level_tokenizer: PreTrainedTokenizerFast
) -> None:
    more = minilm.tokenizer()
    more.add_tokens(["Ω"])
    names = {fingerprint(ROWS, TASK, each, LENGTH) for each in (tokenizer, byte_level_tokenizer, more)}
    assert len(names) == 3


def test_the_name_does_not_change_with_what_encodes_the_same(minilm: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    used = minilm.tokenizer()
    used(["some text", "and more"], truncation=True, max_length=5, padding=True)
    name = fingerprint(ROWS, TASK, tokenizer, LENGTH)
    assert fingerprint(ROWS, replace(TASK, monitor="accuracy"), used, LENGTH) == name
    shuffled = [dict(reversed(row.items())) for row in ROWS]
    assert fingerprint(shuffled, TASK, tokenizer, LENGTH) == name


def _module(path: Path, name: str, code: str) -> ModuleType:
    file = path / f"{name}.py"
    file.write_text(code)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_the_name_changes_with_the_task_s_code(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    code = "from lightune.tasks.classification import Classification\nclass Own(Classification):\n    {}\n"
    bodies = {"own_task_a": "kind = 1", "own_task_b": "kind = 1", "own_task_c": "kind = 2"}
    try:
        modules = [_module(tmp_path, name, code.format(body)) for name, body in bodies.items()]
        tasks: list[Task] = [module.Own(columns=TASK.columns, labels=TASK.labels) for module in modules]
        first, same, other = (fingerprint(ROWS, task, tokenizer, LENGTH) for task in tasks)
    finally:
        for name in bodies:
            sys.modules.pop(name, None)
    assert first == same != other


ANSWER = {"text": ["end"], "answer_start": [4]}
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight"]


@pytest.mark.parametrize(
    ("task", "rows", "truncated"),
    [
        (TASK, ROWS, 1),
        (replace(TASK, columns={**TASK.columns, "text_pair": "text_pair"}), [{**ROWS[0], "text_pair": "x " * 30}], 1),
        # 14 word pieces and two special tokens fill a feature exactly.
        (TASK, [{"id": "1", "text": "x " * 14, "label": "bad"}, {"id": "2", "text": "x " * 15, "label": "bad"}], 1),
        (
            EntityRecognition(columns={}, labels=("B-X", "O")),
            [{"id": str(n), "tokens": WORDS * n, "tags": ["O"] * 8 * n} for n in (1, 2, 3)],
            2,
        ),
        # A long passage becomes windows and loses nothing; a question that is cut counts once, however many windows.
        (
            QuestionAnswering(columns={}),
            [
                {"id": "1", "question": "what?", "context": "the end " + "and so on " * 30, "answers": ANSWER},
                {"id": "2", "question": "what " * 20, "context": "the end " + "and so on " * 30, "answers": ANSWER},
            ],
            1,
        ),
    ],
    ids=["texts", "pairs", "exact fit", "words", "questions"],
)
def test_examples_that_lost_tokens_are_counted(
    task: Task, rows: Sequence[Row], truncated: int, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    split = encode(rows, task, tokenizer, LENGTH, tmp_path)
    assert split.truncated == truncated
    assert max(split.lengths) == LENGTH
    assert encode(rows, task, tokenizer, 1000, tmp_path).truncated == 0
