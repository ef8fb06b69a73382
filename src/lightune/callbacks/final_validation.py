"""The weights that a run ends with are validated, where its last step is not the last of an epoch too."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback


class FinalValidation(Callback):
    """Has Lightning validate after the step that ``trainer.max_steps`` says is the last.

    It would validate at its intervals alone, so that what was learnt since could not become the best checkpoint, and
    a run shorter than an interval would have none.
    """

    def __init__(self) -> None:
        self._before_counting = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Say that the training is over, which Lightning validates after."""
        if 0 < trainer.max_steps <= trainer.global_step:
            regular = validates(trainer)
            trainer.should_stop = True
            self._before_counting = validates(trainer) and not regular

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that the step has been counted."""
        self._before_counting = False

    def state_dict(self) -> dict[str, Any]:
        """Return whether the step of the checkpoint has still to be counted, as during this validation it has."""
        return {"before_counting": self._before_counting}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._before_counting = state_dict["before_counting"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the step for loggers: Lightning does where a validation of its own would come again now."""
        if self._before_counting:
            trainer.fit_loop.epoch_loop._batches_that_stepped += 1
        self._before_counting = False


def validates(trainer: Trainer) -> bool:
    """Return whether a validation follows this step."""
    fetcher = trainer.fit_loop._data_fetcher
    assert fetcher is not None
    return trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher)
