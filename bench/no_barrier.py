"""Trials of 8, 1, 1, 1, 1, 1, 1 and 1 seconds in two slots: how much longer they take than the best schedule, 8 s.

    python bench/no_barrier.py

A sweeper that waits for a batch to end before it begins the next needs 11 s. Counted from the first trial's start to
the last one's end, starting processes included.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import optuna

from hf_jobs import ROOT
from lightune.sweep.storage import opened

SECONDS = (8, 1, 1, 1, 1, 1, 1, 1)
LIMIT = 1.3
APPLICATION = """
import time
import hydra

@hydra.main(version_base=None, config_path=None, config_name=None)
def run(cfg):
    time.sleep(cfg.seconds)
    return cfg.number

if __name__ == "__main__":
    run()
"""


def main() -> None:
    """Run the trials, print the ratio, and exit with status 1 if it is above the limit."""
    points = ",".join(f"{{+seconds: {each}, +number: {number}}}" for number, each in enumerate(SECONDS))
    words = ["hydra/sweeper=lightune", "hydra.sweep.dir=study", "hydra.sweeper.n_jobs=2", "+seconds=1,8"]
    words += ["+number=range(0,8)", f"hydra.sweeper.n_trials={len(SECONDS)}", f"hydra.sweeper.enqueue=[{points}]"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "run.py").write_text(APPLICATION, encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        subprocess.run([sys.executable, "run.py", "-m", *words], cwd=folder, env=environment, check=True)
        trials = optuna.load_study(study_name="study", storage=opened(None, Path(folder) / "study")).trials
    begun = min(trial.datetime_start for trial in trials if trial.datetime_start)
    ended = max(trial.datetime_complete for trial in trials if trial.datetime_complete)
    ideal = max(*SECONDS, sum(SECONDS) / 2)
    ratio = (ended - begun).total_seconds() / ideal
    print(f"{len(trials)} trials in {(ended - begun).total_seconds():.2f} s: {ratio:.3f} x the ideal {ideal} s")
    sys.exit(1 if ratio > LIMIT else 0)


if __name__ == "__main__":
    main()
