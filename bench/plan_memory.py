"""Compare the memory, steps and time that plan=true tells with those of the run itself.

    python bench/plan_memory.py

Each configuration is planned and then run, as processes of their own, one after the other. It prints one table, and
exits with status 1 where the memory is off by more than 15 %.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from compare_hf import markdown
from hf_jobs import ROOT

ALLOWED = 0.15
SHORT = ("trainer.max_steps=40", "callbacks.progress_bar=null", "data.limit={train: 400, val: 60, test: 60}")
CONFIGURATIONS = {
    "classification, MiniLM, LoRA": ("task=classification",),
    "classification, MiniLM, full, batch 64": ("task=classification", "peft=full", "data.batch_size=64"),
    "qa, MiniLM, full": ("task=qa", "peft=full"),
    "qa, MiniLM, LoRA, checkpointing": ("task=qa", "model.gradient_checkpointing=true"),
    "clm, SmolLM2, LoRA, 4 x 128 tokens": (
        "task=clm",
        "data.batch_size=4",
        "data.max_length=128",
        "data.eval_batch_size=4",
        "trainer.max_steps=15",
    ),
    "ner, MiniLM, full, two processes": ("task=ner", "peft=full", "trainer=ddp_cpu", "data.batch_size=8"),
}


def _output(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *words], capture_output=True, text=True, check=False, cwd=ROOT
    )
    if done.returncode:
        raise RuntimeError(done.stdout[-1500:] + done.stderr[-1500:])
    return done.stdout


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if not found:
        raise RuntimeError(f"the plan does not say {pattern}")
    return float(found[1].replace(",", ""))


def compared(typed: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """Return what a plan says and what came true."""
    words = (*SHORT, *typed, f"run_dir={folder / 'run'}")
    said = _output(*words, "plan=true")
    _output(*words)
    found = json.loads((folder / "run" / "metrics.json").read_text(encoding="utf-8"))
    history = (folder / "run" / "history.csv").read_text(encoding="utf-8").splitlines()
    return {
        "MiB planned": _number(r"needed at most \(main memory\) +│ ([\d,]+)", said),
        "MiB held": found["memory/peak_rss_mb"],
        "steps planned": _number(r"steps +([\d,]+), ", said),
        "steps taken": int(history[-1].split(",")[history[0].split(",").index("step")]),
        "tokens planned": _number(r"tokens +([\d,]+)", said[said.index("Training") :]),
        "tokens": found["tokens/total"],
        "training": re.findall(r"training +(\S.*)", said)[-1],
        "training took": f"{found['time/train_s']:.1f} s",
    }


def main() -> None:
    """Plan, run, compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", type=int, nargs="+", default=range(len(CONFIGURATIONS)), help="numbers, from 0")
    options = parser.parse_args()
    rows, off = [], False
    for name, typed in [list(CONFIGURATIONS.items())[number] for number in options.only]:
        with tempfile.TemporaryDirectory() as folder:
            found = compared(typed, Path(folder))
        error = found["MiB planned"] / found["MiB held"] - 1
        off |= abs(error) > ALLOWED
        shown = [f"{value:,.0f}" if isinstance(value, float | int) else value for value in found.values()]
        rows.append([name, *shown, f"{error:+.1%}"])
        print(rows[-1], file=sys.stderr, flush=True)
    print(markdown([["configuration", *found, "memory off by"], *rows]))
    sys.exit(off)


if __name__ == "__main__":
    main()
