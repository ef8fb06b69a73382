"""Two ranks see each other's rows, and a loss over both has the gradient that one process finds."""

from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed

from lightune.ranks import from_all_ranks
from lightune.tasks.negatives import in_batch, of_batch

PAIRS, SHARE = 5, (slice(0, 3), slice(3, 5))  # of unequal size
KEYS = torch.tensor([[1, 2, 11], [3, 4, -1], [5, 6, 12], [1, 7, -1], [8, 6, 13]])


def _texts() -> Tensor:
    """Return vectors of the texts, ``(pairs, texts, size)``; some examples have no hard negative."""
    return torch.randn(PAIRS, 3, 4, generator=torch.Generator().manual_seed(0))


def _loss(vectors: Tensor, keys: Tensor, symmetric: bool) -> tuple[Tensor, Tensor]:
    slots = vectors[:, 1:].transpose(0, 1).flatten(0, 1)
    others = slots[keys[:, 1:].T.flatten() >= 0]
    return in_batch(*of_batch(vectors[:, 0], others, keys), temperature=0.5, symmetric=symmetric)


def _rank(rank: int, folder: Path, results: Any) -> None:
    store = distributed.FileStore(str(folder / "store"), 2)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    rows, begin = from_all_ranks(torch.arange(PAIRS)[SHARE[rank]])
    results.put((rank, "rows", rows.tolist(), begin))
    for symmetric in (False, True):
        own = _texts()[SHARE[rank]].requires_grad_()
        loss, count = _loss(own, KEYS[SHARE[rank]], symmetric)
        loss.backward()
        assert own.grad is not None
        results.put((rank, symmetric, (loss.item(), int(count)), own.grad.tolist()))
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def found(processes: ForkServerContext, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, Any], list[Any]]:
    """Return what each rank found, by rank and name."""
    results, folder = processes.Queue(), tmp_path_factory.mktemp("ranks")
    ranks = [processes.Process(target=_rank, args=(rank, folder, results)) for rank in range(2)]
    for process in ranks:
        process.start()
    collected = [results.get(timeout=120) for _ in range(6)]
    for process in ranks:
        process.join(timeout=60)
    assert [process.exitcode for process in ranks] == [0, 0]
    return {(rank, name): rest for rank, name, *rest in collected}


def test_every_rank_gets_all_rows(found: dict[tuple[int, Any], list[Any]]) -> None:
    assert found[0, "rows"] == [[0, 1, 2, 3, 4], 0]
    assert found[1, "rows"] == [[0, 1, 2, 3, 4], 3]


def test_one_process_has_only_its_own() -> None:
    rows = torch.ones(2, 3, requires_grad=True)
    gathered, begin = from_all_ranks(rows)
    assert gathered is rows
    assert begin == 0


@pytest.mark.parametrize("symmetric", [False, True])
def test_loss_and_gradient_are_those_of_one_process(symmetric: bool, found: dict[tuple[int, Any], list[Any]]) -> None:
    whole = _texts().requires_grad_()
    loss, count = _loss(whole, KEYS, symmetric)
    loss.backward()
    (one, counted), gradient = found[0, symmetric]
    (other, also), rest = found[1, symmetric]
    assert counted + also == int(count) == PAIRS
    assert one + other == pytest.approx(loss.item(), rel=1e-5)
    assert whole.grad is not None
    assert torch.allclose(torch.tensor([*gradient, *rest]), whole.grad, atol=1e-6)
