"""Kill runs at random moments, resume them, and compare them bit by bit with runs that were never interrupted.

    python bench/kill_matrix.py --kills 20 --output kills.jsonl
    python bench/kill_matrix.py --kills 20 --output kills.jsonl --methods lora --ranks 1

For each method and number of processes one run is left alone, and others are sent SIGKILL, all of their processes at
once: every fifth at a moment drawn uniformly over its duration, most of which is its start, the others at one drawn
over what follows its first checkpoint, while it steps, evaluates, writes a checkpoint (one at every step) or its
results. A run that was killed before its first checkpoint is started again. Finished kills are kept in ``--output``.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import torch

from compare_hf import finished, markdown
from hf_jobs import ROOT

METHODS = ("full", "lora", "adalora")
TYPED = (
    "task=ner",
    "model=tiny",
    "trainer.max_epochs=2",
    "trainer.val_check_interval=0.5",
    "callbacks.last.every_n_steps=1",
    "callbacks.progress_bar=null",
    "data.limit={train: 64, val: 24, test: 24}",
)
Kill = dict[str, Any]


def start(run: Path, typed: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """Start a run, or go on with it where it has left a checkpoint."""
    begun = (run / "checkpoints" / "last.ckpt").exists()
    words = (f"resume={run}",) if begun else (*typed, f"run_dir={run}")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(ROOT / "train.py"), *words]
    with (run.parent / f"{run.name}.log").open("ab") as log:
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=environment, start_new_session=True)


def typed_for(method: str, ranks: int) -> tuple[str, ...]:
    """Return what is typed for a cell; two processes take the batches of one together."""
    size = f"data.batch_size={8 // ranks}"
    return (*TYPED, f"peft={method}", size, "trainer=ddp_cpu" if ranks == 2 else "trainer=cpu")


def stage(run: Path) -> str:
    """Return how far a run has come."""
    if (run / "metrics.json").exists():
        return "finished"
    if (run / "checkpoints" / ".last.ckpt.part").exists() or (run / "checkpoints" / ".best.ckpt.part").exists():
        return "writing a checkpoint"
    return "training" if (run / "checkpoints" / "last.ckpt").exists() else "starting"


def has_begun(run: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait for a run's first checkpoint, or its end."""
    while process.poll() is None and not (run / "checkpoints" / "last.ckpt").exists():
        time.sleep(0.01)


def killed(run: Path, typed: tuple[str, ...], delay: float, begun: bool) -> str:
    """Start a run, kill it after so many seconds, and return in what stage it was; then let it end.

    Args:
        run: Its folder.
        typed: What is typed for it.
        delay: Seconds.
        begun: Whether they count from its first checkpoint.

    Raises:
        RuntimeError: It did not end well.
    """
    process = start(run, typed)
    if begun:
        has_begun(run, process)
    time.sleep(delay)
    found = stage(run) if process.poll() is None else "finished"
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if found == "starting" and run.exists():
        run.rename(run.with_name(f"{run.name}.begun"))  # a folder is not used twice
    if found != "finished" and start(run, typed).wait() != 0:
        raise RuntimeError((run.parent / f"{run.name}.log").read_text(encoding="utf-8")[-2000:])
    return found


def differences(run: Path, whole: Path) -> list[str]:
    """Return what of a run is not, bit by bit, that of the one that was left alone."""
    odd = []
    for name in ("last", "best"):
        ours, theirs = (
            torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True) for folder in (run, whole)
        )
        weights, others = ours["state_dict"], theirs["state_dict"]
        same = weights.keys() == others.keys() and all(torch.equal(weights[key], others[key]) for key in others)
        odd += [] if same else [f"{name}.ckpt"]
    same = (run / "predictions.jsonl").read_bytes() == (whole / "predictions.jsonl").read_bytes()
    return odd if same else [*odd, "predictions.jsonl"]


def kills(method: str, ranks: int, numbers: list[int], folder: Path) -> Iterator[Kill]:
    """Yield one row for each kill of a cell."""
    typed, whole = typed_for(method, ranks), folder / "whole"
    began = time.perf_counter()
    process = start(whole, typed)
    has_begun(whole, process)
    trained = time.perf_counter()
    if process.wait() != 0:
        raise RuntimeError((folder / "whole.log").read_text(encoding="utf-8")[-2000:])
    ended = time.perf_counter()
    for number in numbers:
        draw = random.Random(f"{method} {ranks} {number}")
        run, begun = folder / str(number), number % 5 != 0
        delay = draw.random() * (ended - (trained if begun else began))
        found = killed(run, typed, delay, begun)
        odd = differences(run, whole)
        yield {"method": method, "ranks": ranks, "kill": number, "seconds": delay, "stage": found, "differs": odd}


def table(rows: list[Kill]) -> str:
    """Return one Markdown table: a line a cell."""
    lines = [["method", "processes", "kills", "while", "different afterwards"]]
    for method, ranks in dict.fromkeys((row["method"], row["ranks"]) for row in rows):
        cell = [row for row in rows if (row["method"], row["ranks"]) == (method, ranks)]
        stages = ", ".join(f"{count} {name}" for name, count in Counter(row["stage"] for row in cell).most_common())
        odd = sum(bool(row["differs"]) for row in cell)
        lines.append([f"`{method}`", str(ranks), str(len(cell)), stages, str(odd)])
    return markdown(lines)


def main() -> None:
    """Kill, compare, and exit with status 1 if anything differed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="of each method and number of processes")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--ranks", nargs="+", type=int, choices=(1, 2), default=(1, 2))
    parser.add_argument("--output", type=Path, default=Path("runs/kills.jsonl"))
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    for method, ranks in product(options.methods, options.ranks):
        done = {row["kill"] for row in finished(options.output) if (row["method"], row["ranks"]) == (method, ranks)}
        numbers = [number for number in range(options.kills) if number not in done]
        with tempfile.TemporaryDirectory() as folder, options.output.open("a", encoding="utf-8") as file:
            for row in kills(method, ranks, numbers, Path(folder)) if numbers else ():
                print(row, file=sys.stderr, flush=True)
                file.write(json.dumps(row) + "\n")
                file.flush()
    rows = finished(options.output)
    print(table(rows))
    sys.exit(1 if any(row["differs"] for row in rows) else 0)


if __name__ == "__main__":
    main()
