"""A trial that its study gives up: validations are reported to it, and it says when they are not promising."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from lightune.errors import ConfigError
from lightune.sweep.told import PRUNED, STUDY


def callbacks(metric: str) -> list[Callback]:
    """Return what reports to the study that this process runs a trial of; nothing outside of one.

    Args:
        metric: That the study optimises.

    Raises:
        ConfigError: It is known at the end alone, and the study is to give trials up before.
    """
    told = os.environ.get(STUDY)
    if told and not metric.startswith("val/"):
        raise ConfigError(
            f"objective={metric}: no validation measures it, and so no trial can be given up by it",
            "type hydra/sweeper/pruner=none",
        )
    return [Pruning(json.loads(told), metric)] if told else []


class Pruning(Callback):
    """Reports every validation, and ends the training of all ranks where the study gives the trial up.

    Args:
        study: What `told.described` was given.
        metric: That is reported.
    """

    def __init__(self, study: Mapping[str, Any], metric: str) -> None:
        self.study = study
        self.metric = metric
        self.pruned = False
        self._trial: Any = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report, and hear: the first rank asks, all do what it hears."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        metrics: Any = pl_module.metrics
        # Runs of further seeds are reported behind those before: they are compared with one another at the same place.
        step = trainer.global_step + self.study["run"] * int(trainer.estimated_stepping_batches)
        hopeless = trainer.is_global_zero and self._reported(float(metrics[self.metric]), step)
        if trainer.strategy.broadcast(hopeless):
            self.pruned = trainer.should_stop = True
            os.environ[PRUNED] = "1"

    def _reported(self, value: float, step: int) -> bool:
        """Report a value, and return whether to go on is pointless."""
        self._trial = self._trial or self._found()
        self._trial.report(value, step)
        return bool(self._trial.should_prune())

    def _found(self) -> Any:
        import optuna

        from lightune.sweep.storage import opened

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = opened(self.study["storage"], Path(self.study["folder"]))
        study = optuna.load_study(
            study_name=self.study["name"], storage=storage, pruner=instantiate(self.study["pruner"])
        )
        return optuna.trial.Trial(study, study.get_trials(deepcopy=False)[self.study["number"]]._trial_id)
