"""last.ckpt: when it is written, and what Ctrl-C does."""

import re
import shlex
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.demos.boring_classes import BoringModel

from lightune import checkpoint_card
from lightune.callbacks import LastCheckpoint
from tests import running
from tests.command import SMALL_RUN, run

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Recording(LastCheckpoint):
    """Keeps the step of every write."""

    steps: tuple[int, ...] = ()

    def _save(self, trainer: Trainer) -> None:
        super()._save(trainer)
        self.steps = (*self.steps, trainer.global_step)


class Raises(Callback):
    """Sends this process a signal, or raises, once, while a step is going on."""

    def __init__(self, step: int, what: signal.Signals | Exception) -> None:
        self.step = step
        self.what: signal.Signals | Exception | None = what

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step and self.what:
            what, self.what = self.what, None
            if isinstance(what, Exception):
                raise what
            signal.raise_signal(what)


def trainer(folder: Path, *callbacks: Callback, **options: Any) -> Trainer:
    """Return a trainer of 7 batches and a validation of one, unless told otherwise."""
    return Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
        **{"limit_train_batches": 7, "limit_val_batches": 1, "num_sanity_val_steps": 0, **options},
    )


@pytest.mark.parametrize(
    ("every", "options", "steps"),
    [
        (2, {}, (2, 4, 6, 7)),  # 7: after the validation
        (2, {"limit_val_batches": 0}, (2, 4, 6, 7)),  # 7: at the end
        (7, {}, (7,)),
        (None, {}, (7,)),
        (None, {"limit_val_batches": 0}, (7,)),
        (None, {"val_check_interval": 3}, (3, 6, 7)),
        (2, {"val_check_interval": 4, "limit_train_batches": 8}, (2, 4, 6, 8)),  # 4 and 8: once, by the validation
        (1, {"accumulate_grad_batches": 3}, (1, 2, 3)),  # 3 + 3 + 1 batches; never within a step
        (2, {"accumulate_grad_batches": 3, "limit_val_batches": 0}, (2, 3)),
    ],
)
def test_it_is_written_between_steps_and_whenever_a_run_may_end(
    every: int | None, options: dict[str, Any], steps: tuple[int, ...], tmp_path: Path
) -> None:
    last = Recording(str(tmp_path), every)
    trainer(tmp_path, last, **options).fit(BoringModel())
    assert last.steps == steps
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize(("minutes", "steps"), [(0.0, (1, 2, 3, 4, 5, 6, 7)), (60.0, (7,)), (None, (7,))])
def test_it_is_written_by_the_clock(minutes: float | None, steps: tuple[int, ...], tmp_path: Path) -> None:
    last = Recording(str(tmp_path), every_minutes=minutes)
    trainer(tmp_path, last).fit(BoringModel())
    assert last.steps == steps


def test_the_clock_starts_anew_with_every_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step takes a minute here."""
    last = Recording(str(tmp_path), every_minutes=3)
    fit = trainer(tmp_path, last, limit_train_batches=10, limit_val_batches=0)
    monkeypatch.setattr(time, "monotonic", lambda: 60.0 * fit.global_step)
    fit.fit(BoringModel())
    assert last.steps == (3, 6, 9, 10)


@pytest.mark.parametrize("links", [True, False])
def test_what_is_best_is_written_once(links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:

        def refused(self: Path, target: Path) -> None:
            raise OSError("no links here")

        monkeypatch.setattr(Path, "hardlink_to", refused)
    run = running.train(tmp_path / "run", "task=ner", "trainer.max_epochs=1")
    best, last = (run / "checkpoints" / f"{name}.ckpt" for name in ("best", "last"))
    assert best.samefile(last) is links
    assert best.read_bytes() == last.read_bytes()
    running.resume(run, "trainer.max_epochs=2")
    assert checkpoint_card.read(last)["step"] == 10
    assert {path.name for path in best.parent.iterdir()} == {"best.ckpt", "last.ckpt", "step_5.ckpt"}


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize(("accumulate", "step", "saved"), [(1, 3, 4), (3, 1, 2)])
def test_the_step_in_progress_is_finished_first(
    number: signal.Signals, accumulate: int, step: int, saved: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = Recording(str(tmp_path / "my run" / "checkpoints"), every_n_steps=None)
    before = [signal.getsignal(each) for each in SIGNALS]
    with pytest.raises(SystemExit) as ended:
        trainer(tmp_path, last, Raises(step, number), accumulate_grad_batches=accumulate).fit(BoringModel())
    assert ended.value.code == 128 + number
    assert last.steps == (saved,)
    out = capsys.readouterr().out
    assert "Stopping after this step" in out
    assert (
        f"Stopped at step {saved}. Continue with:\n  python train.py {shlex.quote(f'resume={tmp_path}/my run')}" in out
    )
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_a_second_signal_ends_at_once() -> None:
    last = LastCheckpoint("x")
    last._ask_to_stop(signal.SIGINT, None)
    with pytest.raises(KeyboardInterrupt):
        last._ask_to_stop(signal.SIGINT, None)


@pytest.mark.parametrize("error", [None, RuntimeError("out of memory")])
def test_signals_are_given_back(error: Exception | None, tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    seen: list[Any] = []

    class Looks(Callback):
        def on_train_batch_end(self, *arguments: Any) -> None:
            seen.append(signal.getsignal(signal.SIGINT))

    callbacks = [last := LastCheckpoint(str(tmp_path)), Looks(), *([Raises(2, error)] if error else [])]
    if error:
        with pytest.raises(RuntimeError, match="out of memory"):
            trainer(tmp_path, *callbacks).fit(BoringModel())
    else:
        trainer(tmp_path, *callbacks).fit(BoringModel())
    assert seen[0] == last._ask_to_stop
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_run_that_is_interrupted_says_how_to_go_on(tmp_path: Path) -> None:
    overrides = ["task=classification", "trainer.max_epochs=500", "callbacks.last.every_n_steps=1", "run_dir=my run"]
    file = tmp_path / "my run/checkpoints/last.ckpt"
    with running.started("train", tmp_path, *SMALL_RUN, *overrides) as process:
        deadline = time.monotonic() + 120
        while not file.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        out = process.stdout.read()
        assert process.wait(60) == 130, out
    (step, command) = re.findall(
        r"Stopped at step (\d+)\. Continue with:\n +python train\.py (.*)$", out, re.MULTILINE
    )[0]
    assert checkpoint_card.read(file)["step"] == int(step)
    assert "Traceback" not in out
    resumed = run("train", [*shlex.split(command), f"trainer.max_steps={int(step) + 2}"], tmp_path)
    assert resumed.status == 0, resumed.err
    assert checkpoint_card.read(file)["step"] == int(step) + 2
