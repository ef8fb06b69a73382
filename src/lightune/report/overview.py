"""What a run tells its reader, before it starts and when it is done."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from lightune import overrides
from lightune.assemble import Experiment
from lightune.preflight import planned_steps
from lightune.report import show
from lightune.report.model_folder import parameter_counts

_SHOWN = ("task", "data", "model", "tokenizer", "peft", "optimizer", "scheduler", "precision", "strategy", "trainer")
_MANY_UNKNOWN = 0.02  # share of tokens


def before_training(cfg: DictConfig, experiment: Experiment, choices: Mapping[str, str]) -> None:
    """Print the composed choices and what will happen."""
    chosen = [(group, choices[group]) for group in _SHOWN if group in choices]
    if chosen:
        show.table("Choices", ["group", "option"], chosen)
    show.table("Data", ["split", "examples", "features", "truncated", "tokens", "unknown"], _split_rows(experiment))
    counts = parameter_counts(experiment.module.model)
    share = 100 * counts["trainable"] / counts["total"]
    show.lines(
        "Plan",
        {
            "parameters": f"{counts['trainable']:,} of {counts['total']:,} trained ({share:.2f} %)",
            "batch": _batch(cfg),
            "steps": _steps(experiment),
            "learning rate": f"{cfg.optimizer.lr:g}",
            "best by": f"val/{experiment.task.monitor}",
            "run folder": _short(Path(cfg.run_dir)),
        },
    )
    for split, encoded in experiment.data.splits.items():
        if encoded.truncated:
            show.note(
                f"Warning: {encoded.truncated:,} of {len(encoded.examples):,} {split} examples lose tokens at "
                f"data.max_length={cfg.data.max_length}."
            )
        if (encoded.unknown or 0) > _MANY_UNKNOWN:
            show.note(
                f"Warning: {encoded.unknown:.1%} of the {split} tokens are unknown to the tokenizer: the model cannot "
                "tell them apart. Another backbone may know the language or the characters."
            )


def _split_rows(experiment: Experiment) -> list[tuple[Any, ...]]:
    stream = experiment.data.stream
    streamed = [] if stream is None else [("train", "streamed", f"{stream.epoch_size:,} an epoch", "–", "–", "–")]
    return streamed + [
        (
            split,
            len(e.examples),
            len(e.lengths),
            f"{e.truncated / max(len(e.examples), 1):.1%}",
            int(sum(e.lengths)),
            "–" if e.unknown is None else f"{e.unknown:.2%}",
        )
        for split, e in experiment.data.splits.items()
    ]


def _batch(cfg: DictConfig) -> str:
    accumulate = cfg.trainer.accumulate_grad_batches
    size = f"{cfg.data.tokens_per_batch:,} tokens" if cfg.data.tokens_per_batch else f"{cfg.data.batch_size} features"
    balanced = ", balanced" if cfg.data.get("balanced") else ""
    return size + (f" × {accumulate} micro-batches" if accumulate > 1 else "") + balanced


def _steps(experiment: Experiment) -> str:
    per_epoch, total = planned_steps(experiment.trainer, experiment.data)
    if experiment.trainer.max_steps != -1:
        return f"{total:,} ({per_epoch:,} an epoch)"
    return f"{total:,} ({experiment.trainer.max_epochs} epochs of {per_epoch:,})"


def _short(path: Path) -> str:
    """Return a path relative to here, where it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def after_training(folder: Path, experiment: Experiment, found: Mapping[str, Any]) -> None:
    """Print the results, where everything lies, and what to type next."""
    _metrics("Test, best checkpoint", "test", found)
    _finer_tables(experiment, "test")
    short = _short(folder)
    best = folder / "checkpoints" / "best.ckpt"
    show.lines(
        "Run",
        {
            "best": f"epoch {found.get('best/epoch', '-')}, step {found.get('best/step', '-')}, "
            f"val/{experiment.task.monitor} {found.get(f'val/{experiment.task.monitor}', float('nan')):.4f}",
            "time": f"{show.duration(found['time/total_s'])} (training {show.duration(found['time/train_s'])})",
            "memory": _peaks(found),
        },
    )
    show.lines(
        f"In {short}/",
        {
            "metrics.json": "the numbers",
            "predictions.jsonl": "one row per test example",
            "history.csv": "one row per logging step",
            "config.yaml": "the resolved configuration",
            "checkpoints/": "best.ckpt, last.ckpt",
            "model/": "Hugging Face format, with a model card that shows how to load it",
        },
    )
    if best.is_file():
        more = f"trainer.max_epochs={(experiment.trainer.max_epochs or 0) + 1}"
        show.lines(
            "Next",
            {
                "evaluate": f"python eval.py {overrides.word('checkpoint', _short(best))}",
                "train on": f"python train.py {overrides.word('resume', short)} {more}",
                "use": f"see {short}/model/README.md",
            },
        )


def after_trial(cfg: DictConfig, experiment: Experiment, found: Mapping[str, Any]) -> None:
    """Print what a ``fast_dev_run`` found, which leaves nothing behind."""
    _metrics("One batch of everything", "test", found)
    show.note("It runs. Nothing was kept; leave out debug=fast_dev_run to train.")


def after_evaluation(folder: Path, experiment: Experiment, split: str, found: Mapping[str, Any]) -> None:
    """Print an evaluation's results and where they lie."""
    evaluation = experiment.module.evaluations[split]
    if evaluation.labelled:
        _metrics(f"{split}, {len(evaluation.predictions):,} examples", split, found)
        _finer_tables(experiment, split)
    else:
        show.note(f"{split}: {len(evaluation.predictions):,} examples predicted; they have no targets to measure by.")
    show.note(f"Written to {_short(folder)}/: metrics.json, predictions.jsonl")


def _metrics(title: str, split: str, found: Mapping[str, Any]) -> None:
    rows = [(name.removeprefix(f"{split}/"), value) for name, value in found.items() if name.startswith(f"{split}/")]
    show.table(title, ["metric", "value"], rows)


def _finer_tables(experiment: Experiment, split: str) -> None:
    for name, rows in experiment.module.evaluations[split].tables().items():
        if name.startswith("per_") and 0 < len(rows) <= 40:  # a matrix is for its file
            show.table(name.replace("_", " "), list(rows[0]), [tuple(row.values()) for row in rows])


def _peaks(found: Mapping[str, Any]) -> str:
    peaks = [f"{found['memory/peak_rss_mb']:,.0f} MiB at most"]
    if "memory/peak_gpu_mb" in found:
        peaks.append(f"{found['memory/peak_gpu_mb']:,.0f} MiB of the GPU's")
    return ", ".join(peaks)
