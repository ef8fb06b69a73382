"""What is asked of the machine, and what is asked for."""

import os
import subprocess
import sys

import pytest

from tests.command import ROOT

# Page faults of ten rounds that allocate, fill and free 64 MiB, before and after.
FAULTS = """
import resource, numpy
from lightune import machine
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        numpy.ones(2**23)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
first = faults()
kept = machine.keep_freed_memory()
faults()
print(kept, first, faults())
"""


def _run(**environment: str) -> tuple[bool, int, int]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    command = [sys.executable, "-c", FAULTS]
    ended = subprocess.run(command, cwd=ROOT, env={**clean, **environment}, capture_output=True, text=True, check=True)
    kept, first, second = ended.stdout.split()
    return kept == "True", int(first), int(second)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_freed_memory_is_used_again() -> None:
    kept, before, after = _run()
    assert kept
    assert before > 100  # each round's pages were cleared anew
    assert after < before / 10


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_what_the_user_tuned_is_left_alone(name: str) -> None:
    value = {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=100000"}.get(name, "100000")
    kept, before, after = _run(**{name: value})
    assert not kept
    assert after > before / 2
