"""Gradual unfreezing: who learns when, and that who waits stays as it is."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from lightune.callbacks.unfreezing import GradualUnfreezing, turns
from lightune.errors import ConfigError
from tests import running

SLOWLY = ("callbacks=[default,gradual_unfreezing]", "task=classification", "peft=full", "trainer.max_epochs=2")


class Changes(Callback):
    """Notes after each step which turns have changed since the start."""

    def __init__(self) -> None:
        self.changed: list[set[int]] = []

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.before = {name: p.detach().clone() for name, p in pl_module.named_parameters()}
        self.turns = turns(pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        now = dict(pl_module.named_parameters())
        self.changed.append({self.turns[n] for n, p in self.before.items() if not torch.equal(p, now[n])})


def test_layers_join_from_the_top(tmp_path: Path) -> None:
    # Ten steps, all learn from the eighth on; four turns: head, second layer, first layer, embeddings.
    experiment = running.assembled(tmp_path, *SLOWLY, "callbacks.gradual_unfreezing.until=0.8", "scheduler=constant")
    changes = Changes()
    trainer: Any = experiment.trainer
    trainer.callbacks.append(changes)
    trainer.fit(experiment.module, experiment.data)
    assert [max(changed) for changed in changes.changed] == [0, 0, 1, 1, 2, 2, 3, 3, 3, 3]


def test_an_encoder_decoder_has_two_tops(tmp_path: Path) -> None:
    more = ("task=translation", "model=tiny-seq2seq", "task.max_target_length=16", "peft=full")
    found = turns(running.assembled(tmp_path, *more).module.model)
    assert {name.split(".")[0] for name, turn in found.items() if turn == 1} == {"encoder", "decoder"}
    assert max(found.values()) == max(turn for name, turn in found.items() if "block" in name)


@pytest.mark.parametrize("until", [0.0, 1.5, -1.0])
def test_a_share_is_wanted(until: float) -> None:
    with pytest.raises(ConfigError, match="until="):
        GradualUnfreezing(until)
