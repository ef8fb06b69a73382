"""Draw combinations of the groups at random from those that the doctor calls legal, and take one step with each.

    python bench/one_step.py --count 50 --seed 0

Each is a process of its own on the built-in data, with the tiny models that need nothing from the Hub; two CPU
processes where DDP is drawn. It prints what fails, and exits with status 1 if anything did.
"""

import argparse
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from hf_jobs import ROOT
from lightune import doctor, overrides

MODELS = ("tiny", "tiny-decoder", "tiny-seq2seq")
# What the layers of these models, 16 to 64 wide, are too narrow for otherwise; the run says so.
NARROW = {
    "fourierft": "peft.config.n_frequency=100",
    "lora_ga": "peft.config.r=8",
    "psoft": "peft.config.r=8",
    "road": "peft.config.group_size=16",
    "shira": "peft.config.r=4",
    "trainable_tokens": "peft.config.token_indices=[101]",
    "waveft": "peft.config.n_frequency=100",
}
ONE_STEP = (
    "data.limit={train: 8, val: 4, test: 4}",
    "data.batch_size=4",
    "data.max_length=160",
    "trainer.max_steps=1",
    "callbacks.progress_bar=null",
)


def drawn(count: int, seed: int) -> list[dict[str, str]]:
    """Return so many legal combinations."""
    found = doctor.examine(ROOT / "conf")
    draw, cells = random.Random(seed), list[dict[str, str]]()
    while len(cells) < count:
        cell = {g: draw.choice(MODELS if g == "model" else list(names)) for g, names in found.options.items()}
        if found.allows(cell) and cell not in cells:
            cells.append(cell)
    return cells


def fails(cell: dict[str, str]) -> str:
    """Return what a run of one step says where it fails, and nothing where it succeeds."""
    words = [f"{group}={overrides.quoted(option)}" for group, option in cell.items()]
    words += [NARROW[cell["peft"]]] if cell["peft"] in NARROW else []
    split = cell["model"] == "tiny-decoder" and cell["strategy"] in ("tp", "fsdp_tp")
    words += ["++model.config.num_key_value_heads=2"] if split else []  # its one head cannot be split
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / "train.py"), *words, *ONE_STEP, f"run_dir={Path(folder) / 'run'}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    return done.stderr[-1500:] if done.returncode else ""


def main() -> None:
    """Draw, run, and tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    failed = 0
    for number, cell in enumerate(drawn(options.count, options.seed), start=1):
        said = fails(cell)
        failed += bool(said)
        print(number, " ".join(f"{g}={o}" for g, o in cell.items()), "failed" if said else "passed", flush=True)
        print(said, end="", flush=True)
    print(f"{options.count - failed} of {options.count} passed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
