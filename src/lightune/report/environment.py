"""environment.json: what a run depended on besides its configuration."""

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "lightune",
    "torch",
    "lightning",
    "transformers",
    "peft",
    "datasets",
    "tokenizers",
    "torchmetrics",
    "hydra-core",
    "omegaconf",
    "numpy",
)


def environment(seed: int) -> dict[str, Any]:
    """Return versions, the project's revision, the machine, the command and the seed."""
    found = before_torch()
    return {
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
        "seed": seed,
        **found,
        "machine": {**found["machine"], **_devices()},
    }


def before_torch() -> dict[str, Any]:
    """Return what of it can be told without importing torch: versions, revision, and part of the machine."""
    return {
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES},
        "git": _git(),
        "machine": {"platform": platform.platform(), "processor": platform.machine(), "cpus": os.cpu_count()},
    }


def _devices() -> dict[str, Any]:
    import torch

    return {
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "cuda": torch.version.cuda,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    """Return the revision of the folder the command ran in, and the files that differ from it."""
    revision = _git_says("rev-parse", "HEAD")
    if revision is None:
        return None
    changed = (_git_says("status", "--porcelain") or "").splitlines()
    return {"revision": revision, "dirty": bool(changed), "changed": [line[3:] for line in changed]}


def _git_says(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.rstrip("\n") if answer.returncode == 0 else None
