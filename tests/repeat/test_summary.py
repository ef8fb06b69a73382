"""Means over runs and their intervals, by hand."""

import json
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from lightune.repeat.left import kept, means
from lightune.repeat.runs import Repeat, planned, shared_words
from lightune.repeat.summary import Summary

T_2 = 4.302652729911275  # of Student's t with two degrees of freedom, 97.5 %
T_1 = 12.706204736174694  # with one


def _seeds(*values: float) -> dict[Repeat, dict[str, float]]:
    return {Repeat(seed, None, True): {"val/f1": value, "test/f1": 1.0} for seed, value in enumerate(values)}


def _summary(ended: dict[Repeat, dict[str, float]]) -> Summary:
    return Summary(["task=ner"], list(ended), ended, {})


def test_the_interval_is_students() -> None:
    found = _summary(_seeds(0.1, 0.2, 0.6)).metrics["val/f1"]
    deviation = (((0.1 - 0.3) ** 2 + (0.2 - 0.3) ** 2 + (0.6 - 0.3) ** 2) / 2) ** 0.5
    assert found.value == pytest.approx(0.3)
    assert found.margin == pytest.approx(T_2 * deviation / 3**0.5)


def test_folds_of_several_seeds_are_averaged_before_the_interval_is_taken() -> None:
    values = {(1, 1): 0.2, (1, 2): 0.4, (2, 1): 0.4, (2, 2): 0.8}
    ended = {Repeat(seed, number, True): {"val/f1": value} for (seed, number), value in values.items()}
    found = _summary(ended).metrics["val/f1"]
    assert found.value == pytest.approx(0.45)  # of 0.3 and 0.6, whose deviation is 0.3 / √2
    assert found.margin == pytest.approx(T_1 * 0.3 / 2**0.5 / 2**0.5)


def test_folds_of_one_seed_are_what_the_interval_is_over() -> None:
    ended = {Repeat(1, number, False): {"val/f1": value} for number, value in ((1, 0.2), (2, 0.4))}
    assert _summary(ended).metrics["val/f1"].margin == pytest.approx(T_1 * 0.2 / 2**0.5 / 2**0.5)


def test_the_file_has_every_value_and_no_width_for_a_single_one(tmp_path: Path) -> None:
    ended = _seeds(0.5)
    ended[Repeat(0, None, True)]["time/train_s"] = 2
    _summary(ended).write(tmp_path)
    content = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert content["metrics"]["val/f1"] == {"mean": 0.5, "half_width": None, "values": {"seed_0": 0.5}}
    assert content["overrides"] == ["task=ner"]
    assert means(tmp_path) == {"val/f1": 0.5, "test/f1": 1.0, "time/train_s": 2.0}
    assert kept(tmp_path / "elsewhere") is None


def test_what_some_runs_lack_has_no_mean(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ended = _seeds(0.1, 0.3)
    ended[Repeat(0, None, True)]["val/other"] = 1.0
    summary = _summary(ended)
    assert [*summary.metrics] == ["val/f1", "test/f1"]
    summary.print(["f1"], tmp_path)
    said = capsys.readouterr().out
    assert "2 of 2 runs" in said
    assert "0.2000" in said
    assert f"± {T_1 * 0.1 / 1:.4f}" in said  # the deviation is 0.2 / √2


def _cfg(seeds: object = None, seed: int = 42, **data: object) -> DictConfig:
    return OmegaConf.create({"seed": seed, "seeds": seeds, "data": data})


@pytest.mark.parametrize(
    ("cfg", "names"),
    [
        (_cfg(3), ["seed_42", "seed_43", "seed_44"]),
        (_cfg(2, seed=7), ["seed_7", "seed_8"]),
        (_cfg([5, 1]), ["seed_5", "seed_1"]),
        (_cfg(folds=3), ["fold_1", "fold_2", "fold_3"]),
        (_cfg([5, 1], folds=2), ["seed_5/fold_1", "seed_5/fold_2", "seed_1/fold_1", "seed_1/fold_2"]),
        (_cfg(1, folds=3, fold=2), ["seed_42/fold_2"]),
    ],
)
def test_which_runs_there_are(cfg: DictConfig, names: list[str]) -> None:
    assert [repeat.name for repeat in planned(cfg)] == names


def test_a_run_is_what_was_typed_with_values_of_its_own() -> None:
    cfg = _cfg(2, seed=7, folds=3)
    typed = ["task=ner", "seeds=2", "seed=7", "data.folds=3", "run_dir=a", "+optimizer.amsgrad=true"]
    assert shared_words(cfg, typed) == ["task=ner", "data.folds=3", "+optimizer.amsgrad=true"]
    assert planned(cfg)[0].words == ["seed=7", "data.fold=1"]


def test_a_file_that_asks_for_several_seeds_asks_a_run_for_one() -> None:
    assert shared_words(_cfg(2), ["experiment=mine"]) == ["experiment=mine", "seeds=null"]
