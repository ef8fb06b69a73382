"""Several adapters combined, and adapters in place of each other."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lightune.adapt.combining import TYPES, Combination, exchanged
from lightune.adapt.export import merged
from lightune.checkpoint import load_weights
from lightune.errors import ConfigError
from tests import command, running

# High rates: after a few steps the adapters differ clearly.
FEW = ("trainer.max_steps=5", "optimizer.lr=0.05")
Runs = dict[str, Path]


def typed(folder: Path, *more: str) -> tuple[str, ...]:
    return ("task=classification", "model=auto", f"model.path={folder}", *FEW, *more)


@pytest.fixture(scope="module")
def runs(pretrained: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Return run folders: two of LoRA, one of another rank, one of rsLoRA, two of IA3."""
    folder = tmp_path_factory.mktemp("combining")
    more = {
        "one": ("peft=lora",),
        "two": ("peft=lora", "seed=7"),
        "wide": ("peft=lora", "peft.config.r=4", "seed=8"),
        "rslora": ("peft=rslora",),
        "ia3": ("peft=ia3",),
        "other_ia3": ("peft=ia3", "seed=7"),
    }
    return {name: running.train(folder / name, *typed(pretrained["encoder"], *more[name])) for name in more}


METHOD = {"wide": ("peft=lora", "peft.config.r=4"), "rslora": ("peft=rslora",), "ia3": ("peft=ia3",)}


def restored(runs: Runs, name: str, pretrained: dict[str, Path], folder: Path) -> Any:
    """Return the model of a run's best checkpoint."""
    kind = METHOD.get(name.removeprefix("other_"), ("peft=lora",))
    experiment = running.assembled(folder / name, *typed(pretrained["encoder"], *kind))
    load_weights(experiment.module.model, runs[name] / "checkpoints" / "best.ckpt", experiment.module.everything)
    return experiment.module.model


def folded(model: Any) -> dict[str, Tensor]:
    """Return the weights of a model whose adapters became part of them."""
    return {name: tensor.clone() for name, tensor in merged(model).state_dict().items()}


def outputs(model: Any) -> Tensor:
    ids = torch.arange(1000, 1032).view(2, 16)
    with torch.no_grad():
        found: Tensor = model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    return found


@pytest.mark.parametrize("names", [("one", "two"), ("one", "wide"), ("rslora", "two"), ("one", "two", "wide")])
def test_cat_is_the_weighted_sum_of_the_updates(
    names: tuple[str, ...], runs: Runs, pretrained: dict[str, Path], tmp_path: Path
) -> None:
    weights = [0.7, 0.5, -0.2][: len(names)]
    own, *others = names
    combination = Combination([str(runs[name]) for name in others], weights, "cat")
    found = folded(combination.of(restored(runs, own, pretrained, tmp_path / "combined")))
    bare = running.assembled(tmp_path / "bare", *typed(pretrained["encoder"], "peft=full")).module.model.state_dict()
    alone = [folded(restored(runs, name, pretrained, tmp_path / name)) for name in names]
    for name, tensor in found.items():
        if name.startswith(("classifier", "bert.pooler")):  # the head, which is trained in full
            wanted = alone[0][name]
        else:
            updates = [
                weight * (weights_of[name] - bare[name]) for weight, weights_of in zip(weights, alone, strict=True)
            ]
            wanted = bare[name] + sum(updates)
        assert torch.allclose(tensor, wanted, atol=1e-5), name


def test_svd_is_the_nearest_update_of_the_same_rank(runs: Runs, pretrained: dict[str, Path], tmp_path: Path) -> None:
    others = [str(runs["two"])]
    exact = folded(Combination(others, None, "cat").of(restored(runs, "one", pretrained, tmp_path / "cat")))
    model = Combination(others).of(restored(runs, "one", pretrained, tmp_path / "svd"))
    rank = model.active_peft_config.r  # type: ignore[union-attr]
    near = folded(model)
    bare = running.assembled(tmp_path / "bare", *typed(pretrained["encoder"], "peft=full")).module.model.state_dict()
    name = next(name for name in exact if name.endswith("query.weight"))
    singular = torch.linalg.svdvals(exact[name] - bare[name])
    # Eckart, Young: what is missing is what the smaller singular values hold.
    assert torch.dist(near[name], exact[name]) == pytest.approx(float(singular[rank:].norm()), rel=1e-3)
    assert float(singular[rank:].norm()) > 1e-4


def test_ties_keeps_the_larger_values_of_the_sign_that_prevails(
    runs: Runs, pretrained: dict[str, Path], tmp_path: Path
) -> None:
    models = [restored(runs, name, pretrained, tmp_path / name) for name in ("one", "two")]
    layer = next(name for name, _ in models[0].named_modules() if name.endswith("query"))
    factors = [model.get_submodule(layer).lora_A["default"].weight.detach() for model in models]
    scale = float(models[0].get_submodule(layer).scaling["default"])
    combined: Any = Combination([str(runs["two"])], [1.0, 1.0], "ties", density=0.3).of(models[0])
    found = combined.get_submodule(layer).lora_A["default"].weight
    # Yadav et al. 2023, section 3, by hand: trim, elect signs, and here sum those that agree, over how many they are.
    kept = []
    for factor in factors:
        limit = factor.abs().flatten().sort(descending=True).values[int(0.3 * factor.numel()) - 1]
        kept.append(torch.where(factor.abs() >= limit, factor, 0.0) * scale**0.5)
    sign = torch.sign(kept[0] + kept[1])
    agreeing = [torch.where(torch.sign(factor) == sign, factor, 0.0) for factor in kept]
    count = sum((factor != 0).float() for factor in agreeing).clamp(min=1)  # type: ignore[union-attr]
    assert torch.allclose(found, sum(agreeing) / count, atol=1e-6)


def test_ia3_sums_its_vectors(runs: Runs, pretrained: dict[str, Path], tmp_path: Path) -> None:
    models = [restored(runs, name, pretrained, tmp_path / name) for name in ("ia3", "other_ia3")]
    name = next(name for name in models[0].state_dict() if "ia3_l" in name)
    wanted = 0.25 * models[0].state_dict()[name] + 0.75 * models[1].state_dict()[name]
    combined = Combination([str(runs["other_ia3"])], [0.25, 0.75]).of(models[0])
    assert torch.allclose(combined.state_dict()[name], wanted, atol=1e-6)


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_gives_an_adapter_of_its_own(
    kind: str, runs: Runs, pretrained: dict[str, Path], tmp_path: Path
) -> None:
    model = restored(runs, "one", pretrained, tmp_path)
    before = outputs(model)
    after = outputs(Combination([str(runs["two"])], [1.0, 1.0], kind).of(model))
    assert after.isfinite().all()
    assert not torch.allclose(before, after, atol=1e-4)


@pytest.mark.parametrize("kind", ["svd", "cat", "ties"])
def test_what_is_exported_apart_evaluates_as_what_is_merged(
    kind: str, runs: Runs, pretrained: dict[str, Path], tmp_path: Path
) -> None:
    words = [f"checkpoint={runs['one']}", f"combine.adapters=[{runs['two']}]", f"combine.type={kind}"]
    for merge in ("true", "false"):
        outcome = command.run("export", [*words, f"merge={merge}", f"output={tmp_path / merge}"], tmp_path)
        assert outcome.status == 0, outcome.err
    found = exchanged(restored(runs, "one", pretrained, tmp_path / "model"), str(tmp_path / "false"))
    whole = running.assembled(tmp_path / "whole", *typed(tmp_path / "true", "peft=full")).module.model
    assert torch.allclose(outputs(found), outputs(whole), atol=1e-5)
    assert not torch.allclose(outputs(found), outputs(restored(runs, "one", pretrained, tmp_path / "own")), atol=1e-4)


@pytest.mark.parametrize("other", ["two", "wide", "rslora", "ia3"])
def test_another_adapter_may_be_of_another_rank_or_method(
    other: str, runs: Runs, pretrained: dict[str, Path], tmp_path: Path
) -> None:
    model = exchanged(restored(runs, "one", pretrained, tmp_path / "one"), str(runs[other]))
    theirs = restored(runs, other, pretrained, tmp_path / other)
    assert torch.allclose(outputs(model), outputs(theirs), atol=1e-6)


@pytest.mark.parametrize(
    ("own", "words", "said"),
    [
        ("one", ("combine.adapters=[{two}]", "combine.type=tiez"), "combine.type=tiez"),
        ("one", ("combine.adapters={two}",), "expected a list"),
        ("one", ("combine.adapters=[{two}]", "combine.weights=[1,2,3]"), "3 of them for 2 adapters"),
        ("one", ("combine.adapters=[{two}]", "combine.weights=[1,b]"), "null or a list of numbers"),
        ("one", ("combine.adapters=[{two}]", "combine.density=0"), "a share above 0"),
        ("one", ("combine.adapters=[{ia3}]",), "of another method"),
        ("one", ("combine.adapters=[nowhere]",), "it could not be read"),
        ("one", ("combine.adapters=[{wide}]", "combine.type=ties"), "same r value"),
        ("one", ("combine.adapter=[{two}]",), "no such key"),
        ("prompt", ("combine.adapters=[{one}]",), "only LoRA's and IA3's"),
        ("dora", ("combine.adapters=[{one}]",), "DoRA's magnitudes"),
        ("pissa", ("combine.adapters=[{one}]",), "began by changing the backbone"),
    ],
)
def test_what_cannot_be_combined_is_refused(
    own: str, words: tuple[str, ...], said: str, runs: Runs, pretrained: dict[str, Path], tmp_path: Path
) -> None:
    methods = {"prompt": "prompt_tuning", "dora": "dora", "pissa": "pissa"}
    if own in methods:
        run = running.train(
            tmp_path / own, *typed(pretrained["encoder"], f"peft={methods[own]}", "trainer.max_steps=1")
        )
    else:
        run = runs[own]
    words = tuple(word.format(**{name: str(place) for name, place in runs.items()}) for word in words)
    outcome = command.run("export", [f"checkpoint={run}", *words, f"output={tmp_path / 'out'}"], tmp_path)
    assert outcome.status == 1
    assert said in outcome.err
    assert not (tmp_path / "out").exists()


def test_an_adapter_of_another_backbone_is_refused(runs: Runs, pretrained: dict[str, Path], tmp_path: Path) -> None:
    other = running.train(tmp_path / "other", "task=classification", "model=tiny-decoder", "peft=lora", *FEW)
    with pytest.raises(ConfigError, match="does not fit the checkpoint's backbone"):
        exchanged(restored(runs, "one", pretrained, tmp_path / "one"), str(other))
