"""AdaLoRA: LoRA whose ranks are shared out among the layers while it trains."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from peft import AdaLoraModel
from torch import Tensor, nn

from lightune.adapt.methods import Schedule

_NEVER = 10**6  # steps, where none is taken
_STATE = ("ipt", "exp_avg_ipt", "exp_avg_unc")  # of peft's allocator: how much each parameter matters


class RankAllocation(Callback):
    """Shares ranks out after every optimiser step, as Algorithm 1 of Zhang et al. 2023 has it.

    peft looks at gradients for it, so it is done between the step and their end. How important each parameter was so
    far is kept in checkpoints.
    """

    def __init__(self) -> None:
        self._restored: dict[str, Any] = {}
        self._model: AdaLoraModel | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on from what is restored, and take part in every step."""
        adapted: Any = pl_module.model
        model: AdaLoraModel = adapted.base_model
        for name, value in self._restored.items():
            setattr(model.rankallocator if name in _STATE else _settings(model), name, value)
        self._model = model
        self._restored = {}
        for optimizer in trainer.optimizers:
            optimizer.register_step_post_hook(lambda *_: model.update_and_allocate(trainer.global_step))

    def state_dict(self) -> dict[str, Any]:
        """Return what the allocator knows."""
        if self._model is None:
            return {}
        importance = {name: getattr(self._model.rankallocator, name) for name in _STATE}
        return {**importance, "rank_pattern": _settings(self._model).rank_pattern}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep it until training starts."""
        self._restored = dict(state_dict)


def _settings(model: AdaLoraModel) -> Any:
    return model.peft_config[model.trainable_adapter_name]


def orthogonality(model: nn.Module) -> Tensor:
    """Return how far the factors of all updates are from orthogonal ones: the mean of ‖PᵀP − I‖ (Zhang et al. 2023, 4).

    Args:
        model: With AdaLoRA's layers.
    """
    norms = []
    for name, parameter in model.named_parameters():
        if ".lora_A." in name or ".lora_B." in name:
            product = parameter @ parameter.T if ".lora_A." in name else parameter.T @ parameter
            norms.append(torch.linalg.matrix_norm(product - torch.eye(len(product), device=product.device)))
    return torch.stack(norms).mean()


class RankBudget(Schedule):
    """AdaLoRA's ranks, shared out within a budget that falls during the run.

    Args:
        orthogonality_weight: Of the penalty that keeps the factors of each update orthogonal.
    """

    def __init__(self, orthogonality_weight: float = 0.1) -> None:
        self.orthogonality_weight = orthogonality_weight

    def options(self, given: Mapping[str, Any], steps: int | None) -> dict[str, Any]:
        """Turn ``tinit`` and ``tfinal`` from shares of the run into steps."""
        total = steps or _NEVER
        return {"total_step": total, **{name: round(given.get(name, 0) * total) for name in ("tinit", "tfinal")}}

    def penalty(self, model: nn.Module) -> Tensor:
        """Return what is added to the loss."""
        return self.orthogonality_weight * orthogonality(model)

    def callbacks(self) -> list[Callback]:
        """Return the one that shares ranks out."""
        return [RankAllocation()]
