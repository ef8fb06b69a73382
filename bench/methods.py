"""Adapt MiniLM to Banking77 by every method, one run after the other, and print what each reaches and costs.

    python bench/methods.py --data DATA --output peft.jsonl
    python bench/methods.py --data DATA --output peft.jsonl --jobs full lora ia3 head
    python bench/methods.py --output peft.jsonl --table --picture docs/images/compare_peft.png

What ``python train.py -m experiment=compare_peft data=files …`` does in one go, in parts: finished methods are kept in
``--output``, one JSON line each, and are not run again. ``--picture`` draws what is there as a multirun does. The
variables LIGHTUNE_DATA and DATA may name the folder too.
"""

import json
import re
import sys
from functools import partial
from pathlib import Path

import yaml

from compare_hf import Row, finished, job_parser, kept, markdown, measured, parsed
from hf_jobs import ROOT
from lightune.multirun import COSTS
from lightune.report.pictures import write_comparison

_PRESET = yaml.safe_load((ROOT / "conf" / "experiment" / "compare_peft.yaml").read_text(encoding="utf-8"))
METHODS: list[str] = re.findall(r"\w+", _PRESET["hydra"]["sweeper"]["params"]["peft"])
TYPED = (
    "experiment=compare_peft",
    "data=files",
    "data.train=$DATA/banking77/train.csv",
    "data.test=$DATA/banking77/test.csv",
    "task.columns.label=category",
    "data.batch_size=32",
    "trainer.max_epochs=1",
)


def run(method: str, data: Path, folder: Path) -> Row:
    """Run one method and return its row: the process's seconds and memory, and the run's numbers.

    Raises:
        RuntimeError: It failed.
    """
    typed = [word.replace("$DATA", str(data.resolve())) for word in TYPED]
    own = (f"peft={method}", f"run_dir={folder / 'run'}", "callbacks.progress_bar=null")
    process = measured([sys.executable, str(ROOT / "train.py"), *typed, *own], folder / "log.txt")
    numbers = json.loads((folder / "run" / "metrics.json").read_text(encoding="utf-8"))
    return {"job": method, **process, **numbers}


def table(rows: list[Row]) -> str:
    """Return one Markdown table over the methods, best first."""
    lines = [["`peft=`", "macro F1", "accuracy", "trained", "share", "training, s", "peak memory, MiB"]]
    for row in sorted(rows, key=lambda row: -row["test/f1_macro"]):
        share = 100 * row["params/trainable"] / row["params/total"]
        costs = [f"{row['time/train_s']:,.0f}", f"{row['memory/peak_rss_mb']:,.0f}"]
        quality = [f"{row[f'test/{name}']:.3f}" for name in ("f1_macro", "accuracy")]
        lines.append([f"`{row['job']}`", *quality, f"{row['params/trainable']:,}", f"{share:.2f} %", *costs])
    return markdown(lines)


def main() -> None:
    """Run, print and draw; exit with status 1 if a method failed."""
    parser = job_parser(__doc__ or "", METHODS, Path("runs/compare_peft.jsonl"))
    parser.add_argument("--picture", type=Path, help="where to draw quality against cost, as PNG")
    options = parsed(parser)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    done = {row["job"] for row in finished(options.output)}
    wanted = [] if options.table else [method for method in options.jobs if method not in done]
    succeeded = [kept(method, partial(run, method, options.data), options.output) for method in wanted]
    rows = [row for row in finished(options.output) if row["job"] in options.jobs]
    print(table(rows))
    if options.picture:
        names = ("test/f1_macro", *COSTS)
        write_comparison(
            options.picture, [{"name": row["job"], **{n: row[n] for n in names}} for row in rows], "f1_macro"
        )
    sys.exit(0 if all(succeeded) else 1)


if __name__ == "__main__":
    main()
