"""Starts of LoRA that are computed from what a model makes of training data."""

import sys
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, Literal, Protocol

import torch
from peft import EvaConfig, PeftModel, initialize_lora_eva_weights
from peft.tuners.lora.config import CordaConfig, LoraGAConfig
from peft.tuners.lora.corda import preprocess_corda
from peft.tuners.lora.loraga import preprocess_loraga
from torch import Tensor, nn

from lightune.adapt.training import Batch, Training
from lightune.errors import ConfigError


class Start(Protocol):
    """Gives LoRA's factors their first values.

    Where nothing is trained no start is looked for: the values come from a checkpoint.

    Attributes:
        changes_weights: Whether layers give up what their adapters start with.
        wants_tokens: Whether a layer has to be given a state for each token, and no pooler can be adapted.
    """

    changes_weights: bool
    wants_tokens: bool

    def options(self) -> dict[str, Any]:
        """Return the options of ``peft.LoraConfig`` that ask for it."""

    def check(self, shapes: Mapping[str, Sequence[int]], rank: int) -> None:
        """Raise ConfigError where a layer is too small for it.

        Args:
            shapes: Name of an adapted layer → shape of its weight.
            rank: Of the factors.
        """
        return

    def before(self, model: nn.Module, config: Any, training: Training) -> None:
        """Look at the model without adapters."""
        return

    def after(self, model: PeftModel, training: Training) -> None:
        """Look at the model with adapters."""
        return


class Eva(Start):
    """The main directions of each layer's inputs (Paischer et al. 2024, One initialization to rule them all).

    Every layer keeps its rank: with ranks shared out by explained variance a checkpoint would need the data to be read.

    Args:
        batches: Batches of training data that are looked at, over and over until directions stay.
        at_most: Batches after which it is given up: a handful of examples may never settle it.
    """

    changes_weights = False
    wants_tokens = True

    def __init__(self, batches: int = 8, at_most: int = 400) -> None:
        self.batches = batches
        self.at_most = at_most

    def options(self) -> dict[str, Any]:
        """Ask for it."""
        return {"init_lora_weights": "eva", "eva_config": EvaConfig(rho=1.0)}

    def after(self, model: PeftModel, training: Training) -> None:
        """Compute the directions.

        Raises:
            ConfigError: They have not settled.
        """
        looks = count(1)

        def look(model: nn.Module, batch: Batch) -> None:
            if next(looks) > self.at_most:
                raise ConfigError(
                    f"peft.start: the directions of some layer's inputs have not settled after {self.at_most} batches",
                    "type a larger peft.start.batches or data.batch_size, or a smaller peft.config.r",
                )
            training.loss(model, batch)

        initialize_lora_eva_weights(
            model,
            training.looked_at(model, self.batches),
            forward_fn=look,
            prepare_model_inputs_fn=lambda batch, _: batch["attention_mask"].bool(),
            prepare_layer_inputs_fn=_states,
            gather_distributed_inputs=False,
            show_progress_bar=sys.stderr.isatty(),
        )


def _states(inputs: Tensor | Sequence[Tensor], mask: Tensor, name: str) -> Tensor:
    """Return a layer's inputs as rows, without those of padding where places are the batch's."""
    states = inputs if isinstance(inputs, Tensor) else inputs[0]
    return states[mask] if states.shape[:2] == mask.shape else states.flatten(end_dim=-2)


def _rows(batch: Batch) -> list[Batch]:
    """Return a batch as batches of one row."""
    return [{key: tensor[i : i + 1] for key, tensor in batch.items()} for i in range(len(batch["input_ids"]))]


class Corda(Start):
    """Singular vectors weighed by the covariance of each layer's inputs (Yang et al. 2024, CorDA).

    Args:
        batches: Batches of training data that are looked at.
        method: ``ipm`` adapts what matters most for these data, ``kpm`` what matters least.
    """

    changes_weights = True
    wants_tokens = True

    def __init__(self, batches: int = 8, method: Literal["ipm", "kpm"] = "ipm") -> None:
        self.batches = batches
        self.method = method

    def options(self) -> dict[str, Any]:
        """Ask for it."""
        return {"init_lora_weights": "corda", "corda_config": CordaConfig(corda_method=self.method)}

    def before(self, model: nn.Module, config: Any, training: Training) -> None:
        """Sum up the covariances."""
        # peft takes the first dimension of a layer's inputs away: it wants one row at a time.
        rows = [row for batch in training.looked_at(model, self.batches) for row in _rows(batch)]

        def forward() -> None:
            for row in rows:
                training.loss(model, row)

        with torch.no_grad():
            preprocess_corda(model, config, forward)


class LoraGa(Start):
    """Factors whose first step is that of full fine-tuning, from gradients (Wang et al. 2024, LoRA-GA).

    Args:
        batches: Batches of training data whose gradients are summed up.
        options: Of ``peft.LoraGAConfig``.
    """

    changes_weights = True
    wants_tokens = False

    def __init__(self, batches: int = 8, options: Mapping[str, Any] | None = None) -> None:
        self.batches = batches
        self.given = dict(options or {})

    def options(self) -> dict[str, Any]:
        """Ask for it."""
        return {"init_lora_weights": "lora_ga", "lora_ga_config": LoraGAConfig(**self.given)}

    def check(self, shapes: Mapping[str, Sequence[int]], rank: int) -> None:
        """Refuse a layer without as many singular vectors: each factor takes others of its gradient's."""
        narrowest = min(shapes, key=lambda name: min(shapes[name]))
        there = min(shapes[narrowest])
        if there < 2 * rank:
            raise ConfigError(
                f"peft.config.r={rank}: LoRA-GA takes {2 * rank} singular vectors of each layer's gradient, and "
                f"{narrowest} has {there}",
                f"type peft.config.r={there // 2}",
            )

    def before(self, model: nn.Module, config: Any, training: Training) -> None:
        """Sum up the gradients."""
        batches = training.looked_at(model, self.batches)

        def backward() -> None:
            for batch in batches:
                training.loss(model, batch).backward()

        preprocess_loraga(model, config, backward)
