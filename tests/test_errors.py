"""What a user can get wrong ends in one message with a remedy, before a model is loaded, and leaves nothing behind."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from lightune.checkpoint import CARD, AtomicCheckpointIO
from lightune.models import Backbone
from tests.command import ROOT, run


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


GOOD = lines(*({"text": f"text {i}", "label": "ab"[i % 2]} for i in range(20)))
CLASSIFY = "task=classification data=files data.train=good.jsonl"
ROWS = "task=classification data=files data.train=rows"
QA = {"id": "1", "context": "Paris lies on the Seine.", "question": "Where?"}


@dataclass(frozen=True)
class Case:
    """A command, the files it finds beside ``good.jsonl``, and what its message has to contain."""

    command: str
    says: tuple[str, ...]
    files: dict[str, str | bytes] = field(default_factory=dict)
    make: Callable[[Path], object] | None = None
    script: str = "train"


def earlier_run(folder: Path) -> None:
    """Write the two checkpoints of a run of task=classification peft=lora, and damaged copies."""
    run_dir = folder / "earlier"
    card = {"config": {}, "overrides": ["task=classification"], "choices": {"task": "classification", "peft": "lora"}}
    for name in ("best", "last"):
        path = run_dir / "checkpoints" / f"{name}.ckpt"
        AtomicCheckpointIO().save_checkpoint({"state_dict": {"model.w": torch.zeros(100)}, CARD: card}, path)
    whole = (run_dir / "checkpoints" / "best.ckpt").read_bytes()
    (folder / "half.ckpt").write_bytes(whole[: len(whole) // 2])
    torch.save({"state_dict": {}}, folder / "foreign.ckpt")


def evaluate(command: str, *says: str) -> Case:
    return Case(command, says, make=earlier_run, script="eval")


def resume(command: str, *says: str) -> Case:
    return Case(command, says, make=earlier_run)


KEYS = {
    "unknown key": Case("sed=3", ("sed: there is no such key", "did you mean 'seed'")),
    "unknown nested key": Case("data.batch_sze=8", ("data.batch_sze: there is no such key", "'batch_size'")),
    "unknown added key": Case("+sed=3", ("sed: nothing reads a key of that name", "'seed'")),
    "unknown added nested key": Case("+data.batch_sze=8", ("data.batch_sze: nothing reads", "'batch_size'")),
    "unknown added split": Case("+data.limit.tran=8", ("data.limit.tran: nothing reads", "did you mean 'train'?")),
    "key of another option": Case("data.train=x.csv", ("data.train: there is no such key", "belongs to data=files")),
    "unknown option": Case("model=bert-bse", ("model=bert-bse: there is no such option", "'bert-base'")),
    "unknown logger": Case("logger=wandbb", ("logger=wandbb: there is no such option", "did you mean 'wandb'?")),
    "unknown logger in a list": Case("logger=[csv,tensorbord]", ("logger=tensorbord", "did you mean 'tensorboard'?")),
    "unknown callbacks": Case("callbacks=defalt", ("callbacks=defalt", "did you mean 'default'?")),
    "unknown experiment": Case("experiment=exmple", ("experiment=exmple", "did you mean 'example'?")),
    "unknown debug preset": Case("debug=fast_run", ("debug=fast_run", "did you mean 'fast_dev_run'?")),
    "unknown group": Case("taks=qa", ("taks: there is no such key", "did you mean 'task'")),
    "group that is not there": Case("vehicle=car", ("vehicle: there is no such key", "there is: callbacks, ")),
    "reference to nothing": Case("data=files 'data.train=${nope}'", ("data.source.train: ", "'nope' not found")),
    "group without options": Case("callbacks=null", ("a config group takes the name of an option", "callbacks=none")),
    "unknown callback": Case("callbacks.bst=null", ("callbacks.bst: there is no such key", "'best'")),
    "unknown argument of a callback": Case(
        "+callbacks.last.every_n_step=5", ("callbacks.last.every_n_step: LastCheckpoint takes no", "'every_n_steps'")
    ),
    "unknown argument of a logger": Case(
        "logger=csv +logger.csv.run_dr=x", ("logger.csv.run_dr: HistoryLogger takes no", "'run_dir'")
    ),
    "unknown argument of the trainer": Case("+trainer.max_epoch=5", ("trainer.max_epoch: Trainer", "'max_epochs'")),
    "unknown argument of the task": Case("'+task.colums={id: x}'", ("task.colums: QuestionAnswering", "'columns'")),
    "unknown argument of peft": Case("+peft.target_module=[query]", ("peft.target_module: Adapter", "target_modules")),
    "unknown argument of LoRA": Case("+peft.config.rank=8", ("peft.config.rank: LoraConfig takes no", "rank_pattern")),
    "unknown argument of the optimiser": Case("+optimizer.beta=0.9", ("optimizer.beta: AdamW", "'betas'")),
    "unknown argument of the schedule": Case("+scheduler.warm_up=5", ("scheduler.warm_up: linear", "'warmup'")),
    "unknown key of the model": Case("+model.config.hidden_sze=8", ("model.config.hidden_sze", "'hidden_size'")),
    "not an override": Case("seed", ("seed: this cannot be read as key=value",)),
    "unquoted value": Case("data=files data.train=größe.csv", ("cannot be read", "'data.train=\"größe.csv\"'")),
}

VALUES = {
    "mandatory value of the data": Case("data=hub", ("data.path: a value is needed", "type data.path=")),
    "mandatory value of the model": Case("model=auto", ("model.path: a value is needed", "type model.path=")),
    "batch of nothing": Case("data.batch_size=0", ("data.batch_size=0: expected a whole number of at least 1", "=16")),
    "batch size in words": Case("data.batch_size=many", ("data.batch_size=many: expected a whole number",)),
    "no token budget": Case("data.tokens_per_batch=0", ("data.tokens_per_batch=0", "=1000")),
    "balance of a budget": Case(
        "task=classification data.balanced=true data.tokens_per_batch=500",
        ("data.balanced=true does not go with data.tokens_per_batch", "data.tokens_per_batch=null"),
    ),
    "balance of what has no kinds": Case(
        "model=tiny task=qa data.balanced=true data.limit.train=20",
        ("data.balanced=true: the examples of task=qa are of no kinds", "data.balanced=false"),
    ),
    "no such pooling": Case("model=tiny task=embedding task.pooling=max", ("task.pooling=max", "mean")),
    "scores that are not there": Case(
        "model=tiny task=embedding task.loss=cosent", ("task.loss=cosent needs scores", "task.columns.score=")
    ),
    "one limit for all splits": Case("data.limit=50", ("data.limit=50: expected named values", "data.limit.train=")),
    "negative learning rate": Case("optimizer.lr=-1e-4", ("optimizer.lr=-0.0001: expected a number above 0",)),
    "betas out of range": Case("optimizer.betas=[2,3]", ("Invalid beta parameter", "mend optimizer")),
    "warm-up of more than the run": Case("scheduler.warmup=1.5", ("scheduler.warmup=1.5", "a share below 1")),
    "warm-up longer than the run": Case(
        "model=tiny scheduler.warmup=100 trainer.max_steps=10", ("100 steps is longer than the run, which has 10",)
    ),
    "endless": Case("trainer.max_epochs=-1", ("training would never end", "type trainer.max_epochs=3")),
    "shares of a cut": Case("data.split.train=0.9", ("data.split=", "sum to 1", "data.split.train=0.8")),
    "no metric to watch": Case("task.monitor=f2", ("task.monitor=f2: qa has no such metric", "did you mean 'f1'?")),
    "a callback watches nothing": Case(
        "callbacks.early_stopping.monitor=val/f2", ("callbacks.early_stopping.monitor=val/f2", "'val/f1'")
    ),
    "a callback's value": Case("callbacks.early_stopping.mode=maxi", ("callbacks.early_stopping", "min, max")),
    "a threshold of nothing": Case(
        "task.no_answer_threshold=1", ("task.no_answer_threshold=1: every question", "task.no_answer=true")
    ),
    "no folder": Case("run_dir=null", ("run_dir=null: a run needs a folder", "run_dir=<folder>")),
    "a run in the folder": Case(
        "run_dir='my old run'", ("a run lies there already", "'resume="), files={"my old run/config.yaml": "seed: 1\n"}
    ),
}

COMBINATIONS = {
    "qa on a seq2seq": Case("model=t5-small", ("task=qa does not work on an encoder-decoder", "model=minilm")),
    "qa on a seq2seq that tells by its files": Case(
        "model=auto model.path=t5",
        ("task=qa does not work on an encoder-decoder", "model=minilm"),
        files={"t5/config.json": json.dumps({"model_type": "t5"})},
    ),
    "a prompt before several choices": Case(
        "task=choice peft=prompt_tuning", ("task=choice has several in each", "type peft=lora")
    ),
    "no such model": Case("model=auto model.path=no/such", ("model.path=no/such: it could not be loaded", "minilm")),
    "no such kind of model": Case("+model.config.model_type=brt", ("model.config.model_type=brt", "'bert'")),
    "no such module": Case("peft.target_modules=[quary]", ("is called 'quary'", "did you mean 'query'?")),
    "bias of LoRA": Case("+peft.config.bias=foo", ("Requested bias: foo", "change peft.target_modules or peft.config")),
    "rank of LoRA": Case("peft.config.r=0", ("`r` should be a positive integer", "peft.config")),
    "no GPU": Case("trainer=gpu", ("this machine has no GPU", "trainer=cpu")),
    "float16 without a GPU": Case("precision=16-mixed", ("precision=16-mixed needs a GPU", "precision=32")),
    "no such precision": Case("trainer.precision=33", ("trainer: ", "Precision", "33", "is invalid")),
    "no such accelerator": Case("trainer.accelerator=gpuu", ("trainer: ", "`accelerator='gpuu'`")),
    "ranks in a multirun": Case("-m trainer=ddp seed=1,2", ("-m with DDP", "hydra/sweeper=lightune")),
}

FILES = {
    "no file": Case("data=files", ("data.train: no training file was named", "type data.train=<file>")),
    "missing file": Case(f"{CLASSIFY} data.val=god.jsonl", ("data.val=god.jsonl: there is no such file", "'good.js")),
    "missing folder": Case("data=files data.train=d/good.jsonl", ("data.train=d/good.jsonl", "'good.jsonl'")),
    "no match": Case("data=files 'data.train=*.csv'", ("there is no file '*.csv'", "good.jsonl")),
    "unknown format": Case(f"{CLASSIFY} data.format=jsnl", ("no data format 'jsnl'", "did you mean 'jsonl'")),
    "unknown suffix": Case(f"{ROWS}.dat", ("the format of rows.dat cannot be told", "data.format="), {"rows.dat": "a"}),
    "unknown option of the reader": Case(
        f"{CLASSIFY} '+data.options.delimeter=\";\"'", ("data.options.delimeter: readers have no", "'delimiter'")
    ),
    "empty file": Case(f"{ROWS}.jsonl", ("rows.jsonl is empty", "at least one example"), {"rows.jsonl": "\n"}),
    "header only": Case(
        f"{ROWS}.csv", ("rows.csv holds a header (text, label) and no rows",), {"rows.csv": "text,label\n"}
    ),
    "wrong column": Case(
        f"{CLASSIFY} task.columns.text=txt", ("no column 'txt' for the task's 'text'", "task.columns.text=", "'text'")
    ),
    "columns of another task": Case(
        "data=files data.train=good.jsonl", ("no column 'context'", "task.columns.context=")
    ),
    "fields of a CSV row": Case(
        f"{ROWS}.csv",
        ("rows.csv, line 3: 3 fields, expected 2", "double quotes"),
        {"rows.csv": "text,label\na,b\nc,d,e\n"},
    ),
    "JSON line": Case(
        f"{ROWS}.jsonl",
        ("rows.jsonl, line 2: not valid JSON", "write one object per line"),
        {"rows.jsonl": lines({"text": "a", "label": "b"}) + '{"text": "c"\n'},
    ),
    "not UTF-8": Case(
        f"{ROWS}.csv",
        ("rows.csv, line 2: byte 0xe9 is not UTF-8", "iconv -f latin1"),
        {"rows.csv": "text,label\ncafé,a\n".encode("latin1")},
    ),
    "no value": Case(
        f"{ROWS}.jsonl",
        ("rows.jsonl, line 2: column 'text' has no value", "leave the row out"),
        {"rows.jsonl": lines({"text": "a", "label": "b"}, {"text": None, "label": "b"})},
    ),
    "blank text": Case(
        f"{ROWS}.jsonl",
        ("rows.jsonl, line 1: column 'text' should hold a text", "leave out the row"),
        {"rows.jsonl": lines({"text": " ", "label": "b"})},
    ),
    "no label": Case(
        f"{ROWS}.jsonl",
        ("rows.jsonl, line 2: column 'label' has no value", "fill it in"),
        {"rows.jsonl": lines({"text": "a", "label": "b"}, {"text": "c"})},
    ),
    "unknown label in val": Case(
        f"{CLASSIFY} data.val=val.jsonl",
        ("val.jsonl, line 2: label 'c' is unknown", "there is: a, b", "task.labels="),
        {"val.jsonl": lines({"text": "x", "label": "a"}, {"text": "y", "label": "c"})},
    ),
    "unknown label in test": Case(
        f"{CLASSIFY} data.test=test.jsonl",
        ("test.jsonl, line 1: label 'c' is unknown", "task.labels="),
        {"test.jsonl": lines({"text": "y", "label": "c"})},
    ),
    "one label": Case(
        f"{ROWS}.jsonl",
        ("rows.jsonl: all examples have the same label, 'b'", "task.columns.label"),
        {"rows.jsonl": lines(*[{"text": "a", "label": "b"}] * 20)},
    ),
    "too few rows": Case(
        f"{ROWS}.jsonl",
        ("rows.jsonl has 2 rows, and at least 3 are needed", "data.val="),
        {"rows.jsonl": lines({"text": "a", "label": "b"}, {"text": "c", "label": "d"})},
    ),
    "answer beside its place": Case(
        "data=files data.train=qa.json",
        ("qa.json, row 1: the answer 'Seine' does not stand at character 17", "mend answer_start"),
        {"qa.json": json.dumps([{**QA, "answers": {"text": ["Seine"], "answer_start": [17]}}])},
    ),
    "answer not in the passage": Case(
        "data=files data.train=qa.jsonl",
        ("qa.jsonl, line 2: the answer 'Rhine' does not stand in the context", "mend it"),
        {"qa.jsonl": lines({**QA, "answers": "Seine"}, {**QA, "answers": "Rhine"})},
    ),
    "no answer": Case(
        "data=files data.train=qa.jsonl",
        ("qa.jsonl, line 2: the question has no answer", "task.no_answer=true"),
        {"qa.jsonl": lines({**QA, "answers": "Seine"}, {**QA, "answers": {"text": [], "answer_start": []}})},
    ),
    "no answer, and not impossible": Case(
        "task=qa_v2 data=files data.train=qa.jsonl",
        ("qa.jsonl, line 1: is_impossible is false, and the question has no answer", "set is_impossible to true"),
        {"qa.jsonl": lines({**QA, "answers": "", "is_impossible": False})},
    ),
    "tags of another length": Case(
        "task=ner data=files data.train=ner.jsonl",
        ("ner.jsonl, line 1: tokens and tags", "are 2 and 1", "one tag for each word"),
        {"ner.jsonl": lines({"tokens": ["a", "b"], "tags": ["O"]})},
    ),
    "malformed tag": Case(
        "task=ner data=files data.train=ner.jsonl",
        ("ner.jsonl, line 1: the tag 'PER'", "write tags as BIO"),
        {"ner.jsonl": lines({"tokens": ["Ann"], "tags": ["PER"]})},
    ),
    "unknown tag": Case(
        "task=ner data=files data.train=a.conll data.val=a.conll data.test=b.conll",
        ("b.conll, line 1: label 'B-LOC' is unknown", "B-PER"),
        {"a.conll": "Ann B-PER\n", "b.conll": "Rome B-LOC\n"},
    ),
    "no tag at all": Case(
        "task=ner data=files data.train=a.conll data.val=a.conll data.test=a.conll",
        ("a.conll: no word is tagged", "task.columns.tags"),
        {"a.conll": "Ann O\n"},
    ),
    "columns of a CoNLL row": Case(
        "task=ner data=files data.train=a.conll",
        ("a.conll, line 2: 3 columns, but 2", "each line is a token"),
        {"a.conll": "Ann B-PER\nx y O\n"},
    ),
    "no such data set": Case("data=hub data.path=no_such_set", ("data.path=no_such_set", "data=files")),
}

CHECKPOINTS = {
    "nothing to evaluate": evaluate("", "nothing to evaluate was named", "type checkpoint="),
    "missing": evaluate("checkpoint=earlier/checkpoints/bst.ckpt", "there is no such checkpoint", "'best.ckpt'"),
    "missing run": evaluate("checkpoint=erlier", "checkpoint=erlier: there is no such", "'earlier'"),
    "truncated": evaluate("checkpoint=half.ckpt", "half.ckpt: the checkpoint is truncated or damaged", "use another"),
    "not ours": evaluate("checkpoint=foreign.ckpt", "was not written by lightune", "model=auto"),
    "of another task": evaluate(
        "checkpoint=earlier task=ner", "trained with task=classification", "leave out task=ner"
    ),
    "of another method": evaluate("checkpoint=earlier peft=full", "trained with peft=lora", "leave out peft=full"),
    "several": evaluate("-m checkpoint=earlier,half.ckpt", "checkpoint names several runs", "once for each"),
    "under a preset": evaluate(
        "checkpoint=earlier debug=limit", "a preset cannot be laid over", "the keys that it sets"
    ),
    "resumed evaluation": evaluate("checkpoint=earlier resume=x", "resume=x: an evaluation resumes", "train.py"),
    "trained checkpoint": resume("checkpoint=earlier", "checkpoint: there is no such key"),
    "split": evaluate("checkpoint=earlier split=dev", "split=dev: there is no such split", "val"),
    "data without a file": evaluate(
        "checkpoint=earlier data=files", "data.test: no file was named", "data.test=<file>"
    ),
    "latest of none": resume("resume=latest", "resume=latest: no checkpoint lies under runs", "name the run folder"),
    "resume a folder of something else": resume("resume=.", "this folder holds no checkpoints/last.ckpt", "earlier"),
    "resume truncated": resume("resume=half.ckpt", "half.ckpt: the checkpoint is truncated", "use another"),
    "resume another task": resume("resume=earlier task=qa", "trained with task=classification", "leave out task=qa"),
    "resume another method": resume("resume=earlier peft=full", "trained with peft=lora", "leave out peft=full"),
}

CASES = {**KEYS, **VALUES, **COMBINATIONS, **FILES, **CHECKPOINTS}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working directory in which no model can be loaded, on a machine without GPUs."""

    def refuse(*arguments: object, **options: object) -> None:
        pytest.fail("a model was loaded")

    monkeypatch.setattr(Backbone, "load", refuse)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (tmp_path / "good.jsonl").write_text(GOOD, encoding="utf-8")
    return tmp_path


def prepare(case: Case, folder: Path) -> set[Path]:
    """Write a case's files, and return everything that lies in the folder then."""
    for name, content in case.files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    if case.make:
        case.make(folder)
    return set(folder.rglob("*"))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_mistake_ends_in_one_message_that_helps(case: Case, folder: Path) -> None:
    before = prepare(case, folder)
    outcome = run(case.script, shlex.split(case.command), folder)
    problem, remedy = outcome.err.strip().splitlines()  # these two lines, and nothing else
    assert problem.startswith("lightune: ")
    assert remedy.startswith("  → ")
    assert [part for part in case.says if part not in outcome.err] == []
    assert outcome.status == 1
    assert set(folder.rglob("*")) == before


@pytest.mark.parametrize("name", ["unknown key", "missing file", "truncated"])
def test_the_shell_sees_status_1_and_the_message_on_standard_error(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    (tmp_path / "good.jsonl").write_text(GOOD, encoding="utf-8")
    prepare(case, tmp_path)
    command = [sys.executable, str(ROOT / f"{case.script}.py"), *shlex.split(case.command)]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    assert [part for part in case.says if part not in ended.stderr] == []
