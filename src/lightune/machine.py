"""What this machine can do, asked without importing torch."""

import ctypes
import os
import sys
from functools import cache
from pathlib import Path

_DEVICES = Path("/dev")
_MALLOC_SETTINGS = ("MALLOC_", "GLIBC_TUNABLES")  # how environment variables begin that tune glibc's malloc
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def has_gpu() -> bool:
    """Whether an NVIDIA GPU is visible to this process."""
    return gpu_count() > 0


def gpu_count() -> int:
    """Return how many NVIDIA GPUs this process sees.

    The driver makes a device file for each. Its list in /proc names the GPUs of the whole host, in a container of one
    as well, and is not there at all in every sandbox.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    there = len([*_DEVICES.glob("nvidia[0-9]*")]) or int((_DEVICES / "dxg").exists())  # WSL 2 has one file for all
    if chosen is None or not there:
        return there
    return len([device for device in chosen.split(",") if device.strip() not in ("", "-1")])


@cache
def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 natively (AMX or AVX512-bf16, or Arm's bf16)."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        return False
    return any(word in flags for word in ("amx_bf16", "avx512_bf16", " bf16"))


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, for the next step to use again.

    A training step on the CPU allocates gigabytes and frees them all. glibc gives large blocks back to the system at
    once, and the system clears every page anew when the next step asks for it, a tenth to a third of its time.
    The process then holds its peak until it ends, a few percent more than it would have needed.

    Returns:
        Whether it does; not where the user has tuned malloc, nor without glibc.
    """
    if sys.platform != "linux" or any(name.startswith(_MALLOC_SETTINGS) for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, -1))


def is_first_process() -> bool:
    """Whether this process speaks for the run: the only one, or rank 0 of a distributed run."""
    return all(int(os.environ.get(name, "0")) == 0 for name in ("LOCAL_RANK", "NODE_RANK", "RANK"))
