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
        metrics: Names of the values that a trial returns; None: they have none.
        storage: Where the study is kept; None: a journal file in its folder.
        study_name: Name of the study; None: the name of its folder.
        n_trials: Of the study as a whole, those of earlier commands included.
        n_jobs: That run at the same time.
        max_failure_rate: Share of the trials that may fail before the study ends.
        params: Key → what its values are, as a command line has them after ``=``.
        search_space: The same as Hydra 1.1 had it: key → a mapping of ``type``, ``low``, ``high``, ``step``, ``log``,
            or of ``type`` and ``choices``. It does not count where there are ``params``.
        custom_search_space: Name of a function of the configuration and an Optuna trial that suggests more.
        enqueue: Points that are tried first, each a mapping of keys to values.
        baseline: Whether the first trial has the values that the keys have without a search.
        seeds: Each trial is a run for each of these seeds, and its value their mean: a number of seeds, or a list.
        seed_key: Key of the seed.
        target: A value at which the study ends.
        patience: How many trials in a row may bring nothing better before the study ends.
        constraints: Conditions on the numbers of a run's ``metrics.json``, such as ``params/trainable <= 1e6``.
        timeout: Seconds after which no further trial begins.
        retries: How often a trial is started again whose process was killed.
        warm: Modules that are imported once for all trials.
    """

    _target_: str = "hydra_plugins.lightune_sweeper.plugin.LightuneSweeper"
    _recursive_: bool = False  # sampler and pruner are made when it sweeps
    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "tpe"}, {"pruner": "none"}])
    sampler: Any = MISSING
    pruner: Any = MISSING
    direction: Any = "minimize"
    metrics: Any = None
    storage: Any = None
    study_name: str | None = None
    n_trials: int = 20
    n_jobs: int = 2
    max_failure_rate: float = 0.0
    params: dict[str, Any] | None = None
    search_space: dict[str, Any] | None = None
    custom_search_space: str | None = None
    enqueue: list[Any] = field(default_factory=list)
    baseline: bool = False
    seeds: Any = None
    seed_key: str = "seed"
    target: float | None = None
    patience: int | None = None
    constraints: list[str] = field(default_factory=list)
    timeout: float | None = None
    retries: int = 2
    warm: list[str] = field(default_factory=list)


_GENETIC: dict[str, Any] = {
    "population_size": 50,
    "mutation_prob": None,
    "crossover": None,
    "crossover_prob": 0.9,
    "swapping_prob": 0.5,
    "constraints_func": None,
    "elite_population_selection_strategy": None,
    "child_generation_strategy": None,
    "after_trial_strategy": None,
}
_MEDIAN: dict[str, Any] = {
    "_target_": "optuna.pruners.MedianPruner",
    "n_startup_trials": 4,
    "n_warmup_steps": 0,
    "interval_steps": 1,
    "n_min_trials": 1,
}
# What Optuna's classes take, written out: importing them costs every start of every Hydra application a second.
# `tests/sweep/test_schema.py` compares them. Samplers have the names of hydra-optuna-sweeper.
_SAMPLERS: dict[str, dict[str, Any]] = {
    "tpe": {
        "_target_": "optuna.samplers.TPESampler",
        "consider_prior": None,
        "prior_weight": None,
        "consider_magic_clip": None,
        "consider_endpoints": None,
        "n_startup_trials": 10,
        "n_ei_candidates": 24,
        "gamma": None,
        "weights": None,
        "multivariate": True,  # two that are not Optuna 4's defaults: values that go together, and trials side by side
        "constant_liar": True,
        "group": False,
        "warn_independent_sampling": None,
        "constraints_func": None,
    },
    "random": {"_target_": "optuna.samplers.RandomSampler"},
    "grid": {"_target_": "optuna.samplers.GridSampler"},
    "cmaes": {
        "_target_": "optuna.samplers.CmaEsSampler",
        "x0": None,
        "sigma0": None,
        "n_startup_trials": 1,
        "independent_sampler": None,
        "warn_independent_sampling": True,
        "consider_pruned_trials": False,
        "restart_strategy": None,
        "popsize": None,
        "inc_popsize": -1,
        "use_separable_cma": False,
        "with_margin": False,
        "lr_adapt": False,
        "source_trials": None,
    },
    "gp": {
        "_target_": "optuna.samplers.GPSampler",
        "independent_sampler": None,
        "n_startup_trials": 10,
        "deterministic_objective": False,
        "constraints_func": None,
        "warn_independent_sampling": True,
    },
    "nsgaii": {"_target_": "optuna.samplers.NSGAIISampler", **_GENETIC},
    "nsgaiii": {
        "_target_": "optuna.samplers.NSGAIIISampler",
        **_GENETIC,
        "reference_points": None,
        "dividing_parameter": 3,
    },
    "qmc": {
        "_target_": "optuna.samplers.QMCSampler",
        "qmc_type": "sobol",
        "scramble": False,
        "independent_sampler": None,
        "warn_asynchronous_seeding": True,
        "warn_independent_sampling": True,
    },
    "brute_force": {"_target_": "optuna.samplers.BruteForceSampler", "avoid_premature_stop": False},
}
_SAMPLERS["motpe"] = _SAMPLERS["tpe"]  # which is what became of it in Optuna 4
_PRUNERS: dict[str, dict[str, Any]] = {
    "none": {"_target_": "optuna.pruners.NopPruner"},
    "median": _MEDIAN,
    "percentile": {**_MEDIAN, "_target_": "optuna.pruners.PercentilePruner", "percentile": 50.0},
    "asha": {
        "_target_": "optuna.pruners.SuccessiveHalvingPruner",
        "min_resource": "auto",
        "reduction_factor": 4,
        "min_early_stopping_rate": 0,
        "bootstrap_count": 0,
    },
    "hyperband": {
        "_target_": "optuna.pruners.HyperbandPruner",
        "min_resource": 1,
        "max_resource": "auto",
        "reduction_factor": 3,
        "bootstrap_count": 0,
    },
    "wilcoxon": {"_target_": "optuna.pruners.WilcoxonPruner", "p_threshold": 0.1, "n_startup_steps": 2},
    "threshold": {
        "_target_": "optuna.pruners.ThresholdPruner",
        "lower": None,
        "upper": None,
        "n_warmup_steps": 0,
        "interval_steps": 1,
    },
    "patient": {
        "_target_": "optuna.pruners.PatientPruner",
        "wrapped_pruner": _MEDIAN,
        "patience": 2,
        "min_delta": 0.0,
    },
}


def _register() -> None:
    store = ConfigStore.instance()
    names = ["lightune"] if find_spec("hydra_plugins.hydra_optuna_sweeper") else ["lightune", "optuna"]
    for name in names:
        store.store(group="hydra/sweeper", name=name, node=SweeperConf, provider="lightune_sweeper")
    # The group of samplers is one for both: what that plugin has there is as good.
    missing = _SAMPLERS if "optuna" in names else {"brute_force": _SAMPLERS["brute_force"]}
    for name, node in missing.items():
        sampler = {"seed": None, "_partial_": True, **node}
        store.store(group="hydra/sweeper/sampler", name=name, node=sampler, provider="lightune_sweeper")
    for name, node in _PRUNERS.items():
        store.store(group="hydra/sweeper/pruner", name=name, node=node, provider="lightune_sweeper")


_register()
