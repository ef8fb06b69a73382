"""Features of a frozen backbone: computed once, and the same as those computed in every epoch."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightune.adapt.features import FrozenFeatures
from tests import command, running

CELLS = [
    ("classification", "encoder"),
    ("classification", "decoder"),
    ("ner", "encoder"),
    ("ner", "decoder"),
    ("qa", "encoder"),
    ("choice", "encoder"),
    ("multilabel", "encoder"),
    ("regression", "encoder"),
]
AGAIN = "peft.features_gib=0"
# A softmax over places or choices does not feel what is added to each of them: the gradient is rounding.
UNFELT = {("qa", "qa_outputs.bias"), ("choice", "classifier.bias")}


def typed(task: str, folder: Path, *more: str) -> tuple[str, ...]:
    return (f"task={task}", "model=auto", f"model.path={folder}", "peft=head", *more)


def rows_computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which each pass through a backbone adds its rows."""
    rows: list[int] = []
    evaluated = FrozenFeatures._evaluated

    def counted(self: FrozenFeatures, *args: Any, **kwargs: Any) -> Any:
        rows.append(len(kwargs["input_ids"] if "input_ids" in kwargs else args[0]))
        return evaluated(self, *args, **kwargs)

    monkeypatch.setattr(FrozenFeatures, "_evaluated", counted)
    return rows


@pytest.mark.parametrize(("task", "kind"), CELLS)
def test_they_change_no_number(task: str, kind: str, pretrained: dict[str, Path], tmp_path: Path) -> None:
    once = running.train(tmp_path / "once", *typed(task, pretrained[kind]))
    again = running.train(tmp_path / "again", *typed(task, pretrained[kind], AGAIN))
    assert running.losses(once) == pytest.approx(running.losses(again), rel=1e-4)
    for name, tensor in running.weights(once).items():
        if any(task == unfelt and bias in name for unfelt, bias in UNFELT):
            continue
        assert torch.allclose(tensor, running.weights(again)[name], atol=1e-5), name
    assert running.metrics(once, "test/") == pytest.approx(running.metrics(again, "test/"), abs=1e-4)


def test_each_row_is_computed_once(
    pretrained: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_computed(monkeypatch)
    running.train(tmp_path / "run", *typed("classification", pretrained["encoder"], "trainer.max_epochs=4"))
    train, val, test = 40, 13, 11
    assert sum(rows) == train + val + test


def test_a_single_epoch_computes_as_it_goes(
    pretrained: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_computed(monkeypatch)
    running.train(tmp_path / "run", *typed("classification", pretrained["encoder"], "trainer.max_steps=2"))
    assert sum(rows[:2]) == 16


def test_what_finds_no_room_is_computed_in_every_epoch(pretrained: dict[str, Path], tmp_path: Path) -> None:
    room = f"peft.features_gib={100_000 / 2**30}"  # about 400 states of 64 numbers
    with pytest.warns(UserWarning, match=r"has room for the features of [1-9]\d? rows; those of the others are"):
        some = running.train(tmp_path / "some", *typed("ner", pretrained["encoder"], room, "data.eval_batch_size=4"))
    none = running.train(tmp_path / "none", *typed("ner", pretrained["encoder"], AGAIN))
    assert running.losses(some) == pytest.approx(running.losses(none), rel=1e-4)


def test_states_do_not_depend_on_padding_or_dropout(pretrained: dict[str, Path], tmp_path: Path) -> None:
    experiment = running.assembled(tmp_path, *typed("classification", pretrained["encoder"]))
    backbone: Any = experiment.module.model.train().base_model
    ids = torch.arange(1000, 1012).view(2, 6)
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]])
    plain = backbone(input_ids=ids, attention_mask=mask).last_hidden_state
    room = backbone.forward.remember({"input_ids": ids, "attention_mask": mask}, 1e6)
    assert room == 1e6 - 9 * plain.shape[-1] * plain.element_size()
    wide = [nn.functional.pad(tensor, (2, 3)).flip(0) for tensor in (ids, mask)]
    with torch.no_grad():
        kept: Tensor = backbone(input_ids=wide[0], attention_mask=wide[1]).last_hidden_state
    assert torch.equal(kept[1, 2:8], plain[0])
    assert torch.equal(kept[0, 2:5], plain[1, :3])
    assert not kept[0, 5:].any()
    assert len(backbone.forward) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("peft.features_gib=-1",), "peft.features_gib=-1: expected a number of at least 0"),
        (("callbacks=[default,neftune]",), "noise would not reach them"),
    ],
)
def test_what_makes_no_sense_is_refused(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    outcome = command.run("train", ["task=classification", "peft=head", *words, "run_dir=run"], tmp_path)
    assert outcome.status == 1
    assert said in outcome.err
