"""The whole story of a run, top to bottom: `train` and `evaluate`, callable from a test."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import lightning
from lightning import Trainer
from lightning.pytorch.utilities.memory import garbage_collection_cuda
from omegaconf import DictConfig, OmegaConf

from lightune import __version__, assemble, checkpoint_card, faults, machine, overrides, preflight
from lightune.adapt.combining import exchanged
from lightune.assemble import Experiment
from lightune.callbacks.stopwatch import forget_peaks, peak_memory
from lightune.checkpoint import load_weights, place_in_data
from lightune.commanded import choices, typed
from lightune.continuation import continued
from lightune.errors import ConfigError
from lightune.instantiate import plain
from lightune.objective import objectives
from lightune.report import artefacts, model_folder, overview, pictures, show, wandb
from lightune.report.environment import environment
from lightune.report.findings import findings
from lightune.report.guarded import Guarded
from lightune.report.quiet import quiet

Objective: TypeAlias = float | list[float] | None


def train(cfg: DictConfig) -> Objective:
    """Train, test the best checkpoint, and leave a run folder.

    Args:
        cfg: The checked configuration.

    Returns:
        What a study optimises: by default the best checkpoint's value of the task's monitored validation metric; a list
        where ``objective`` names several numbers; None where one was not measured.

    Raises:
        UserError: What was asked for cannot be done.
    """
    began = time.perf_counter()
    forget_peaks()
    quiet()
    resume = Path(cfg.resume) if cfg.resume else _earlier_attempt(Path(cfg.run_dir))
    cfg = continued(cfg, resume, typed()) if resume else cfg
    _refuse_to_overwrite(Path(cfg.run_dir), resume)
    changed: list[str] = []
    while True:
        try:
            return _trained(cfg, resume, changed, began)
        except faults.OutOfMemoryError as error:
            if not cfg.trainer.get("auto_micro_batch") or cfg.data.batch_size == 1:
                raise
            problem = error.problem
        # Here, where no traceback holds the tensors of the attempt any longer.
        garbage_collection_cuda()
        changed = faults.changes(cfg)
        show.note(f"{problem}. Trying {' '.join(changed)}, which takes the same steps.")
        last = Path(cfg.run_dir) / "checkpoints" / "last.ckpt"
        cfg, resume = faults.smaller(cfg), last if last.exists() else resume


def _earlier_attempt(folder: Path) -> Path | None:
    """Return where a job goes on that a cluster has queued again."""
    last = folder / "checkpoints" / "last.ckpt"
    return last if machine.is_begun_again() and last.exists() else None


def _trained(cfg: DictConfig, resume: Path | None, changed: list[str], began: float) -> Objective:
    """Train and conclude.

    Args:
        cfg: The run's configuration.
        resume: A checkpoint to go on from.
        changed: Overrides beside those that were typed.
        began: When the run did.
    """
    lightning.seed_everything(cfg.seed, verbose=False)
    experiment = assemble.experiment(cfg, {**_card(cfg, changed), **(learnt(resume) if resume else {})})
    if resume:
        _prepare_resume(experiment, resume)
    with wandb.finished(), _others_end_too(experiment.trainer), faults.told(cfg, experiment.trainer):
        if machine.is_first_process():
            overview.before_training(cfg, experiment, choices())
            _describe_run(cfg, experiment)
        experiment.trainer.fit(
            experiment.module, experiment.data, ckpt_path=str(resume) if resume else None, weights_only=True
        )
        if experiment.given_up:
            return None
        return _conclude(cfg, experiment, began)


@contextmanager
def _others_end_too(trainer: Trainer) -> Iterator[None]:
    """Where this process fails, end the other ranks that it has started: one of them may hang, and would for ever."""
    try:
        yield
    except Exception:
        for process in getattr(trainer.strategy.launcher, "procs", ()):
            process.kill()
            process.wait()
        raise


def _conclude(cfg: DictConfig, experiment: Experiment, began: float) -> Objective:
    """Test the best checkpoint and write what the run found."""
    folder, module = Path(cfg.run_dir), experiment.module
    best: dict[str, Any] = {"metrics": module.metrics} if cfg.trainer.fast_dev_run else _load_best(folder, experiment)
    experiment.tune(best.get("metrics", {}))
    metrics = _tested(experiment)
    found: dict[str, Any] = {
        "train/loss": None if module.loss is None else float(module.loss),
        **{key: value for key, value in best.get("metrics", {}).items() if key.startswith("val/")},
        **metrics,
        "best/epoch": best.get("epoch"),
        "best/step": best.get("step"),
        "tokens/total": int(module.tokens),
        **_measured(experiment, began),
    }
    found = {key: value for key, value in found.items() if value is not None}
    module.model = experiment.whole_model()
    if experiment.trainer.is_global_zero:
        (_write_results if not cfg.trainer.fast_dev_run else overview.after_trial)(cfg, experiment, found)
    names = objectives(cfg.get("objective"), experiment.task.monitor)
    if any(name not in found for name in names):
        return None
    values = [float(found[name]) for name in names]
    return values if len(values) > 1 else values[0]


def _load_best(folder: Path, experiment: Experiment) -> dict[str, Any]:
    """Put the best weights into the model and return what their checkpoint says of itself."""
    path = folder / "checkpoints" / "best.ckpt"
    if not path.is_file():
        return {"metrics": experiment.module.metrics}
    load_weights(experiment.module.model, path, experiment.module.everything, experiment.module.digest())
    return checkpoint_card.read(path)


def _tested(experiment: Experiment) -> dict[str, float]:
    """Return the metrics of the test split, in full precision."""
    tokens = experiment.module.tokens
    experiment.trainer.test(experiment.module, experiment.data, verbose=False)
    experiment.module.tokens = tokens
    return {key: value for key, value in experiment.module.metrics.items() if key.startswith("test/")}


def _measured(experiment: Experiment, began: float) -> dict[str, float]:
    counts = model_folder.parameter_counts(experiment.module.model)
    return {
        **{f"time/{phase}_s": seconds for phase, seconds in experiment.stopwatch.seconds.items()},
        "time/total_s": time.perf_counter() - began,
        **peak_memory(),
        **{f"params/{kind}": count for kind, count in counts.items()},
    }


def _write_results(cfg: DictConfig, experiment: Experiment, found: Mapping[str, Any]) -> None:
    folder, evaluation = Path(cfg.run_dir), experiment.module.evaluations["test"]
    artefacts.write_predictions(folder / "predictions.jsonl", evaluation.predictions)
    _write_tables(folder, "test", experiment)
    model_folder.write(
        folder / "model",
        experiment.module.model,
        experiment.tokenizer,
        experiment.task,
        cfg.model.path,
        found,
        pretrained=experiment.backbone.pretrained,
    )
    _tell_loggers(cfg, experiment, found)
    artefacts.write_json(folder / "metrics.json", found)
    overview.after_training(folder, experiment, found)


def _tell_loggers(cfg: DictConfig, experiment: Experiment, found: Mapping[str, Any]) -> None:
    """Log the numbers, and what else the run found."""
    step, evaluation = experiment.trainer.global_step, experiment.module.evaluations["test"]
    config = experiment.module.card["config"]
    everything = cache(lambda: findings(Path(cfg.run_dir), step, found, evaluation, config))
    for logger in experiment.trainer.loggers:
        logger.log_metrics(dict(found), step=step)
        if isinstance(logger, Guarded):
            logger.conclude(everything)
        logger.finalize("success")


def _write_tables(folder: Path, split: str, experiment: Experiment) -> None:
    """Write a split's finer tables, and pictures of those that can be drawn."""
    tables = experiment.module.evaluations[split].tables()
    artefacts.write_tables(folder, split, tables)
    pictures.write_pictures(folder, split, tables)


def _describe_run(cfg: DictConfig, experiment: Experiment) -> None:
    """Write what the run is, before it starts: a run that dies can be understood and resumed."""
    if cfg.trainer.fast_dev_run:
        return
    folder = Path(cfg.run_dir)
    artefacts.write_yaml(folder / "config.yaml", experiment.module.card["config"])
    artefacts.write_yaml(folder / "overrides.yaml", experiment.module.card["overrides"])
    described = {**experiment.module.card["config"], "environment": environment(cfg.seed)}
    artefacts.write_json(folder / "environment.json", described["environment"])
    for logger in experiment.trainer.loggers:
        logger.log_hyperparams(artefacts.flat(described))


def _prepare_resume(experiment: Experiment, path: Path) -> None:
    """Compare the checkpoint with the model before Lightning takes it, and cut the history to its step."""
    load_weights(experiment.module.model, path, experiment.module.everything)
    step = checkpoint_card.read(path)["step"]
    experiment.history.resume(step)
    experiment.module.steps = preflight.changed_steps(experiment.trainer, experiment.data, place_in_data(path), step)


def _refuse_to_overwrite(folder: Path, resume: Path | None) -> None:
    if machine.is_begun_again():  # and was ended before its first checkpoint
        return
    if resume is None and machine.is_first_process() and (folder / "config.yaml").exists():
        raise ConfigError(
            f"run_dir={folder}: a run lies there already",
            f"type {overrides.word('resume', folder)} to continue it, or another run_dir",
        )


def _card(cfg: DictConfig, changed: list[str]) -> dict[str, Any]:
    """Return what every checkpoint of this run says of itself."""
    keys = tuple(f"{overrides.key_of(word)}=" for word in changed)
    own = ("run_dir=", "resume=", "reproduce=", "checkpoint=", "hydra.")
    return {
        "version": __version__,
        "config": plain(cfg),
        "overrides": [word for word in typed() if not word.startswith((*own, *keys))] + changed,
        "choices": choices(),
    }


def learnt(path: Path) -> dict[str, Any]:
    """Return what a checkpoint's card holds that cannot be had again from its configuration: a trained tokenizer."""
    card = checkpoint_card.read(path)
    return {"tokenizer": card["tokenizer"]} if "tokenizer" in card else {}


def evaluate(cfg: DictConfig) -> float | None:
    """Evaluate a checkpoint on a split, and write metrics and predictions.

    Args:
        cfg: The configuration composed from the checkpoint's overrides and the typed ones.

    Returns:
        The value of the task's monitored metric; None where the examples have no targets.

    Raises:
        UserError: The checkpoint, the data or a combination cannot be used.
    """
    forget_peaks()
    quiet()
    path = Path(cfg.checkpoint)
    split, typed_folder, adapter = cfg.split, cfg.run_dir, cfg.adapter
    cfg = continued(cfg, path, typed())
    folder = Path(typed_folder) if typed_folder else _evaluation_folder(path, split)
    OmegaConf.update(cfg, "run_dir", str(folder))
    lightning.seed_everything(cfg.seed, verbose=False)
    experiment = assemble.experiment(cfg, {"config": plain(cfg), "overrides": [], **learnt(path)}, need={split})
    load_weights(experiment.module.model, path, experiment.module.everything)
    if adapter:
        experiment.module.model = exchanged(experiment.module.model, adapter)
    experiment.tune(checkpoint_card.read(path)["metrics"])
    experiment.data.tested = experiment.module.tested = split
    with faults.told(cfg, experiment.trainer):
        experiment.trainer.test(experiment.module, experiment.data, verbose=False)
    metrics = {key: value for key, value in experiment.module.metrics.items() if key.startswith(f"{split}/")}
    found = {**metrics, "time/test_s": experiment.stopwatch.seconds["test"], **peak_memory()}
    if experiment.trainer.is_global_zero:
        _write_evaluation(folder, experiment, split, found)
    return metrics.get(f"{split}/{experiment.task.monitor}")


def _evaluation_folder(path: Path, split: str) -> Path:
    return checkpoint_card.home_of(path) / f"eval_{split}_{datetime.now():%Y-%m-%d_%H-%M-%S}"


def _write_evaluation(folder: Path, experiment: Experiment, split: str, found: Mapping[str, Any]) -> None:
    predictions = experiment.module.evaluations[split].predictions
    artefacts.write_predictions(folder / "predictions.jsonl", predictions)
    if experiment.module.evaluations[split].labelled:
        _write_tables(folder, split, experiment)
    artefacts.write_json(folder / "metrics.json", found)
    overview.after_evaluation(folder, experiment, split, found)
