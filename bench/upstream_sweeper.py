"""hydra-optuna-sweeper beside lightune's own sweeper: its examples, and an environment in which both are installed.

    python bench/upstream_sweeper.py --examples hydra/plugins/hydra_optuna_sweeper
    python bench/upstream_sweeper.py --environment runs/hydra-1.4 tests/sweep tests/test_config.py

``--examples`` is that folder of a checkout of Hydra, of any release since 1.2 (packages do not bring it): its three
examples are run as they are, with lightune's sweeper, which answers to ``hydra/sweeper=optuna`` where the plugin is not
installed. ``--environment`` makes a virtual environment with the newest pre-releases of Hydra 1.4 and the plugin before
everything that this environment has, asks it whose ``optuna`` and ``lightune`` are, and runs the named tests in it.
"""

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from compare_hf import markdown
from hf_jobs import ROOT

PACKAGES = ("hydra-core>=1.4.0rc1,<1.5", "hydra-optuna-sweeper>=1.4.0rc1,<1.5")
# Prints the targets of both, and the releases.
WHOSE = """
from importlib.metadata import version
from hydra import compose, initialize_config_dir
from hydra.core.plugins import Plugins
Plugins.instance()
for name in ("optuna", "lightune"):
    with initialize_config_dir("{folder}", version_base=None):
        print(compose(None, ["hydra/sweeper=" + name], return_hydra_config=True).hydra.sweeper._target_)
print(*(name + "==" + version(name) for name in ("hydra-core", "omegaconf", "optuna", "hydra-optuna-sweeper")))
"""


def sphere(best: Any) -> bool:
    """Return whether a best trial is one of the sphere's, as its own trials end."""
    return bool(best.best_value == best.best_params.x**2 + best.best_params.y**2)


def front(best: Any) -> bool:
    """Return whether the trials of a front are Binh and Korn's, and none is better in all."""
    points = [(s.params.x, s.params.y, *s["values"]) for s in best.solutions]
    right = all(v == 4 * x**2 + 4 * y**2 and w == (x - 5) ** 2 + (y - 5) ** 2 for x, y, v, w in points)
    beaten = any(a[2] <= b[2] and a[3] <= b[3] and a[2:] != b[2:] for a in points for b in points)
    return right and not beaten


def custom(best: Any) -> bool:
    """Return whether a best trial keeps to what the example's own function allows."""
    found = best.best_params
    squares = sum(found[key] ** 2 for key in ("x", "y", "z", "+w"))
    return abs(found.x - found.z) <= 0.5 and 0 <= found["+w"] <= 1 and abs(squares - best.best_value) < 1e-9


# Command → what its result has to meet.
EXAMPLES: dict[str, Callable[[Any], bool]] = {
    "sphere.py": sphere,
    "sphere.py x=interval(-5.0,5.0) y=interval(0,10)": sphere,
    "sphere.py hydra/sweeper/sampler=random hydra.sweeper.sampler.seed=1 ~z": sphere,
    "multi-objective.py": front,
    "custom-search-space-objective.py": custom,
}


def run_examples(folder: Path) -> int:
    """Run the examples, print a table, and return how many came to something else."""
    lines = [["example", "trials", "best"]]
    wrong = 0
    for words, is_right in EXAMPLES.items():
        script, *typed = words.split()
        with tempfile.TemporaryDirectory() as place:
            command = [sys.executable, f"example/{script}", "--multirun", f"hydra.sweep.dir={place}", *typed]
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            best: Any = OmegaConf.load(f"{place}/optimization_results.yaml")
            trials = len([*Path(place).glob("trial_*/")])
        good = trials == 20 and is_right(best)
        wrong += not good
        shown = best.get("best_value", f"{len(best.get('solutions', ()))} on the front")
        lines.append([f"`{words}`", str(trials), f"{shown}" if good else f"wrong: {best}"])
    print(markdown(lines))
    return wrong


def test_beside(folder: Path, tests: list[str]) -> int:
    """Make an environment with Hydra's pre-release and the plugin, and return the status of the tests in it."""
    python = folder.absolute() / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        own = subprocess.run(
            [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        # Behind what the environment has of its own: one torch for both.
        (Path(own) / "behind.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--pre", *PACKAGES], check=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    whose = subprocess.run(
        [str(python), "-c", WHOSE.format(folder=ROOT)], env=environment, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    print(*whose, sep="\n")
    expected = ["hydra_plugins.hydra_optuna_sweeper.", "hydra_plugins.lightune_sweeper."]
    if not all(target.startswith(start) for target, start in zip(whose, expected, strict=False)):
        return 1
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode if tests else 0


def main() -> None:
    """Run what was asked for, and exit with status 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--examples", type=Path)
    parser.add_argument("--environment", type=Path)
    parser.add_argument("tests", nargs="*", help="what of the tests is run in the environment")
    options = parser.parse_args()
    wrong = run_examples(options.examples) if options.examples else 0
    wrong += test_beside(options.environment, options.tests) if options.environment else 0
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
