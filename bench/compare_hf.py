"""Train the same jobs by lightune and by Hugging Face's ``Trainer`` and print them side by side.

    python bench/compare_hf.py --data DATA --jobs sick banking77 wnut17 squad --peft lora full --seeds 1 \
        --output comparison.jsonl

The two sides take turns, each run a process of its own, on the same rows with the same model, epochs, batch size and
learning rate. Finished runs are kept in ``--output``, one JSON line each, and are not run again; ``--table`` prints
what is there and runs nothing. ``DATA`` is a folder with ``squad/``, ``banking77/``, ``sick/`` and ``wnut17/``; the
variables LIGHTUNE_DATA and DATA may name it too. ``hf_jobs.py`` says which files and settings.

Training, validation and test seconds and metrics are each side's own; wall-clock seconds and peak memory of the whole
process are taken here, for both alike, from the operating system.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

# Nothing heavy is imported here: on Linux a child's peak memory starts at what its parent held when it was started.
from hf_jobs import JOBS, ROOT, Run, hf_command, lightune_command, split_files

Row = dict[str, Any]
SIDES: dict[str, tuple[Callable[[Run, dict[str, Path], Path], list[str]], str]] = {
    "lightune": (lightune_command, "run/metrics.json"),
    "hf": (hf_command, "metrics.json"),
}
COSTS = {
    "training, s": "time/train_s",
    "validation, s": "time/val_s",
    "test, s": "time/test_s",
    "whole process, s": "process/wall_s",
    "whole process, CPU s": "process/cpu_s",
    "peak memory, MiB": "process/peak_rss_mb",
}


def job_parser(description: str, jobs: list[str], output: Path) -> argparse.ArgumentParser:
    """Return a parser of what every script that runs jobs on data sets is told."""
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    data = os.environ.get("LIGHTUNE_DATA") or os.environ.get("DATA") or None
    parser.add_argument("--data", type=Path, default=data, help="the data folder")
    parser.add_argument("--jobs", nargs="+", choices=jobs, default=jobs)
    parser.add_argument("--output", type=Path, default=output, help="JSON lines, one a run")
    parser.add_argument("--table", action="store_true", help="print the table of what is finished and run nothing")
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the command line; without a table to print, data has to be there."""
    options = parser.parse_args()
    if options.data is None and not options.table:
        parser.error("say where the data lies: --data FOLDER, or the variable LIGHTUNE_DATA")
    return options


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = job_parser(__doc__ or "", list(JOBS), Path("runs/compare_hf.jsonl"))
    parser.add_argument("--peft", nargs="+", choices=["lora", "full"], default=["lora", "full"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), default=list(SIDES))
    parser.add_argument("--epochs", type=int, help="instead of the job's own number, for a quick look")
    parser.add_argument("--steps", type=int, help="train one epoch of so many steps: what is compared is evaluation")
    parser.add_argument("--eval-batch-size", type=int, default=32)
    return parsed(parser)


def finished(path: Path) -> list[Row]:
    """Read the rows of earlier runs."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def wanted(options: argparse.Namespace) -> Iterator[Run]:
    """Yield the runs asked for, in order."""
    for job in options.jobs:
        for peft in options.peft:
            for seed in options.seeds:
                epochs = 1 if options.steps else options.epochs or JOBS[job].epochs
                yield Run(job, peft, seed, epochs, options.eval_batch_size, options.steps)


def measured(command: list[str], log: Path) -> dict[str, float]:
    """Run a command to its end.

    Args:
        command: Program and arguments.
        log: Takes all that it prints.

    Returns:
        Wall-clock seconds, CPU seconds of all its threads, and peak resident memory (MiB) of the process.

    Raises:
        RuntimeError: It failed; the message ends with the last lines it printed.
    """
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    began = time.perf_counter()
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = log.read_text(encoding="utf-8").splitlines()[-15:]
        raise RuntimeError("\n".join([f"exit status {process.returncode}: {' '.join(command)}", *tail]))
    scale = 2**20 if sys.platform == "darwin" else 2**10
    return {
        "process/wall_s": time.perf_counter() - began,
        "process/cpu_s": usage.ru_utime + usage.ru_stime,
        "process/peak_rss_mb": usage.ru_maxrss / scale,
    }


def run_side(side: str, run: Run, options: argparse.Namespace, folder: Path) -> Row:
    """Train one run by one side and return its row."""
    command_of, metrics = SIDES[side]
    files = split_files(run.settings, options.data.resolve(), folder / "data")
    process = measured(command_of(run, files, folder), folder / "log.txt")
    numbers = json.loads((folder / metrics).read_text(encoding="utf-8"))
    return {**run.identity(side), **process, **numbers}


def run_all(options: argparse.Namespace) -> int:
    """Run what is not finished yet, the sides in turn; write each row as soon as it is there.

    Returns:
        How many runs failed.
    """
    failures = 0
    options.output.parent.mkdir(parents=True, exist_ok=True)
    for run in wanted(options):
        for side in options.sides:
            if any(run.identity(side).items() <= row.items() for row in finished(options.output)):
                continue
            name = f"{run.job} {run.peft} seed {run.seed}: {side}"
            failures += not kept(name, partial(run_side, side, run, options), options.output)
    return failures


def kept(name: str, work: Callable[[Path], Row], output: Path) -> bool:
    """Do one piece of work in a folder that is removed afterwards, and append its row to the output.

    Returns:
        Whether it succeeded; if not, why is printed.
    """
    print(f"{name} …", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix=f"{name.split()[0]}-") as folder:
        try:
            row = work(Path(folder))
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return False
    with output.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    return True


def markdown(lines: list[list[str]]) -> str:
    """Return a table of cells; the first line is its head."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], ["---"] * len(lines[0]), *lines[1:]])


def spread(values: Sequence[float]) -> str:
    """Return mean ± sample standard deviation; the value alone where there is one."""
    deviation = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{deviation}"


def table_rows(run: Run, rows: list[Row]) -> Iterator[list[str]]:
    """Yield the table's lines for one job and way to adapt: quality, costs, trainable parameters."""
    mine, theirs = ([row for row in rows if row["side"] == side] for side in SIDES)
    head = [run.job, run.peft]
    for name in run.settings.quality:
        ours, other = ([row[f"test/{name}"] for row in side] for side in (mine, theirs))
        difference = f"{statistics.mean(ours) - statistics.mean(other):+.3f}"
        yield [*head, f"test {name}", spread(ours), spread(other), difference]
    for name, key in COSTS.items():
        ours, other = (statistics.median(row[key] for row in side) for side in (mine, theirs))
        yield [*head, name, f"{ours:,.1f}", f"{other:,.1f}", f"× {ours / other:.2f}"]
    ours, other = (side[0]["params/trainable"] for side in (mine, theirs))
    yield [*head, "trainable parameters", f"{ours:,}", f"{other:,}", f"{ours - other:+,}"]
    counts = [str(len(side)) for side in (mine, theirs)]
    yield [*head, "runs", *counts, ""]


def table(options: argparse.Namespace) -> str:
    """Return one Markdown table over the finished runs: costs as medians, quality as mean ± deviation over seeds."""
    lines = [["job", "peft", "measure", "lightune", "HF Trainer", "difference or ratio"]]
    asked = list(wanted(options))
    for job, peft in dict.fromkeys((run.job, run.peft) for run in asked):
        runs = [run for run in asked if (run.job, run.peft) == (job, peft)]
        keys = [run.identity(side).items() for run in runs for side in SIDES]
        rows = [row for row in finished(options.output) if any(key <= row.items() for key in keys)]
        if {row["side"] for row in rows} == set(SIDES):
            lines.extend(table_rows(runs[0], rows))
    return markdown(lines)


def main() -> None:
    """Run and print; exit with status 1 if a run failed."""
    options = parse_arguments()
    failures = 0 if options.table else run_all(options)
    print(table(options))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
