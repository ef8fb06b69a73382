"""The one LightningModule: it knows steps, optimisers and evaluations, never a task's name."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lightune import ranks
from lightune.checkpoint import CARD, digest, saved_names
from lightune.evaluation import Evaluation
from lightune.optim.groups import parameter_groups
from lightune.parallel.tensors import clip_norm, is_in_parts, own_part
from lightune.tasks.base import Batch, Task

_LOSS, _TARGETS, _TOKENS = range(3)
_SCALE = 32  # a power of two: dividing by it and multiplying again changes no digit


class FineTuner(LightningModule):
    """Fine-tunes a model on a task.

    The loss is a mean over the targets of the *global* batch. Where a step has one micro-batch, its targets on all
    ranks are counted before the backward pass; where it has several, these give sums, and just before the optimiser
    steps the gradients are divided by the number of targets that all micro-batches of all ranks had together.

    Args:
        task: Loss, predictions and metrics.
        model: The adapted model.
        optimizer: Parameter groups → optimiser.
        scheduler: Optimiser and ``total_steps`` → schedule, stepped at every optimiser step.
        lr: Learning rate.
        weight_decay: Weight decay of matrices and embeddings.
        head_lr: Learning rate of the head; or of what is new a multiple of `lr`, such as ``"10x"``; None means `lr`.
        layer_decay: Rate of each layer as a share of that of the layer above it; None: all have the same.
        multiples: Part of a parameter's name → what its rate is multiplied by.
        penalty: Model → what is added to the mean loss of a step that is trained on; not to the loss that is logged.
        fresh: Names, in the model without adapters, of the parameters that are new.
        evaluations: Split name → its evaluation.
        card: Plain data that describes the run, written into every checkpoint.
        everything: Whether checkpoints hold frozen weights too.
    """

    # A checkpoint holds what is trained; lightune.checkpoint compares the names exactly.
    strict_loading = False

    def __init__(
        self,
        task: Task,
        model: nn.Module,
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[..., LRScheduler],
        lr: float,
        weight_decay: float,
        head_lr: float | str | None = None,
        layer_decay: float | None = None,
        multiples: Mapping[str, float] | None = None,
        penalty: Callable[[nn.Module], Tensor] | None = None,
        fresh: Collection[str] | None = None,
        evaluations: Mapping[str, Evaluation] | None = None,
        card: Mapping[str, Any] | None = None,
        everything: bool = False,
    ) -> None:
        super().__init__()
        self.task = task
        self.model = model
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.rates: dict[str, Any] = {
            "lr": lr,
            "weight_decay": weight_decay,
            "head_lr": head_lr,
            "layer_decay": layer_decay,
            "multiples": multiples,
        }
        self.penalty = penalty
        self.fresh = fresh
        self.evaluations = dict(evaluations or {})
        self.card = dict(card or {})
        self.everything = everything
        self.tokens: float | Tensor = 0.0  # tokens trained on so far, padding aside, all ranks together
        self.loss: float | Tensor | None = None  # of the last step
        self.metrics: dict[str, float] = {}  # of the last evaluation of each split, in full precision
        self.tested = "test"  # the split that the test loop runs over
        self.steps: int | None = None  # of the run, where they are not what Lightning counts
        # Hears of each step's gradients, those of the mean over the global batch, before they are clipped.
        self.before_clipping: Callable[[LightningModule, Optimizer], None] | None = None
        self._digest: str | None = None
        self._step = torch.zeros(3, dtype=torch.float64)  # of the step in progress: loss, targets, tokens

    def configure_model(self) -> None:
        """Share the model out over processes, where the strategy does that."""
        parallelize = getattr(self.trainer.strategy, "parallelize", None)
        if parallelize is not None:
            self.digest()  # while all weights are here
            parallelize(self.model)

    def digest(self) -> str:
        """Return by what the frozen weights are recognised."""
        if self._digest is None:
            self._digest = digest(self.model)
        return self._digest

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a micro-batch: the step's mean, or a sum where the step's targets are not known yet."""
        output = self.task.step(self.model, batch)
        parts = [output.loss_sum.detach(), output.count, batch["attention_mask"].sum()]
        self._step = self._step.to(self.device) + torch.stack([part.double() for part in parts])
        # Once for each target, so that it counts once in the mean over all of them.
        loss = output.loss_sum + (self.penalty(self.model) * output.count if self.penalty else 0)
        if self._accumulates():
            # The constant is taken out again below; it only keeps the sums of float16 gradients in range.
            return loss / _SCALE
        self._step = ranks.over_data(self._step)
        # DDP will divide by the ranks.
        return loss * (ranks.data_rank().size / self._targets()).to(loss.dtype)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Turn summed gradients into those of the mean over the global batch, before they are clipped."""
        if self._accumulates():
            self._step = ranks.over_data(self._step)
            # Lightning divided by the micro-batches, DDP by the ranks, training_step by its scale.
            factor = _SCALE * self.trainer.accumulate_grad_batches * ranks.data_rank().size / self._targets()
            self._multiply_gradients(optimizer, factor)
        self.tokens = self.tokens + self._step[_TOKENS]
        self.loss = (self._step[_LOSS] / self._targets()).float()
        self.log("train/loss", self.loss, prog_bar=True)
        self.log("train/tokens", self.tokens)
        self._step = torch.zeros_like(self._step)
        if self.before_clipping is not None:
            self.before_clipping(self, optimizer)

    def _multiply_gradients(self, optimizer: Optimizer, factor: Tensor) -> None:
        multiply = getattr(self.trainer.strategy, "multiply_gradients", None)  # where parameters have none
        if multiply is not None:
            multiply(float(factor))
            return
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        gradients = [own_part(p.grad) for p in parameters if p.grad is not None]
        if gradients:  # none where the step is left out
            torch._foreach_mul_(gradients, factor.to(gradients[0].dtype))

    @property
    def loss_so_far(self) -> Tensor:
        """Sum of the losses of the step in progress: of all ranks where it has one micro-batch, else of this one."""
        return self._step[_LOSS]

    def _accumulates(self) -> bool:
        return self.trainer.accumulate_grad_batches > 1

    def _targets(self) -> Tensor:
        return self._step[_TARGETS].clamp(min=1)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip gradients, also those of which each process has a part, as Lightning does others."""
        in_parts = is_in_parts(self.model) and not hasattr(self.trainer.strategy, "multiply_gradients")
        if gradient_clip_val and in_parts and gradient_clip_algorithm != "value":
            clip_norm([p for group in optimizer.param_groups for p in group["params"]], gradient_clip_val)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_train_start(self) -> None:
        """Let an optimiser that averages weights by itself put those in place that it trains."""
        self._switch_optimizer("train")
        for optimizer in self.trainer.optimizers:
            # Lightning drops gradients after the next forward pass, which would need their memory. Callbacks that look
            # at them after a step have registered their hooks before.
            if isinstance(optimizer, Optimizer):  # DeepSpeed drops them itself
                optimizer.register_step_post_hook(lambda stepped, *_: stepped.zero_grad())

    def on_validation_model_eval(self) -> None:
        """Turn to evaluation, the optimiser's averaged weights in place, and best.ckpt is written with them."""
        super().on_validation_model_eval()
        self._switch_optimizer("eval")

    def on_validation_model_train(self) -> None:
        """Turn back to training."""
        super().on_validation_model_train()
        self._switch_optimizer("train")

    def _switch_optimizer(self, mode: str) -> None:
        # Schedule-free optimisers (Defazio et al. 2024) have two sets of weights, and these two methods.
        for optimizer in self.trainer.optimizers:
            getattr(optimizer, mode, lambda: None)()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Take in one batch of the validation split."""
        self._evaluate("val", batch, batch_idx)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Take in one batch of the split that is tested."""
        self._evaluate(self.tested, batch, batch_idx)

    def _evaluate(self, split: str, batch: Batch, number: int) -> None:
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        self.evaluations[split].update(self.task.step(self.model, batch), batch, data.counts(split, number))

    def on_validation_epoch_end(self) -> None:
        """Log the metrics over the validation examples."""
        self._finish("val")
        if self.trainer.state.fn != "fit":
            return
        self.log("train/tokens", self.tokens)  # beside the metrics, for loggers that draw them against it
        value = self.metrics.get(f"val/{self.task.monitor}")
        if value is not None:
            for plateau in self._plateaus():
                plateau.step(value)

    def _plateaus(self) -> list[ReduceLROnPlateau]:
        schedules = [config.scheduler for config in self.trainer.lr_scheduler_configs]
        return [schedule for schedule in schedules if isinstance(schedule, ReduceLROnPlateau)]

    def lr_scheduler_step(self, scheduler: LRScheduler, metric: Any) -> None:
        """Step a schedule over optimiser steps.

        One that waits for a plateau is stepped when a validation has ended. Lightning would do so after checkpoints are
        written, and a resumed run would have lost it.
        """
        if not isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step()

    def on_test_epoch_end(self) -> None:
        """Log the metrics over the tested examples."""
        self._finish(self.tested)

    def _finish(self, split: str) -> None:
        metrics = self.evaluations[split].finish()
        # float64 would be cut to float32 by Lightning; ranks agree already, so nothing is reduced.
        values = {f"{split}/{name}": torch.tensor(value, dtype=torch.float64) for name, value in metrics.items()}
        self.metrics = {**self.metrics, **{key: float(value) for key, value in values.items()}}
        shown = f"{split}/{self.task.monitor}"
        self.log_dict({key: value for key, value in values.items() if key != shown})
        if shown in values:  # examples without targets have no metrics
            self.log(shown, values[shown], prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return the optimiser over named groups and its schedule."""
        optimizer = self.optimizer(parameter_groups(self.model, **self.rates, fresh=self.fresh))
        scheduler = self.scheduler(optimizer, total_steps=self.steps or self.trainer.estimated_stepping_batches)
        return {
            "optimizer": optimizer,
            # What waits for a plateau goes through `lr_scheduler_step`, as the others do.
            "lr_scheduler": {"scheduler": scheduler, "interval": "step", "reduce_on_plateau": False},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what was trained, and add the card."""
        kept = saved_names(self.model, self.everything)
        checkpoint["state_dict"] = {
            name: tensor for name, tensor in checkpoint["state_dict"].items() if name.removeprefix("model.") in kept
        }
        checkpoint[CARD] = {
            **self.card,
            "digest": self.digest(),
            "epoch": checkpoint["epoch"],
            "step": checkpoint["global_step"],
            "tokens": float(self.tokens),
            "loss": None if self.loss is None else float(self.loss),
            "metrics": dict(self.metrics),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from the numbers of the last step."""
        _reopen_epoch(checkpoint)
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        place = data.resumed(checkpoint.get("DataModule", {}), ranks.data_rank().size)
        _go_on_at(checkpoint, place.get("position", 0))
        self.tokens = checkpoint[CARD]["tokens"]
        self.loss = checkpoint[CARD]["loss"]
        self.metrics = dict(checkpoint[CARD]["metrics"])


def _go_on_at(checkpoint: dict[str, Any], position: int) -> None:
    """Count an epoch's micro-batches as this number of ranks does, and leave it to the data module to go on there."""
    fit: dict[str, Any] = checkpoint.get("loops", {}).get("fit_loop", {})
    fit.get("state_dict", {}).pop("combined_loader", None)
    progress = fit.get("epoch_loop.batch_progress", {}).get("current", {})
    more = position - progress.get("ready", 0) if position else 0
    # A checkpoint that was written within the last hook of a batch does not count it as completed yet.
    progress.update({count: done + more for count, done in progress.items()})


def _reopen_epoch(checkpoint: dict[str, Any]) -> None:
    """Take back that an epoch is over which ``trainer.max_steps`` broke off: Lightning would begin the next one."""
    broken_off = checkpoint.get("DataModule", {}).get("position", 0) > 0
    progress = checkpoint.get("loops", {}).get("fit_loop", {}).get("epoch_progress", {}).get("current", {})
    if broken_off and progress.get("processed") == progress.get("started"):
        progress["processed"] = progress["completed"] = progress["started"] - 1
