"""What giving trials up saves: the same points of LoRA on Banking77 by a pruned study, and by plain ``-m`` to the end.

    python bench/sweep_cost.py --data DATA --output runs/sweep_cost

The study (asynchronous successive halving over random points) runs first; each of its points is then a file of the
group ``experiment``, and ``-m experiment=point_00,point_01,…`` with Hydra's own sweeper and launcher runs them all. A
part that is there in ``--output`` is not run again.
"""

import argparse
import csv
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from compare_hf import markdown, measured
from hf_jobs import ROOT

# Besides what the preset searches: learning rate, weight decay and warm-up.
SEARCHED = (
    "optimizer.lr=tag(log, interval(1e-4, 3e-2))",
    "peft.config.r=choice(4,8,16,32)",
    "peft.config.lora_dropout=choice(0.0,0.05,0.1)",
)
METRIC = "val/f1_macro"


def typed(data: Path, train: int, val: int) -> list[str]:
    """Return what all runs have in common."""
    return [
        *("task=classification", "peft=lora", "data=files", "task.columns.label=category", f"objective={METRIC}"),
        *(f"data.{split}={data / 'banking77' / f'{split}.csv'}" for split in ("train", "test")),
        f"data.sample={{train: {train}, val: {val}, test: {val}}}",  # its files are sorted by label
        *("data.batch_size=32", "trainer.max_epochs=2", "trainer.val_check_interval=0.125"),
        "callbacks.progress_bar=null",
    ]


def pruned(words: list[str], count: int, folder: Path) -> list[str]:
    """Return the command of the study."""
    own = [
        *("hparams_search=asha", "hydra/sweeper/sampler=random", "hydra.sweeper.study_name=study"),
        *(f"hydra.sweeper.n_trials={count}", "hydra.sweeper.baseline=false"),
    ]
    return [sys.executable, "train.py", "-m", *own, f"paths.runs={folder}", *words, *SEARCHED]


def plain(words: list[str], folder: Path) -> list[str]:
    """Write each point of the study as an experiment, and return the command that runs them all."""
    points = _trials(folder)
    (folder / "experiment").mkdir(exist_ok=True)
    for number, row in enumerate(points):
        values = {key: text for key, text in row.items() if "." in key}
        text = "# @package _global_\n" + yaml.safe_dump(_nested(values))
        (folder / "experiment" / f"point_{number:02d}.yaml").write_text(text, encoding="utf-8")
    names = ",".join(f"point_{number:02d}" for number in range(len(points)))
    place = f"run_dir={folder / 'plain'}"
    return [sys.executable, "train.py", "-m", "--config-dir", str(folder), f"experiment={names}", *words, place]


def _nested(values: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, text in values.items():
        *path, name = key.split(".")
        place = found
        for part in path:
            place = place.setdefault(part, {})
        place[name] = float(text) if "." in text or "e" in text else int(text)
    return found


def _trials(folder: Path) -> list[dict[str, str]]:
    with (folder / "study" / "trials.csv").open(newline="", encoding="utf-8") as file:
        return [*csv.DictReader(file)]


def once(folder: Path, name: str, command: Callable[[], list[str]]) -> float:
    """Return the wall-clock seconds of a command, run now unless an earlier one of that name is there."""
    kept = folder / f"{name}.json"
    if not kept.is_file():
        print(f"{name} …", flush=True)
        kept.write_text(json.dumps(measured(command(), folder / f"{name}.log")), encoding="utf-8")
    seconds: float = json.loads(kept.read_text(encoding="utf-8"))["process/wall_s"]
    return seconds


def _runs(folder: Path) -> list[dict[str, float]]:
    """Return the numbers of all runs in a folder, with the steps of each."""
    found = []
    for path in sorted(folder.glob("trial_*/metrics.json")):
        with (path.parent / "history.csv").open(newline="", encoding="utf-8") as file:
            steps = max(int(float(row["step"])) for row in csv.DictReader(file))
        found.append({**json.loads(path.read_text(encoding="utf-8")), "steps": steps})
    return found


def table(folder: Path, seconds: dict[str, float]) -> str:
    """Return both sides, and their ratio."""
    trials, ended, whole = _trials(folder), _runs(folder / "study"), _runs(folder / "plain")
    given_up = [row for row in trials if row["state"] == "pruned"]
    steps = {"plain": sum(run["steps"] for run in whole), "study": sum(int(row["step"]) for row in trials)}
    best = {name: max(runs, key=lambda run: run[METRIC]) for name, runs in (("plain", whole), ("study", ended))}
    lines = [["", "trials", "given up", "steps", "wall, s", METRIC, METRIC.replace("val", "test")]]
    for name, label in (("plain", "plain `-m`"), ("study", "`hparams_search=asha`")):
        quality = [f"{best[name][key]:.3f}" for key in (METRIC, METRIC.replace("val", "test"))]
        lost = len(given_up) if name == "study" else 0
        lines.append([label, str(len(trials)), str(lost), f"{steps[name]:,}", f"{seconds[name]:,.0f}", *quality])
    ratios = [f"{steps['study'] / steps['plain']:.2f}", f"{seconds['study'] / seconds['plain']:.2f}"]
    return markdown([*lines, ["ratio", "", "", *ratios, "", ""]])


def main() -> None:
    """Run both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("LIGHTUNE_DATA") or os.environ.get("DATA"))
    parser.add_argument("--output", type=Path, default=Path("runs/sweep_cost"))
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--train", type=int, default=2000, help="training examples")
    parser.add_argument("--val", type=int, default=300, help="examples of val and of test")
    options = parser.parse_args()
    if options.data is None:
        parser.error("--data: where are the data sets? The variable DATA names the folder too")
    folder = options.output.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    words = typed(options.data.absolute(), options.train, options.val)
    began = time.strftime("%H:%M")
    seconds = {"study": once(folder, "study", lambda: pruned(words, options.trials, folder))}
    seconds["plain"] = once(folder, "plain", lambda: plain(words, folder))
    print(f"{ROOT.name}, begun {began}\n{table(folder, seconds)}")


if __name__ == "__main__":
    main()
