"""The schema of ``hydra.sweeper``: that of hydra-optuna-sweeper, and what it does not have.

``hydra/sweeper=lightune`` is always this one; ``optuna`` is, where the plugin of that name is not installed.
"""

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


@dataclass
class SweeperConf:
    """How trials are chosen, where they are kept, and how many of them run.

    Args:
        sampler: An Optuna sampler, instantiated once for each trial with a seed of its own.
        pruner: An Optuna pruner.
        direction: ``minimize``, ``maximize``, or a list of them, one for each value that a trial returns.
        storage: Where the study is kept; None: a journal file in its folder.
        study_name: Name of the study; None: the name of its folder.
        n_trials: Of the study as a whole, those of earlier commands included.
        n_jobs: That run at the same time.
        max_failure_rate: Share of the trials that may fail before the study ends.
        params: Key → what its values are, as a command line has them after ``=``.
        custom_search_space: Name of a function of the configuration and an Optuna trial that suggests more.
        enqueue: Points that are tried first, each a mapping of keys to values.
        timeout: Seconds after which no further trial begins.
        retries: How often a trial is started again whose process was killed.
        warm: Modules that are imported once for all trials.
    """

    _target_: str = "hydra_plugins.lightune_sweeper.plugin.LightuneSweeper"
    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "tpe"}, {"pruner": "none"}])
    sampler: Any = MISSING
    pruner: Any = MISSING
    direction: Any = "minimize"
    storage: Any = None
    study_name: str | None = None
    n_trials: int = 20
    n_jobs: int = 2
    max_failure_rate: float = 0.0
    params: dict[str, Any] | None = None
    custom_search_space: str | None = None
    enqueue: list[Any] = field(default_factory=list)
    timeout: float | None = None
    retries: int = 2
    warm: list[str] = field(default_factory=list)


# Names of hydra-optuna-sweeper, and the class of each with what is not Optuna's own default.
_SAMPLERS: dict[str, dict[str, Any]] = {
    "tpe": {"_target_": "optuna.samplers.TPESampler", "multivariate": True, "constant_liar": True},
    "random": {"_target_": "optuna.samplers.RandomSampler"},
    "grid": {"_target_": "optuna.samplers.GridSampler"},
    "cmaes": {"_target_": "optuna.samplers.CmaEsSampler"},
    "gp": {"_target_": "optuna.samplers.GPSampler"},
    "nsgaii": {"_target_": "optuna.samplers.NSGAIISampler"},
    "nsgaiii": {"_target_": "optuna.samplers.NSGAIIISampler"},
    "qmc": {"_target_": "optuna.samplers.QMCSampler"},
    "brute_force": {"_target_": "optuna.samplers.BruteForceSampler"},
}
_PRUNERS: dict[str, dict[str, Any]] = {
    "none": {"_target_": "optuna.pruners.NopPruner"},
    "median": {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 4},
    "percentile": {"_target_": "optuna.pruners.PercentilePruner", "percentile": 50.0, "n_startup_trials": 4},
    "asha": {"_target_": "optuna.pruners.SuccessiveHalvingPruner"},
    "hyperband": {"_target_": "optuna.pruners.HyperbandPruner"},
    "wilcoxon": {"_target_": "optuna.pruners.WilcoxonPruner"},
    "threshold": {"_target_": "optuna.pruners.ThresholdPruner", "lower": None, "upper": None},
    "patient": {
        "_target_": "optuna.pruners.PatientPruner",
        "wrapped_pruner": {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 4},
        "patience": 2,
    },
}


def _register() -> None:
    store = ConfigStore.instance()
    names = ["lightune"] if find_spec("hydra_plugins.hydra_optuna_sweeper") else ["lightune", "optuna"]
    for name in names:
        store.store(group="hydra/sweeper", name=name, node=SweeperConf, provider="lightune_sweeper")
    if "optuna" in names:
        for name, node in _SAMPLERS.items():
            sampler = {"seed": None, "_partial_": True, **node}
            store.store(group="hydra/sweeper/sampler", name=name, node=sampler, provider="lightune_sweeper")
    for name, node in _PRUNERS.items():
        store.store(group="hydra/sweeper/pruner", name=name, node=node, provider="lightune_sweeper")


_register()
