"""Three small real runs: one experiment with two seeds, and another."""

from pathlib import Path

import pytest

from tests import running

TASK = ("task=classification", "optimizer.lr=5e-3")


def _train(folder: Path) -> None:
    (folder / "full").mkdir()
    for name, *typed in (("full/1", "peft=full", "seed=1"), ("full/2", "peft=full", "seed=2"), ("lora", "seed=1")):
        running.train(folder / name, *TASK, *typed)


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the runs ``full/1``, ``full/2`` and ``lora``; nothing may be written into it."""
    return running.once(tmp_path_factory, "three-runs", _train)
