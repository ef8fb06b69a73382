"""The assembly room: the only reader of the configuration. Configuration in, parts out.

The order is that of cost: what can be wrong is looked at before what is expensive is done, and weights are loaded last.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from omegaconf import DictConfig
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from lightune import preflight
from lightune.adapt import Adaptation, Training
from lightune.callbacks import FinalValidation, RandomState, Stopwatch
from lightune.data.encoding import EncodedSplit, encode
from lightune.data.loaders import Collate
from lightune.data.module import DataModule
from lightune.data.splits import SPLITS
from lightune.data.streaming import Rows, Stream
from lightune.data.table import PART
from lightune.errors import ConfigError
from lightune.evaluation import Evaluation
from lightune.examples import STREAMED, Examples, read_examples
from lightune.instantiate import build, plain
from lightune.keys import RATES
from lightune.models import Backbone
from lightune.models.vocabulary import TokenizerTraining, restored, texts_of
from lightune.module import FineTuner
from lightune.objective import objectives
from lightune.report.history import HistoryLogger
from lightune.sweep import pruning
from lightune.tasks.base import Task
from lightune.trainer import assembled_trainer

_LEARNT_FROM = 100_000  # rows of a stream that a tokenizer is trained on


@dataclass
class Experiment:
    """Everything a run consists of, ready to go.

    Args:
        task: With its labels.
        backbone: Where the model came from.
        tokenizer: Of the backbone.
        data: Loaders.
        module: Steps, optimiser, evaluations.
        trainer: Lightning's.
        stopwatch: Seconds by phase.
        history: The logger behind history.csv.
        max_length: Tokens of a feature.
    """

    task: Task
    backbone: Backbone
    tokenizer: PreTrainedTokenizerBase
    data: DataModule
    module: FineTuner
    trainer: Trainer
    stopwatch: Stopwatch
    history: HistoryLogger
    max_length: int

    @property
    def given_up(self) -> bool:
        """Whether the run is a trial that its study has given up."""
        return any(getattr(callback, "pruned", False) for callback in getattr(self.trainer, "callbacks", ()))

    def whole_model(self) -> nn.Module:
        """Return the model, put together from its parts where processes share it; all of them have to call it.

        Only the first process gets the whole then.
        """
        gathered = getattr(self.trainer.strategy, "whole_model", lambda model: model)
        return gathered(self.module.model) or self.module.model

    def tune(self, metrics: Mapping[str, float]) -> None:
        """Let the task decide as a checkpoint's validation metrics say is best."""
        found = {name.removeprefix("val/"): value for name, value in metrics.items() if name.startswith("val/")}
        self.task = self.module.task = self.task.tuned(found)
        for evaluation in self.module.evaluations.values():
            evaluation.task = self.task


def experiment(cfg: DictConfig, card: Mapping[str, Any], need: Collection[str] = SPLITS) -> Experiment:
    """Assemble an experiment.

    Args:
        cfg: The whole, checked configuration.
        card: Plain data that every checkpoint will carry.
        need: Splits that are read and encoded.

    Raises:
        UserError: The first thing that is wrong with data, model or their combination.
    """
    backbone: Backbone = build(cfg.model, "model", cache=Path(cfg.paths.cache))
    if cfg.get("quantization"):
        backbone = replace(backbone, quantization=build(cfg.quantization, "quantization"))
    adaptation: Adaptation = build(cfg.peft, "peft")
    optimizer, rates = _optimizer(cfg)
    scheduler = build(cfg.scheduler, "scheduler")
    examples = read_examples(cfg, need)
    task = examples.task
    backbone, card = _with_vocabulary(cfg, backbone, examples, card)
    config = backbone.read_config(**task.head_config())
    preflight.check_architecture(task, config)
    tokenizer = backbone.tokenizer(task.pretokenized)
    task = task.with_backbone(config, tokenizer)
    preflight.check_fit(task, backbone, adaptation, config)
    preflight.check_monitors(task, _watched(cfg), cfg.get("headline") or ())
    objective = objectives(cfg.get("objective"), task.monitor)
    preflight.check_objectives(task, objective)
    preflight.check_packing(task, cfg.data.packing)
    stopwatch, history = Stopwatch(), HistoryLogger(cfg.run_dir)
    own = [stopwatch, RandomState(), FinalValidation(), *adaptation.callbacks(), *pruning.callbacks(objective[0])]
    trainer = assembled_trainer(cfg, own, history, need)
    preflight.check_split(trainer, config)
    longest = min(cfg.data.max_length, _positions(config) - adaptation.virtual_tokens)
    cache = Path(cfg.paths.cache).expanduser()
    splits = {split: encode(table.rows, task, tokenizer, longest, cache) for split, table in examples.tables.items()}
    stream = _stream(cfg, task, examples.rows, tokenizer, longest) if examples.rows else None
    together = getattr(trainer.strategy, "needs_equal_batches", False)
    data = _data(cfg, task, splits, stream, tokenizer, longest, together)
    steps = preflight.planned_steps(trainer, data)[1] if "train" in need else None
    if steps is not None:
        preflight.check_schedule(optimizer, scheduler, steps)
    device = trainer.strategy.root_device
    training = None if steps is None else _training(task, data, int(steps), device)
    model, fresh = _adapted(cfg, task, backbone, adaptation, config, training, device)
    module = FineTuner(
        task,
        model,
        optimizer,
        scheduler,
        **rates,
        multiples=adaptation.multiples,
        penalty=adaptation.penalty,
        fresh=fresh,
        evaluations={
            split: Evaluation(task, encoded, split == "val" and "train" in need, split in examples.labelled)
            for split, encoded in splits.items()
        },
        card=_completed(card, task),
        everything=not backbone.pretrained,
    )
    return Experiment(task, backbone, tokenizer, data, module, trainer, stopwatch, history, longest)


def _with_vocabulary(
    cfg: DictConfig, backbone: Backbone, examples: Examples, card: Mapping[str, Any]
) -> tuple[Backbone, Mapping[str, Any]]:
    """Return the backbone with the tokenizer that is learnt, or was when the card was written; and the card with it."""
    if not cfg.get("tokenizer"):
        return backbone, card
    training: TokenizerTraining = build(cfg.tokenizer, "tokenizer")
    like = backbone.tokenizer()
    if "tokenizer" not in card:
        rows = islice(examples.rows(0), _LEARNT_FROM) if examples.rows else examples.tables["train"].rows
        cache = Path(cfg.paths.cache).expanduser()
        card = {**card, "tokenizer": training.learnt(list(texts_of(rows)), like, cache)}
    return replace(backbone, learnt=restored(card["tokenizer"], like)), card


def _completed(card: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """Put what the task took from the training rows into the card's configuration: an evaluation has no such rows."""
    kept = {name: list(value) for name in task.kept if (value := getattr(task, name, None))}
    return {**card, "config": {**card["config"], "task": {**card["config"]["task"], **kept}}}


def _watched(cfg: DictConfig) -> dict[str, str]:
    """Return what each callback monitors."""
    nodes = plain(cfg.callbacks) or {}
    return {name: str(node["monitor"]) for name, node in nodes.items() if node and node.get("monitor")}


def _positions(config: PretrainedConfig) -> int:
    """Return how many tokens the model can take; RoBERTa-like models keep two positions for padding."""
    config = getattr(config, "encoder", config)  # of a pair
    positions = getattr(config, "max_position_embeddings", None) or 10**6
    return positions - 2 if config.model_type in ("roberta", "xlm-roberta", "camembert") else positions


def _stream(cfg: DictConfig, task: Task, rows: Rows, tokenizer: PreTrainedTokenizerBase, longest: int) -> Stream:
    return Stream(rows, STREAMED, plain(cfg.data.get("filter")) or {}, task, tokenizer, longest, cfg.data.epoch_size)


def _data(
    cfg: DictConfig,
    task: Task,
    splits: Mapping[str, EncodedSplit],
    stream: Stream | None,
    tokenizer: PreTrainedTokenizerBase,
    longest: int,
    equal_batches: bool,
) -> DataModule:
    pads = {
        "input_ids": tokenizer.pad_token_id,
        "token_type_ids": tokenizer.pad_token_type_id,
        "segments": 0,
        **task.padding,
    }
    return DataModule(
        splits,
        Collate(pads, cfg.data.pad_to_multiple_of),
        batch_size=cfg.data.batch_size,
        eval_batch_size=cfg.data.eval_batch_size,
        tokens_per_batch=cfg.data.tokens_per_batch,
        accumulate=cfg.trainer.accumulate_grad_batches,
        num_workers=cfg.data.num_workers,
        seed=cfg.seed,
        eval_only=tuple(task.eval_only),
        limit=cfg.trainer.limit_train_batches,
        pack=longest if cfg.data.packing else None,
        stream=stream,
        equal_batches=equal_batches,
        **(_strata(cfg.data, task, splits["train"]) if "train" in splits else {}),
    )


def _strata(data: DictConfig, task: Task, split: EncodedSplit) -> dict[str, Any]:
    """Return what each training feature counts as where it is told how often these come, and their shares.

    Raises:
        ConfigError: Labels are to be balanced, and the task has none.
    """
    weights = plain(data.get("weights"))
    if not (weights or data.get("balanced")):
        return {}
    keys = [row[PART] if weights else task.stratum(row) for row in split.examples]
    if all(key is None for key in keys):
        raise ConfigError(
            f"data.balanced=true: the examples of task={task.name} are of no kinds that could be balanced",
            "leave it out: data.balanced=false",
        )
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return {
        "strata": [numbers[keys[example]] for example in split.features["example"]],
        "shares": [weights[key] for key in numbers] if weights else None,
    }


def _adapted(
    cfg: DictConfig,
    task: Task,
    backbone: Backbone,
    adaptation: Adaptation,
    config: PretrainedConfig,
    training: Training | None,
    device: torch.device,
) -> tuple[nn.Module, frozenset[str]]:
    torch.manual_seed(cfg.seed)  # the head is drawn here; nothing before it may change the draw
    model, fresh = backbone.load(task.auto_class, config, device)
    task.initialize({name: parameter for name, parameter in model.named_parameters() if name in fresh})
    # Files give a model in evaluation mode, and Lightning would train it in the mode that it finds: without dropout.
    adapted = adaptation.apply(model, fresh, task.peft_type, backbone.new_ids(), training).train()
    if backbone.compile:
        adapted.compile(dynamic=True)  # in place, so that names stay; rows are of many lengths
    return adapted, fresh


def _training(task: Task, data: DataModule, steps: int, device: torch.device) -> Training:
    """Return what a method may know of the run."""

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        output = task.step(model, batch)
        return output.loss_sum / output.count.clamp(min=1)

    return Training(steps, data.samples, loss, device)


def _optimizer(cfg: DictConfig) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return the optimiser's partial, and the rates that go into parameter groups."""
    node = plain(cfg.optimizer)
    rates = {"lr": node["lr"], "weight_decay": node.get("weight_decay", 0.0)}
    rates |= {rate: node.pop(rate, None) for rate in RATES}
    if str(cfg.trainer.precision).endswith("mixed") and node.get("fused"):
        node["fused"] = False  # a fused step may unscale gradients itself, so Lightning refuses to clip them before
    return build(node, "optimizer"), rates
