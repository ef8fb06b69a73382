"""What Hydra finds: a sweeper that imports Optuna when it sweeps. Every start of every Hydra application reads this."""

from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from omegaconf import DictConfig


class LightuneSweeper(Sweeper):
    """Looks for hyper-parameters with Optuna, a process for each trial.

    Args:
        **settings: See `config.SweeperConf`.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra composed, and what its launcher needs."""
        self.config = config
        self.launched = (hydra_context, task_function)

    def sweep(self, arguments: list[str]) -> Any:
        """Run the study until it has as many trials as it is to have.

        Args:
            arguments: Overrides that were typed, those of Hydra's own keys left out.
        """
        from lightune import machine

        assert self.config is not None
        context, function = self.launched
        # A study has started this command for a trial: one job, which the launcher starts where it starts jobs.
        if machine.trial():
            launcher = Plugins.instance().instantiate_launcher(
                hydra_context=context, task_function=function, config=self.config
            )
            return launcher.launch([arguments], initial_job_idx=0)
        from lightune.sweep.sweep import sweep

        # Hydra 1.4 leaves them to the plugin. Those of hydra-optuna-sweeper are no partial ones, except for a grid's.
        sampler = instantiate(self.config.hydra.sweeper.sampler, _partial_=True, _convert_="all")
        pruner = instantiate(self.config.hydra.sweeper.pruner)
        settings = {**self.settings, "sampler": sampler, "pruner": pruner}
        return sweep(settings, self.config, arguments, context.config_loader)
