"""``kill -9`` of sweepers and trials, and four commands at once, on each storage, as `bench/kill_sweep.py` has it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import ROOT

HAS_POSTGRESQL = bool(shutil.which("postgres") or [*Path("/usr/lib/postgresql").glob("*/bin/postgres")])
STORAGES = (
    "journal",
    "sqlite",
    pytest.param(
        "postgresql", marks=pytest.mark.skipif(not HAS_POSTGRESQL, reason="PostgreSQL's programs are not installed")
    ),
)


def _rounds(*words: str) -> str:
    """Return the last line of the table: storage, rounds, sweepers and trials killed, trials begun again, wrong."""
    command = [sys.executable, str(ROOT / "bench" / "kill_sweep.py"), *words]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout.splitlines()[-1]


@pytest.mark.parametrize("storage", STORAGES)
def test_four_commands_share_a_study_and_nothing_is_lost_repeated_or_left(storage: str) -> None:
    line = _rounds("--storage", storage, "--rounds", "1", "--workers", "4", "--kills", "2")
    _, name, rounds, sweepers, trials, _, wrong, _ = line.split("|")
    assert (name.strip(), int(rounds), int(wrong)) == (storage, 1, 0)
    assert int(sweepers) + int(trials) > 0
