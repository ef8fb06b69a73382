"""An evaluation never holds more logits at a time than it has room for."""

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig

from lightune.tasks import language
from lightune.tasks.base import Batch


class Model(nn.Module):
    """Has a configuration, and a mode."""

    config = LlamaConfig(vocab_size=10)


@pytest.mark.parametrize(
    ("room", "training", "sizes"),
    [
        (2 * 3 * 10, False, [2, 2, 1]),
        (3 * 3 * 10 - 1, False, [2, 2, 1]),
        (1, False, [1, 1, 1, 1, 1]),
        (10**6, False, [5]),
        (1, True, [5]),
    ],
)
def test_rows_of_a_part_by_hand(room: int, training: bool, sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "_LOGITS", room)
    batch = {"input_ids": torch.arange(15).view(5, 3), "number": torch.arange(5)}
    seen: list[int] = []

    def measured(part: Batch) -> tuple[Tensor, ...]:
        seen.append(len(part["input_ids"]))
        return part["input_ids"].sum(1), part["number"]

    sums, numbers = language.measured_in_parts(Model().train(training), batch, measured)
    assert seen == sizes
    assert sums.tolist() == [3, 12, 21, 30, 39]
    assert numbers.tolist() == [0, 1, 2, 3, 4]
