"""Search spaces: every number that is meant, and no other."""

from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from lightune.errors import ConfigError
from lightune.sweep.space import Space, space
from tests import command

WRITTEN: list[tuple[Any, BaseDistribution]] = [
    ("choice(lora,ia3,full)", CategoricalDistribution(["lora", "ia3", "full"])),
    ("choice(-5 ,0 ,5)", CategoricalDistribution([-5, 0, 5])),
    ("choice(true,x,1.5)", CategoricalDistribution([True, "x", 1.5])),
    ("a,b", CategoricalDistribution(["a", "b"])),
    ("choice([1,2],[3])", CategoricalDistribution(["[1,2]", "[3]"])),
    ("range(1,4)", IntDistribution(1, 3)),
    ("range(1,10,3)", IntDistribution(1, 7, step=3)),
    ("range(1,11,3)", IntDistribution(1, 10, step=3)),
    ("range(3,0,-1)", IntDistribution(1, 3)),
    ("range(-5.5, 5.5, step=0.5)", FloatDistribution(-5.5, 5.0, step=0.5)),
    ("range(0.1, 0.4, 0.1)", FloatDistribution(0.1, 0.3, step=0.1)),
    ("range(0.0, 1.0, 0.3)", FloatDistribution(0.0, 0.9, step=0.3)),
    ("shuffle(range(1,4))", IntDistribution(1, 3)),
    ("shuffle(choice(1,2,3,4,5,6,7,8))", CategoricalDistribution([1, 2, 3, 4, 5, 6, 7, 8])),
    ("interval(0.0, 1.0)", FloatDistribution(0.0, 1.0)),
    ("interval(1, 8)", FloatDistribution(1, 8)),
    ("interval(0, 1.5)", FloatDistribution(0.0, 1.5)),
    ("tag(log, interval(1e-5, 1e-2))", FloatDistribution(1e-5, 1e-2, log=True)),
    ("tag(log, interval(1, 64))", FloatDistribution(1, 64, log=True)),
    ("int(interval(1.0, 8.0))", IntDistribution(1, 8)),
    ("tag(log, int(interval(4, 64)))", IntDistribution(4, 64, log=True)),
]


@pytest.mark.parametrize(("written", "expected"), WRITTEN, ids=[str(written) for written, _ in WRITTEN])
def test_what_is_written_becomes_a_distribution(written: str, expected: BaseDistribution) -> None:
    found = space({"optimizer.lr": written}, [])
    assert found == Space({"optimizer.lr": expected})


# Hydra adds 0.1 up until rounding takes it past the end, or short of it.
ROUNDED = ("range(0.1, 0.4, 0.1)", "range(0.0, 1.0, 0.3)")


@pytest.mark.parametrize("written", [w for w, _ in WRITTEN if "interval" not in w and w not in ROUNDED])
def test_a_grid_has_the_values_that_hydra_would_run(written: str) -> None:
    (override,) = OverridesParser.create().parse_overrides([f"key={written}"])
    theirs = [str(value) for value in override.sweep_string_iterator()]
    ours = [str(value) for value in space({"key": written}, []).grid()["key"]]
    assert sorted(ours) == sorted(theirs)


def test_a_grid_has_the_numbers_that_were_meant() -> None:
    found = space({"a": ROUNDED[0], "b": ROUNDED[1], "c": "range(-5.5, 5.5, 0.5)"}, []).grid()
    assert found["a"] == [0.1, 0.2, 0.3]
    assert found["b"] == [0.0, 0.3, 0.6, 0.9]
    assert found["c"] == [number / 2 for number in range(-11, 11)]


def test_what_is_typed_replaces_what_is_written() -> None:
    params = {"optimizer.lr": "tag(log, interval(1e-5, 1e-2))", "peft": "choice(lora,ia3)", "seed": 1}
    found = space(params, ["peft=full", "+x=1,2", "task=ner", "~callbacks.best", "++y='a b'"])
    assert found.searched.keys() == {"optimizer.lr", "+x"}
    assert sorted(found.fixed) == ["++y='a b'", "peft=full", "seed=1", "task=ner", "~callbacks.best"]


def test_options_of_a_group_by_a_pattern() -> None:
    loader = ConfigLoaderImpl(create_config_search_path(str(command.ROOT / "conf")))
    found = space({}, ["peft=glob(*lora_*)", "task=glob([c*,q*],exclude=qa)"], loader=loader).grid()
    assert found == {"peft": ["lora_ga", "lora_plus"], "task": ["choice", "classification", "clm", "qa_v2"]}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("choice(", "cannot be read"),
        ("interval(2, 1)", "from a smaller to a larger number"),
        ("tag(log, interval(0, 1))", "larger number above 0"),
        ("range(3, 3)", "no number lies in that range"),
        ("range(1, 5, -1)", "no number lies in that range"),
    ],
)
def test_what_has_no_values_is_refused(written: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        space({"key": written}, [])
    assert caught.value.problem.startswith(f"key={written}")
    assert "choice" in caught.value.remedy


@pytest.mark.parametrize("written", ["tag(log, int(interval(1, 4)))", "interval(0.0, 1.0)"])
def test_a_grid_of_an_interval_is_refused_where_it_has_no_steps(written: str) -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.lr: a grid has to know every value") as caught:
        space({"optimizer.lr": written}, []).grid()
    assert "optimizer.lr=range(start,stop,step)" in caught.value.remedy


def test_a_grid_of_whole_numbers_between_two_has_both() -> None:
    assert space({"r": "int(interval(2, 5))"}, []).grid() == {"r": [2, 3, 4, 5]}
