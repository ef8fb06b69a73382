"""plan=true: what it says comes true, and it leaves nothing behind."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.callbacks import Callback

from lightune.forecast.schedule import schedule
from lightune.forecast.volume import Volume
from tests import command, running

LENGTHS = [3, 1, 5, 2]
SENTENCES = (
    "The ferry to the island leaves at noon from the old harbour.",
    "Nobody had told the gardener about the frost of that night.",
    "She sold the last of her paintings to a stranger in Lisbon.",
    "The committee has put off its decision until the end of May.",
    "A heavy door fell shut somewhere on the floor below them.",
)


def test_volume_by_hand() -> None:
    found = Volume.of([[0, 1], [2], [3]], LENGTHS)
    assert found == Volume(batches=3, tokens=11, computed=11, padded=3 * 2 + 5 + 2)
    assert found.waste == pytest.approx(2 / 13)
    assert Volume.of([[0, 1], [2], [3]], LENGTHS, multiple=4).padded == 4 * 2 + 8 + 4
    assert Volume.of([[0, 1], [3]], LENGTHS, [4, 4, 9, 2]) == Volume(batches=2, tokens=6, computed=10, padded=10)
    assert found + found == Volume(6, 22, 22, 26)
    assert Volume().waste == 0


class Counted(Callback):
    """What is really done."""

    def __init__(self) -> None:
        self.batches = self.padded = self.validations = 0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.batches += 1
        self.padded += batch["input_ids"].numel()

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self.validations += 1


@pytest.mark.parametrize(
    "typed",
    [
        ("task=classification",),
        ("task=ner", "trainer.accumulate_grad_batches=3", "data.batch_size=4"),
        ("task=qa", "data.tokens_per_batch=400", "trainer.val_check_interval=2"),
        ("task=clm", "model=tiny-decoder", "data.packing=true", "data.max_length=64", "trainer.max_steps=7"),
        ("task=classification", "data.pad_to_multiple_of=16", "trainer.val_check_interval=0.5"),
        ("task=classification", "trainer.limit_train_batches=0.5", "trainer.check_val_every_n_epoch=2"),
        ("task=classification", "trainer.limit_train_batches=3", "trainer.max_epochs=3"),
        ("task=translation", "model=tiny-seq2seq", "task.generation=null", "task.monitor=loss"),
        ("task=classification", "trainer.limit_val_batches=0", "task.monitor=loss", "callbacks.best=null"),
        ("task=choice",),
        ("task=embedding",),
        # The last step is validated, in the middle of an epoch too, but not in an epoch that is not.
        ("task=classification", "trainer.max_steps=7", "trainer.val_check_interval=0.5"),
        ("task=classification", "trainer.max_steps=8"),
        ("task=classification", "trainer.max_steps=8", "trainer.check_val_every_n_epoch=2"),
        ("task=classification", "trainer.max_steps=13", "trainer.max_epochs=4", "trainer.check_val_every_n_epoch=2"),
        (
            "task=classification",
            "trainer.max_steps=9",
            "trainer.val_check_interval=4",
            "trainer.check_val_every_n_epoch=null",
        ),
        ("task=classification", "trainer.max_steps=10", "trainer.val_check_interval=0.5"),
        ("task=ner", "data.balanced=true", "trainer.max_epochs=3"),
    ],
    ids=" ".join,
)
def test_the_run_is_as_planned(typed: tuple[str, ...], tmp_path: Path) -> None:
    experiment = running.assembled(tmp_path / "run", *typed, "callbacks.early_stopping=null")  # nothing stops it early
    trainer: Any = experiment.trainer
    planned, counted = schedule(trainer, experiment.data), Counted()
    trainer.callbacks.append(counted)
    trainer.fit(experiment.module, experiment.data)
    assert planned.steps == trainer.global_step
    assert planned.validations == counted.validations
    assert planned.volume is not None
    assert planned.volume.batches == counted.batches
    if typed[0] not in ROWS_OF_SEVERAL:
        assert planned.volume.padded == counted.padded
    assert planned.volume.tokens == int(experiment.module.tokens)


# Targets that a decoder reads, or the texts of a group: each is filled up for itself, so that the sum is not exact.
ROWS_OF_SEVERAL = ("task=translation", "task=embedding")


def _classified(path: Path, texts: list[str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([text, "odd" if number % 3 else "even"] for number, text in enumerate(texts))
    return path


def _own_files(folder: Path) -> list[str]:
    others = [f"Text {number} has {number} as its own number and is about topic {number * 7}." for number in range(30)]
    train = _classified(folder / "train.csv", [*others, *SENTENCES])
    test = _classified(folder / "test.csv", [SENTENCES[0].upper(), SENTENCES[1].replace("told", "warned"), "New."])
    files = [f"data.train={train}", f"data.test={test}"]
    return ["task=classification", "data=files", *files, "data.limit={train: null, val: null, test: null}"]


def _planned(folder: Path, *typed: str) -> str:
    options = [o for o in running.SMALL if not o.startswith("callbacks")]
    outcome = command.run("train", [*options, *typed, "plan=true", f"run_dir={folder / 'run'}"], folder)
    assert outcome.status == 0, outcome.err
    assert "Nothing was trained" in outcome.out
    assert not (folder / "run").exists()
    return outcome.out


def test_it_tells_balance_and_overlaps_and_leaves_nothing(tmp_path: Path) -> None:
    typed = _own_files(tmp_path)
    before = {*tmp_path.iterdir()}
    said = _planned(tmp_path, *typed)
    assert {*tmp_path.iterdir()} == before
    assert re.search(r"odd +│ \d+ \(6\d\.\d%\)", said)
    assert re.search(r"test +│ +3 │ 1 \(33\.3%\) +│ 1 \(33\.3%\)", said)
    assert re.search(r"train, earlier +│ +\d+ │ 0 \(0\.0%\)", said)
    assert SENTENCES[0].upper() in said
    assert SENTENCES[1] in said
    assert re.search(r"needed at most \(main memory\) +│ [\d,]{3,}", said)
    assert re.search(r"together +about \d", said)


def test_memory_is_what_a_run_takes(tmp_path: Path) -> None:
    """With a batch that is felt beside the libraries."""
    typed = (
        "task=clm",
        "model=tiny-decoder",
        "data.max_length=512",
        "data.batch_size=24",
        "data.packing=true",
        "peft=full",
    )
    said = _planned(tmp_path, *typed)
    run = running.train(tmp_path / "run", *typed)
    needed = re.search(r"needed at most \(main memory\) +│ ([\d,]+)", said)
    assert needed
    assert int(needed[1].replace(",", "")) == pytest.approx(running.metrics(run)["memory/peak_rss_mb"], rel=0.15)


def test_a_stream_is_planned_too(tmp_path: Path) -> None:
    typed = [word.replace("data=files", "data=streaming") for word in _own_files(tmp_path)]
    said = _planned(tmp_path, *typed, f"data.val={tmp_path / 'test.csv'}", "data.epoch_size=32")
    assert "read as they are needed" in said
    assert re.search(r"training +[\d.]+ s", said)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_several_processes_are_measured(strategy: str, tmp_path: Path) -> None:
    typed = [f"strategy={strategy}", "trainer=ddp_cpu", "task=classification", f"run_dir={tmp_path / 'run'}"]
    options = [o for o in running.SMALL if not o.startswith("trainer=")]
    with running.started("train", tmp_path, *options, *typed, "plan=true") as process:
        said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "on the first of 2 ranks" in said
    assert said.count("needed at most") == 1
    assert not (tmp_path / "run").exists()


def test_a_run_that_goes_on_is_not_planned(tmp_path: Path) -> None:
    run = running.train(tmp_path / "run", "task=classification")
    outcome = command.run("train", [f"resume={run}", "plan=true"], tmp_path)
    assert outcome.status == 1
    assert "plan=true: a run that goes on" in outcome.err
