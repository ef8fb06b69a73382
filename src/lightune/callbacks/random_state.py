"""Random numbers that go on where they were when a checkpoint was written."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.fabric.utilities.seed import _collect_rng_states, _set_rng_states
from lightning.pytorch.callbacks import Callback

from lightune import ranks


class RandomState(Callback):
    """Saves the state of every rank's random numbers and restores it just before the first batch after a resume.

    Not earlier: building the model and the optimiser, and Lightning's own start, draw numbers too, which the
    uninterrupted run did not draw at this place.
    """

    def __init__(self) -> None:
        self._states: list[dict[str, Any]] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all ranks, plain data and tensors."""
        return {"ranks": ranks.objects_of_all(_plain(_collect_rng_states()))}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until the first batch."""
        self._states = state_dict["ranks"]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Restore, once."""
        states, self._states = self._states, None
        # With another number of ranks no state is the right one; the seeds that were just set stay.
        if states is not None and len(states) == trainer.world_size:
            _set_rng_states(_as_lightning_wants(states[trainer.global_rank]))


def _plain(states: dict[str, Any]) -> dict[str, Any]:
    """Make the states loadable with ``weights_only=True``: numpy's is an array among tuples."""
    name, keys, *rest = states["numpy"]
    return {**states, "numpy": [name, keys.tolist(), *rest]}


def _as_lightning_wants(states: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    name, keys, *rest = states["numpy"]
    version, internal, gauss = states["python"]
    return {
        **states,
        "numpy": (name, np.array(keys, dtype=np.uint32), *rest),
        "python": (version, tuple(internal), gauss),
    }
