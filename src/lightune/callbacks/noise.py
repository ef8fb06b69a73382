"""Noise on embeddings while training: NEFTune."""

import math
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch.utils.hooks import RemovableHandle
from transformers.integrations.neftune import activate_neftune

from lightune.errors import ConfigError


class EmbeddingNoise(Callback):
    """Adds uniform noise to the embeddings of every training batch (NEFTune, Jain et al. 2023).

    Args:
        alpha: The noise lies between ± alpha / √(tokens of a row · width).

    Raises:
        ConfigError: `alpha` is no positive number.
    """

    def __init__(self, alpha: float = 5.0) -> None:
        if not (math.isfinite(alpha) and alpha > 0):
            raise ConfigError(f"alpha={alpha} is no strength of noise", "type for instance alpha=5")
        self.alpha = alpha
        self._hook: RemovableHandle | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin."""
        model: Any = pl_module.model
        self._hook = activate_neftune(model, self.alpha)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End."""
        self._remove()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """End."""
        self._remove()

    def _remove(self) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
