"""Starts of LoRA that are computed from what a model makes of training data."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import torch
from peft import EvaConfig, PeftModel, initialize_lora_eva_weights
from peft.tuners.lora.config import CordaConfig, LoraGAConfig
from peft.tuners.lora.corda import preprocess_corda
from peft.tuners.lora.loraga import preprocess_loraga
from torch import Tensor, nn

from lightune.adapt.training import Batch, Training


class Start(Protocol):
    """Gives LoRA's factors their first values.

    Where nothing is trained no start is looked for: the values come from a checkpoint.

    Attributes:
        changes_weights: Whether layers give up what their adapters start with.
    """

    changes_weights: bool

    def options(self) -> dict[str, Any]:
        """Return the options of ``peft.LoraConfig`` that ask for it."""

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
    """

    changes_weights = False

    def __init__(self, batches: int = 8) -> None:
        self.batches = batches

    def options(self) -> dict[str, Any]:
        """Ask for it."""
        return {"init_lora_weights": "eva", "eva_config": EvaConfig(rho=1.0)}

    def after(self, model: PeftModel, training: Training) -> None:
        """Compute the directions."""
        initialize_lora_eva_weights(
            model,
            training.looked_at(model, self.batches),
            forward_fn=training.loss,
            prepare_model_inputs_fn=lambda batch, _: batch["attention_mask"].bool(),
            prepare_layer_inputs_fn=_states,
            gather_distributed_inputs=False,
            show_progress_bar=False,
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

    def __init__(self, batches: int = 8, options: Mapping[str, Any] | None = None) -> None:
        self.batches = batches
        self.given = dict(options or {})

    def options(self) -> dict[str, Any]:
        """Ask for it."""
        return {"init_lora_weights": "lora_ga", "lora_ga_config": LoraGAConfig(**self.given)}

    def before(self, model: nn.Module, config: Any, training: Training) -> None:
        """Sum up the gradients."""
        batches = training.looked_at(model, self.batches)

        def backward() -> None:
            for batch in batches:
                training.loss(model, batch).backward()

        preprocess_loraga(model, config, backward)
