"""Seconds by phase: counted by a clock that the test sets."""

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from lightune.callbacks import Stopwatch
from lightune.callbacks.stopwatch import forget_peaks, peak_memory

FIT: Any = SimpleNamespace(state=SimpleNamespace(fn="fit"), sanity_checking=False)
SANITY: Any = SimpleNamespace(state=SimpleNamespace(fn="fit"), sanity_checking=True)
VALIDATE: Any = SimpleNamespace(state=SimpleNamespace(fn="validate"), sanity_checking=False)
TEST: Any = SimpleNamespace(state=SimpleNamespace(fn="test"), sanity_checking=False)
MODULE: Any = None

RUN: list[tuple[float, str, Any]] = [
    (0, "on_validation_start", SANITY),
    (2, "on_validation_end", SANITY),
    (10, "on_train_start", FIT),
    (15, "on_validation_start", FIT),
    (18, "on_validation_end", FIT),
    (20, "on_train_batch_start", FIT),
    (22, "on_train_batch_start", FIT),
    (25, "on_validation_start", FIT),
    (29, "on_validation_end", FIT),
    (30, "on_train_end", FIT),
    (40, "on_test_start", TEST),
    (46, "on_test_end", TEST),
]


@pytest.fixture
def watch() -> Stopwatch:
    return Stopwatch()


def go(watch: Stopwatch, events: list[tuple[float, str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    for now, hook, trainer in events:
        monkeypatch.setattr(time, "perf_counter", lambda now=now: now)
        getattr(watch, hook)(trainer, MODULE)


def test_validation_is_not_counted_as_training(watch: Stopwatch, monkeypatch: pytest.MonkeyPatch) -> None:
    go(watch, RUN, monkeypatch)
    # Training 10–15, 20–25; validation 0–2, 15–18, 25–29; test 40–46. Checkpoints are written at 18–20 and from 29 on.
    assert watch.seconds == {"train": 5 + 5, "val": 2 + 3 + 4, "test": 6}


def test_a_validation_by_itself_starts_no_training(watch: Stopwatch, monkeypatch: pytest.MonkeyPatch) -> None:
    go(watch, [(0, "on_validation_start", VALIDATE), (5, "on_validation_end", VALIDATE)], monkeypatch)
    assert watch.seconds == {"train": 0, "val": 5, "test": 0}


@pytest.mark.parametrize(
    ("events", "now", "state"),
    [
        (3, 12, {"train": 2, "val": 2, "test": 0}),  # in the middle of an epoch
        (4, 17, {"train": 5, "val": 4, "test": 0}),  # in the middle of a validation
        (10, 35, {"train": 10, "val": 9, "test": 0}),  # between phases
    ],
)
def test_a_checkpoint_holds_the_phase_that_is_running(
    events: int, now: float, state: dict[str, float], watch: Stopwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(watch, RUN[:events], monkeypatch)
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    assert watch.state_dict() == state


def test_a_resumed_run_goes_on_counting(watch: Stopwatch, monkeypatch: pytest.MonkeyPatch) -> None:
    go(watch, RUN[:3], monkeypatch)
    monkeypatch.setattr(time, "perf_counter", lambda: 14)
    resumed = Stopwatch()
    resumed.load_state_dict(watch.state_dict())
    go(resumed, [(100, "on_train_start", FIT), (103, "on_train_end", FIT)], monkeypatch)
    assert resumed.seconds == {"train": 4 + 3, "val": 2, "test": 0}


def test_memory_is_at_least_what_is_used_now() -> None:
    used = psutil.Process().memory_info().rss / 2**20
    assert used * 0.99 <= peak_memory()["memory/peak_rss_mb"] < 2**20


def test_memory_is_counted_in_bytes_on_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    here = peak_memory()["memory/peak_rss_mb"]
    monkeypatch.setattr(sys, "platform", "darwin")
    assert peak_memory()["memory/peak_rss_mb"] == pytest.approx(here / 1024, rel=0.01)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux alone can forget a peak")
def test_what_an_earlier_run_held_counts_no_longer() -> None:
    forget_peaks()
    large = torch.ones(60_000_000)
    high = peak_memory()["memory/peak_rss_mb"]
    del large
    forget_peaks()
    assert peak_memory()["memory/peak_rss_mb"] < high - 200
