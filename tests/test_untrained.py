"""``trainer.max_epochs=0``: a model is tested as it is, and few-shot examples go with a checkpoint."""

from pathlib import Path

from lightune import checkpoint_card
from tests import running

CHOICE = ("task=choice", "model=tiny-decoder", "data.max_length=512")


def test_a_model_is_tested_as_it_is(tmp_path: Path) -> None:
    untrained = running.train(tmp_path / "none", *CHOICE, "trainer.max_epochs=0", "scheduler=constant", "peft=full")
    found = running.metrics(untrained)
    assert {"test/accuracy", "test/loss", "params/total"} <= found.keys()
    assert not any(key.startswith(("val/", "train/", "best/")) for key in found)
    assert found["tokens/total"] == 0
    assert not (untrained / "checkpoints" / "best.ckpt").exists()
    # One step at a rate that changes nothing gives the same.
    options = ("trainer.max_epochs=1", "trainer.limit_train_batches=1", "scheduler=constant", "optimizer.lr=1e-30")
    barely = running.train(tmp_path / "one", *CHOICE, *options, "peft=full")
    assert running.metrics(barely, "test/") == running.metrics(untrained, "test/")
    assert running.predictions(barely) == running.predictions(untrained)


def test_an_evaluation_shows_the_examples_that_training_showed(tmp_path: Path) -> None:
    """They come from train, and an evaluation of another split has no such rows: the checkpoint brings them along."""
    trained = running.train(tmp_path / "run", *CHOICE, "task.prompt.shots=2")
    card = checkpoint_card.read(trained / "checkpoints" / "best.ckpt")
    kept = card["config"]["task"]["demonstrations"]
    assert [row["id"] for row in kept] == [f"choice-train-{i:04d}" for i in range(3)]
    found = running.evaluate(trained, tmp_path / "eval")
    assert running.metrics(found, "test/") == running.metrics(trained, "test/")
    without = running.evaluate(trained, tmp_path / "without", "task.prompt.shots=0")
    assert running.metrics(without, "test/loss") != running.metrics(trained, "test/loss")
