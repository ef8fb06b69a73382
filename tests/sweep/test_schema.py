"""Configurations written for hydra-optuna-sweeper: every key is there without a ``+``, and means the same."""

import inspect
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf
from optuna.distributions import FloatDistribution, IntDistribution

from hydra_plugins.lightune_sweeper.config import _PRUNERS, _SAMPLERS
from lightune.errors import ConfigError
from lightune.sweep.space import space

UPSTREAM = find_spec("hydra_plugins.hydra_optuna_sweeper") is not None
# Which are in some of the releases of Optuna that lightune runs with, and what is given when it sweeps.
NOT_IN_ALL = {"mutation", "categorical_distance_func", "search_space", "seed"}
CHOSEN = {"multivariate", "constant_liar", "n_startup_trials", "percentile", "wrapped_pruner", "patience"}

APPLICATION = """
import hydra

@hydra.main(version_base=None, config_path=".", config_name="config")
def run(cfg):
    return cfg.x**2 + cfg.z**2 + cfg.w

def configure(cfg, trial):
    trial.suggest_float("z", trial.params["x"] - cfg.apart, trial.params["x"] + cfg.apart)
    trial.suggest_float("+w", 0.0, 1.0)

if __name__ == "__main__":
    run()
"""
CONFIGURATION = """
defaults:
  - override hydra/sweeper: {sweeper}
hydra:
  sweeper:
    sampler:
      seed: 123
    direction: minimize
    study_name: custom
    storage: null
    n_trials: 4
    n_jobs: 2
    search_space:
      x: {{type: float, low: -5.5, high: 5.5, step: 0.5}}
      y: {{type: categorical, choices: [-5, 0, 5]}}
    custom_search_space: {function}
  sweep:
    dir: study
x: 1
y: 1
z: 100
apart: 0.25
"""


@pytest.fixture(autouse=True)
def _hydra_is_left_as_it_was() -> Iterator[None]:
    yield
    GlobalHydra.instance().clear()


def _composed(tmp_path: Path, *words: str) -> Any:
    (tmp_path / "config.yaml").write_text("x: 1\n", encoding="utf-8")
    Plugins.instance()  # which register what they have
    with initialize_config_dir(str(tmp_path), version_base=None):
        return compose("config", ["hydra/sweeper=lightune", *words], return_hydra_config=True).hydra.sweeper


@pytest.mark.parametrize("node", [*_SAMPLERS.values(), *_PRUNERS.values()], ids=[*_SAMPLERS, *_PRUNERS])
def test_every_argument_of_optunas_is_a_key_with_its_default(node: dict[str, Any]) -> None:
    taken = inspect.signature(get_class(node["_target_"])).parameters
    named = {name: p.default for name, p in taken.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    keys = {name: value for name, value in node.items() if not name.startswith("_")}
    assert keys.keys() - NOT_IN_ALL == named.keys() - NOT_IN_ALL
    assert {k: v for k, v in keys.items() if k not in CHOSEN} == {k: named[k] for k in keys if k not in CHOSEN}


@pytest.mark.parametrize(
    ("sampler", "word", "expected"),
    [
        ("tpe", "n_startup_trials=3", optuna.samplers.TPESampler),
        ("random", "seed=3", optuna.samplers.RandomSampler),
        ("cmaes", "sigma0=0.5", optuna.samplers.CmaEsSampler),
        ("nsgaii", "population_size=4", optuna.samplers.NSGAIISampler),
        ("nsgaiii", "population_size=4", optuna.samplers.NSGAIIISampler),
        ("qmc", "qmc_type=halton", optuna.samplers.QMCSampler),
        ("gp", "n_startup_trials=2", optuna.samplers.GPSampler),
        ("brute_force", "seed=1", optuna.samplers.BruteForceSampler),
        pytest.param(
            "motpe",
            "n_startup_trials=3",
            optuna.samplers.TPESampler,
            marks=pytest.mark.skipif(UPSTREAM, reason="upstream's says that Optuna 4 has none"),
        ),
    ],
)
def test_samplers_have_their_names_and_keys(sampler: str, word: str, expected: type, tmp_path: Path) -> None:
    made: Any = instantiate(
        _composed(tmp_path, f"hydra/sweeper/sampler={sampler}", f"hydra.sweeper.sampler.{word}").sampler,
        _partial_=True,
        _convert_="all",
    )
    key, _, value = word.partition("=")
    assert str(made.keywords[key]) == value
    assert isinstance(made(), expected)
    directions: Any = ["minimize"] * (2 if sampler.startswith(("nsga", "motpe")) else 1)
    study = optuna.create_study(directions=directions, sampler=made())
    searched: Any = {"x": IntDistribution(0, 3), "y": IntDistribution(0, 3)}
    for _ in range(4):
        trial = study.ask(searched)
        study.tell(trial, [trial.params["x"]] * len(directions))
    assert all(0 <= trial.params[key] <= 3 for trial in study.trials for key in searched)


def test_pruners_have_their_keys(tmp_path: Path) -> None:
    found = _composed(tmp_path, "hydra/sweeper/pruner=median", "hydra.sweeper.pruner.n_warmup_steps=7").pruner
    assert instantiate(found)._n_warmup_steps == 7


def test_directions_are_typed_as_there(tmp_path: Path) -> None:
    assert list(_composed(tmp_path, "hydra.sweeper.direction=[minimize,maximize]").direction) == [
        "minimize",
        "maximize",
    ]


@pytest.mark.parametrize("function", ["app-1.configure", ".app-1.configure"])
def test_a_function_beside_the_script_adds_to_what_is_searched(function: str, tmp_path: Path) -> None:
    """With the keys that Hydra 1.1 had, by the name ``optuna`` where that is ours."""
    written = CONFIGURATION.format(sweeper="lightune" if UPSTREAM else "optuna", function=function)
    (tmp_path / "config.yaml").write_text(written, encoding="utf-8")
    (tmp_path / "app-1.py").write_text(APPLICATION, encoding="utf-8")
    command = [sys.executable, "app-1.py", "-m", "y=5", "hydra.sweeper.sampler.n_startup_trials=2"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found: Any = OmegaConf.load(tmp_path / "study" / "optimization_results.yaml")
    assert found.name == "optuna"
    best = found.best_params
    assert best.keys() == {"x", "z", "+w"}
    assert best.x % 0.5 == 0
    assert abs(best.x - best.z) <= 0.25
    assert found.best_value == pytest.approx(best.x**2 + best.z**2 + best["+w"], rel=1e-12)
    assert len([*(tmp_path / "study").glob("trial_*/")]) == 4


def test_what_hydra_1_1_described_is_searched() -> None:

    described = {
        "x": {"type": "float", "low": -5.5, "high": 5.5, "step": 0.5},
        "n": {"type": "int", "low": 1, "high": 64, "log": True},
    }
    found = space({}, ["n=3"], described)
    assert found.searched == {"x": FloatDistribution(-5.5, 5.5, step=0.5)}
    assert list(found.fixed) == ["n=3"]
    assert space({}, [], described).searched["n"] == IntDistribution(1, 64, log=True)
    assert space({"y": "choice(1,2)"}, [], described).searched.keys() == {"y"}


@pytest.mark.parametrize("entry", [{"low": 0, "high": 1}, {"type": "float", "low": 0}, {"type": "real", "low": 0}])
def test_what_is_described_by_halves_is_named(entry: dict[str, Any]) -> None:

    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.search_space\.x: type, low and high"):
        space({}, [], {"x": entry})
