"""Random numbers go on where they were when a checkpoint was written."""

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lightune.callbacks import RandomState

ALONE: Any = SimpleNamespace(world_size=1, global_rank=0)


def draw() -> list[float]:
    """Draw from every generator that a run uses."""
    return [
        random.random(),
        random.gauss(0, 1),
        float(np.random.rand()),  # noqa: NPY002  # the state that libraries share
        float(np.random.randn()),  # noqa: NPY002
        float(torch.rand(())),
        float(torch.randn(())),
    ]


def first_batch(state: RandomState, trainer: Any = ALONE) -> None:
    state.on_train_batch_start(trainer, SimpleNamespace(), batch=None, batch_idx=0)  # type: ignore[arg-type]


def saved(folder: Path) -> dict[str, Any]:
    """Return the present state as it comes out of a checkpoint."""
    torch.save(RandomState().state_dict(), folder / "state.pt")
    return torch.load(folder / "state.pt", weights_only=True)


def test_the_first_batch_after_a_resume_sees_what_the_next_would_have_seen(tmp_path: Path) -> None:
    random.gauss(0, 1)  # leaves half a pair behind, which is part of the state
    np.random.randn()  # noqa: NPY002
    content = saved(tmp_path)
    expected = [draw(), draw()]
    resumed = RandomState()
    resumed.load_state_dict(content)
    building_the_model = draw()
    first_batch(resumed)
    assert [draw(), draw()] == expected
    assert building_the_model != expected[0]


def test_it_is_restored_once(tmp_path: Path) -> None:
    resumed = RandomState()
    resumed.load_state_dict(saved(tmp_path))
    first_batch(resumed)
    first = draw()
    first_batch(resumed)
    assert draw() != first


def test_a_new_run_is_left_alone(tmp_path: Path) -> None:
    content = saved(tmp_path)
    first_batch(RandomState())
    assert str(RandomState().state_dict()) == str(content)


def test_each_rank_gets_its_own(tmp_path: Path) -> None:
    ranks, expected = [], []
    for _ in range(2):
        ranks += saved(tmp_path)["ranks"]
        expected.append(draw())
    for rank in (1, 0):
        resumed = RandomState()
        resumed.load_state_dict({"ranks": ranks})
        first_batch(resumed, SimpleNamespace(world_size=2, global_rank=rank))
        assert draw() == expected[rank]


@pytest.mark.parametrize("world_size", [2, 4])
def test_another_number_of_ranks_keeps_its_seeds(world_size: int, tmp_path: Path) -> None:
    resumed = RandomState()
    resumed.load_state_dict(saved(tmp_path))
    draw()
    before = saved(tmp_path)
    first_batch(resumed, SimpleNamespace(world_size=world_size, global_rank=0))
    assert str(saved(tmp_path)) == str(before)
