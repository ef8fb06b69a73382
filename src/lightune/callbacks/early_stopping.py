"""The end of a run whose monitored metric does not improve any more."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch import callbacks


class EarlyStopping(callbacks.EarlyStopping):
    """Lightning's, for runs that are resumed.

    The patience is the one asked for now, and where it has run out no further step is taken.
    Lightning itself takes the patience from the checkpoint, and trains on until the next validation.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state."""
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop where patience had run out before."""
        trainer.should_stop = trainer.should_stop or 0 < self.wait_count >= self.patience
