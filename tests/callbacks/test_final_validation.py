"""A run that a number of steps ends validates what it ends with, in the middle of an epoch too."""

from pathlib import Path

import pytest

from tests import running

TYPED = ("task=classification", *running.BERT_WITHOUT_DROPOUT)  # five steps an epoch


@pytest.mark.parametrize(
    ("typed", "steps"),
    [
        (("trainer.max_steps=3",), [3]),
        (("trainer.max_steps=8",), [5, 8]),
        (("trainer.max_steps=10",), [5, 10]),
        (("trainer.max_steps=4", "trainer.val_check_interval=2"), [2, 4]),
        (("trainer.max_steps=8", "trainer.check_val_every_n_epoch=2"), [8]),
        (("trainer.max_steps=3", "trainer.accumulate_grad_batches=2", "data.batch_size=4"), [3]),
        (("trainer.max_epochs=1",), [5]),
    ],
    ids=str,
)
def test_the_last_step_is_validated_once(typed: tuple[str, ...], steps: list[int], tmp_path: Path) -> None:
    run = running.train(tmp_path / "run", *TYPED, *typed)
    rows = [row for row in running.history(run) if "val/loss" in row and "test/loss" not in row]
    assert [int(row["step"]) + 1 for row in rows] == steps
    assert running.metrics(run)["best/step"] in steps


@pytest.mark.parametrize(
    "typed",
    [
        ("trainer.max_steps=3",),
        ("trainer.max_steps=5",),
        ("trainer.max_steps=4", "trainer.val_check_interval=2"),
        ("trainer.max_steps=3", "trainer.limit_val_batches=0", "callbacks.best=null", "callbacks.early_stopping=null"),
        ("trainer.max_steps=3", "callbacks.last.every_n_steps=1", "trainer.limit_val_batches=0", "callbacks.best=null"),
    ],
    ids=str,
)
def test_what_follows_is_what_it_would_be_without(typed: tuple[str, ...], tmp_path: Path) -> None:
    """Dropout draws the same numbers, whether a validation was between or not, and steps keep their numbers."""
    options = ("task=classification", "scheduler=constant", *typed)
    running.train(tmp_path / "cut", *options)
    running.resume(tmp_path / "cut", "trainer.max_steps=8")
    running.train(tmp_path / "through", *options, "trainer.max_steps=8")
    assert running.losses(tmp_path / "cut") == running.losses(tmp_path / "through")
    cut, through = (running.weights(tmp_path / name) for name in ("cut", "through"))
    assert all(cut[name].equal(through[name]) for name in through)
