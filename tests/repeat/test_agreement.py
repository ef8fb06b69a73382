"""When two runs say the same, and what is told of what is around them."""

import math
from typing import Any

import pytest

from lightune.repeat.agreement import compared, drift

ENVIRONMENT: dict[str, Any] = {
    "command": "python train.py",
    "seed": 1,
    "python": "3.11.1",
    "versions": {"torch": "2.12.0", "peft": None},
    "git": {"revision": "a" * 40, "dirty": False, "changed": []},
    "machine": {"cpus": 2, "threads": 1, "gpus": []},
}


@pytest.mark.parametrize(
    ("then", "now", "verdict"),
    [
        (0.5, 0.5, "equal"),
        (0.5, 0.5 + 1e-7, "within 1e-7"),
        (0.5, 0.5 - 2e-7, "within 1e-6"),
        (0.5, 0.50009, "within 1e-4"),
        (0.5, 0.5002, "differs"),
        (2000.0, 2000.1, "within 1e-4"),  # 0.5e-4 of it
        (2000.0, 2001.0, "differs"),
        (math.nan, math.nan, "equal"),
        (math.nan, 0.5, "differs"),
        (0, 0.0, "equal"),
    ],
)
def test_how_near_two_numbers_are(then: float, now: float, verdict: str) -> None:
    assert compared({"a": then}, {"a": now})["a"].verdict == verdict


def test_numbers_that_one_run_alone_has_differ() -> None:
    found = compared({"a": 1.0, "b": 2.0}, {"b": 2.5, "c": 3.0})
    assert {name: each.verdict for name, each in found.items()} == dict.fromkeys("abc", "differs")
    assert {name: each.difference for name, each in found.items()} == {"a": None, "b": 0.5, "c": None}
    assert found["a"].row == ("1", "–", "–")


def test_seconds_and_memory_are_not_compared() -> None:
    assert [*compared({"time/train_s": 1.0, "memory/peak_rss_mb": 5.0, "val/loss": 1.0}, {})] == ["val/loss"]


def test_nothing_is_said_where_nothing_differs() -> None:
    assert [*drift(ENVIRONMENT, {**ENVIRONMENT, "command": "another", "seed": 2})] == []


def test_versions_machine_and_code_that_differ_are_named() -> None:
    now = {
        "python": "3.12.0",
        "versions": {"torch": "2.13.0", "peft": "0.19.0", "numpy": "2.0"},
        "git": {"revision": "b" * 40, "dirty": True, "changed": [f"{name}.py" for name in "abcdefg"]},
        "machine": {"cpus": 2, "threads": 4, "gpus": ["H200"]},
    }
    assert [*drift(ENVIRONMENT, now)] == [
        "python 3.11.1, now 3.12.0",
        "torch 2.12.0, now 2.13.0",
        "peft none, now 0.19.0",
        "threads 1, now 4",
        "gpus none, now H200",
        f"git revision {'a' * 12}, now {'b' * 12}",
        "files that differ from the git revision now: a.py, b.py, c.py, d.py, e.py and 2 more",
    ]


def test_what_is_not_known_of_one_of_them_is_not_compared() -> None:
    assert [*drift(ENVIRONMENT, {"python": "3.11.1", "git": None, "machine": {"cpus": 2}})] == []
