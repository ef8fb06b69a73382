"""Steps that are not finite reach no weight."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lightune.callbacks import NonFinite
from lightune.errors import ConfigError
from lightune.module import FineTuner
from tests import command, running

TYPED = ("task=classification", "peft=lora", *running.PLAIN, running.ADAPTER_WITHOUT_DROPOUT)
BLOWN_UP = ("task=classification", "peft=full", "optimizer=sgd", "optimizer.lr=1e30", "trainer.gradient_clip_val=null")
SKIP = "callbacks.non_finite.action=skip"


def poisoned(monkeypatch: pytest.MonkeyPatch, batches: tuple[int, ...], value: float = math.nan) -> None:
    """Let the loss of some micro-batches, counted over the whole run, be no number."""
    step, count = FineTuner.training_step, iter(range(10**6))

    def poisonous(self: FineTuner, batch: Any, batch_idx: int) -> Tensor:
        loss = step(self, batch, batch_idx)
        if next(count) not in batches:
            return loss
        self._step = self._step + torch.tensor([value, 0, 0], dtype=torch.float64)
        return loss * value

    monkeypatch.setattr(FineTuner, "training_step", poisonous)


def same(one: Path, other: Path) -> bool:
    ours, theirs = running.weights(one), running.weights(other)
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_run_that_blows_up_ends_with_what_blew_it_up(tmp_path: Path) -> None:
    run = tmp_path / "run"
    outcome = command.run("train", [*running.SMALL, *BLOWN_UP, f"run_dir={run}"], tmp_path)
    assert outcome.status == 1
    assert "step 3: the loss is " in outcome.err
    assert f"lie in {run}/faults/" in outcome.err
    assert "callbacks.non_finite.action=skip" in outcome.err
    content = torch.load(run / "faults" / "step_3_rank_0.pt", weights_only=True)
    (batch,) = content["batches"]
    rows = [json.loads(line) for line in (run / "faults" / "step_3_rank_0.jsonl").read_text("utf-8").splitlines()]
    experiment = running.assembled(tmp_path / "again", *BLOWN_UP)
    words = [experiment.tokenizer.tokenize(row["text"])[:5] for row in rows]
    assert [experiment.tokenizer.convert_ids_to_tokens(ids[1:6]) for ids in batch["input_ids"]] == words


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(("accumulate", "batches"), [(1, (2,)), (2, (4,)), (2, (5,))])
def test_a_step_that_is_left_out_changes_nothing(
    value: float, accumulate: int, batches: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = (*TYPED, f"trainer.accumulate_grad_batches={accumulate}", "data.batch_size=4")
    before = running.train(tmp_path / "before", *typed, "trainer.max_steps=2")
    poisoned(monkeypatch, batches, value)
    run = running.train(tmp_path / "run", *typed, SKIP, "trainer.max_steps=3")
    assert same(run, before)
    assert [row["train/skipped_steps"] for row in running.history(run) if "train/skipped_steps" in row] == ["1.0"]
    assert (run / "faults" / "step_3_rank_0.pt").exists()
    monkeypatch.undo()
    poisoned(monkeypatch, ())
    assert not same(running.train(tmp_path / "other", *typed, "trainer.max_steps=3"), before)


def test_a_gradient_alone_is_found_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def infinite(self: FineTuner, *args: Any) -> None:
        next(p for p in self.parameters() if p.grad is not None).grad[0] = math.inf  # type: ignore[index]

    monkeypatch.setattr(FineTuner, "on_after_backward", infinite)
    outcome = command.run("train", [*running.SMALL, *TYPED, f"run_dir={tmp_path / 'run'}"], tmp_path)
    assert outcome.status == 1
    assert "step 1: the gradients of 1 of " in outcome.err


def test_so_many_are_left_out_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned(monkeypatch, tuple(range(1, 9)))
    typed = [*running.SMALL, *TYPED, SKIP, "callbacks.non_finite.at_most=2", f"run_dir={tmp_path / 'run'}"]
    outcome = command.run("train", typed, tmp_path)
    assert outcome.status == 1
    assert "step 4: the loss is nan after 2 steps that were left out" in outcome.err


def test_a_resumed_run_goes_on_counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned(monkeypatch, (1, 6))
    run = running.train(tmp_path / "run", *TYPED, SKIP, "trainer.max_steps=3")
    running.resume(run, "trainer.max_steps=-1")
    counted = [row["train/skipped_steps"] for row in running.history(run) if "train/skipped_steps" in row]
    assert list(dict.fromkeys(counted)) == ["1.0", "2.0"]


def test_the_ranks_of_a_run_stop_together(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with running.started("train", tmp_path, *running.SMALL, *BLOWN_UP, "trainer=ddp_cpu", f"run_dir={run}") as process:
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert out.count("step 3: the loss is ") == 1
    assert {path.name for path in (run / "faults").glob("*.pt")} == {"step_3_rank_0.pt", "step_3_rank_1.pt"}


def test_an_unknown_action_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such action"):
        NonFinite(str(tmp_path), action="ignore")  # type: ignore[arg-type]
