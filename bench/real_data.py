"""Train on public data sets, one job after the other, and print what comes out on their test splits.

    python bench/real_data.py --data DATA --output real_data.jsonl              # every job of real_data.yaml
    python bench/real_data.py --data DATA --output real_data.jsonl --jobs sst2 cola
    python bench/real_data.py --output real_data.jsonl --table

Finished jobs are kept in ``--output``, one JSON line each, and are not run again; ``--table`` prints what is there and
runs nothing. The variables LIGHTUNE_DATA and DATA may name the folder too.
"""

import json
import shlex
import sys
from functools import partial
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import yaml

from compare_hf import Row, finished, job_parser, kept, markdown, measured, parsed
from hf_jobs import ROOT

JOBS: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "bench" / "real_data.yaml").read_text(encoding="utf-8"))


def write_documentation(path: Path) -> None:
    """Write Python's own documentation as rows, one for each topic."""
    rows = [json.dumps({"id": name, "text": text}) for name, text in sorted(topics.items())]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def run(name: str, data: Path, folder: Path) -> Row:
    """Run one job and return its row: what was typed, the process's seconds and memory, and the run's numbers.

    Raises:
        RuntimeError: It failed.
    """
    write_documentation(folder / "pydoc.jsonl")
    typed = JOBS[name]["typed"].replace("$DATA", str(data.resolve())).replace("$PYDOC", str(folder / "pydoc.jsonl"))
    command = [sys.executable, str(ROOT / "train.py"), *shlex.split(typed), f"run_dir={folder / 'run'}"]
    process = measured([*command, "callbacks.progress_bar=null"], folder / "log.txt")
    numbers = json.loads((folder / "run" / "metrics.json").read_text(encoding="utf-8"))
    return {"job": name, "typed": JOBS[name]["typed"], **process, **numbers}


def table(rows: list[Row], jobs: list[str]) -> str:
    """Return one Markdown table over the finished jobs."""
    lines = [["job", "test", "trained, of parameters", "minutes", "memory, MiB"]]
    for row in (row for job in jobs for row in rows if row["job"] == job):
        quality = ", ".join(f"{name} {row[f'test/{name}']:.3f}" for name in JOBS[row["job"]]["metrics"])
        parameters = f"{row['params/trainable']:,} of {row['params/total']:,}"
        costs = [f"{row['process/wall_s'] / 60:.1f}", f"{row['process/peak_rss_mb']:,.0f}"]
        lines.append([row["job"], quality, parameters, *costs])
    return markdown(lines)


def main() -> None:
    """Run and print; exit with status 1 if a job failed."""
    options = parsed(job_parser(__doc__ or "", list(JOBS), Path("runs/real_data.jsonl")))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    done = {(row["job"], row["typed"]) for row in finished(options.output)}
    wanted = [] if options.table else [job for job in options.jobs if (job, JOBS[job]["typed"]) not in done]
    succeeded = [kept(job, partial(run, job, options.data), options.output) for job in wanted]
    print(table(finished(options.output), options.jobs))
    sys.exit(0 if all(succeeded) else 1)


if __name__ == "__main__":
    main()
