"""What this machine can do, asked without importing torch."""

import json
import os
from functools import cache
from pathlib import Path

AGAIN = "LIGHTUNE_TRIAL_AGAIN"  # 1 where a sweep begins with a trial once more
TRIAL = "LIGHTUNE_TRIAL"  # names of the study and the trial that a process was started for, as JSON
_DEVICES = Path("/dev")


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


def is_first_process() -> bool:
    """Whether this process speaks for the run: the only one, or rank 0 of a distributed run."""
    return all(int(os.environ.get(name, "0")) == 0 for name in ("LOCAL_RANK", "NODE_RANK", "RANK", "SLURM_PROCID"))


def is_started_from_outside() -> bool:
    """Whether torchrun or srun has started this process beside others of the same run."""
    by_slurm = int(os.environ.get("SLURM_NTASKS", "1")) > 1 and "SLURM_STEP_ID" in os.environ
    return "TORCHELASTIC_RUN_ID" in os.environ or by_slurm


def trial() -> dict[str, str]:
    """Return the names of the ``study`` and the ``trial`` that this process was started for; nothing where for none."""
    names: dict[str, str] = json.loads(os.environ.get(TRIAL, "{}"))
    return names


def is_begun_again() -> bool:
    """Whether SLURM, or a sweep, has begun with this very run before: it was preempted or killed."""
    return any(int(os.environ.get(name, "0")) > 0 for name in ("SLURM_RESTART_COUNT", AGAIN))
