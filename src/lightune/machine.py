"""What this machine can do, asked without importing torch."""

import os
from functools import cache
from pathlib import Path


def has_gpu() -> bool:
    """Whether an NVIDIA GPU is visible to this process."""
    return os.environ.get("CUDA_VISIBLE_DEVICES") not in ("", "-1") and Path("/proc/driver/nvidia/version").exists()


def gpu_count() -> int:
    """Return how many NVIDIA GPUs this process sees."""
    if not has_gpu():
        return 0
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return len(chosen.split(",")) if chosen else len(list(Path("/proc/driver/nvidia/gpus").iterdir()))


@cache
def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 natively (AMX or AVX512-bf16, or Arm's bf16)."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        return False
    return any(word in flags for word in ("amx_bf16", "avx512_bf16", " bf16"))


def is_first_process() -> bool:
    """Whether this process speaks for the run: the only one, or rank 0 of a distributed run."""
    return all(int(os.environ.get(name, "0")) == 0 for name in ("LOCAL_RANK", "NODE_RANK", "RANK"))
