"""Going on from an adapter that was trained before."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lightune.checkpoint import load_weights
from tests import command, running


def typed(folder: Path, *more: str) -> tuple[str, ...]:
    return ("task=classification", "model=auto", f"model.path={folder}", *more)


@pytest.fixture(scope="module", params=["lora", "ia3", "prompt_tuning"])
def earlier(
    request: pytest.FixtureRequest, pretrained: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """Return a method, and the folder of a run with it."""
    folder = tmp_path_factory.mktemp("earlier")
    return request.param, running.train(folder / "run", *typed(pretrained["encoder"], f"peft={request.param}"))


def outputs(experiment: Any) -> torch.Tensor:
    ids = torch.arange(1000, 1032).view(2, 16)
    with torch.no_grad():
        found: torch.Tensor = experiment.module.model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    return found


@pytest.mark.parametrize("place", ["run", "run/model"])
def test_it_begins_with_the_outputs_of_the_earlier_one(
    place: str, earlier: Any, pretrained: dict[str, Path], tmp_path: Path
) -> None:
    method, run = earlier
    more = (f"peft={method}", f"peft.init_from={run.parent / place}", "seed=7")
    on = running.assembled(tmp_path / "on", *typed(pretrained["encoder"], *more))
    again = running.assembled(tmp_path / "again", *typed(pretrained["encoder"], f"peft={method}"))
    load_weights(again.module.model, run / "checkpoints" / "best.ckpt", again.module.everything)
    assert torch.allclose(outputs(on), outputs(again), atol=1e-6)
    running.train(tmp_path / "further", *typed(pretrained["encoder"], *more))


def test_a_head_for_other_labels_starts_anew(pretrained: dict[str, Path], tmp_path: Path) -> None:
    run = running.train(tmp_path / "run", *typed(pretrained["encoder"], "peft=lora"))
    rows = tmp_path / "rows.tsv"
    rows.write_text("text\tlabel\n" + "a good one\tyes\na bad one\tno\n" * 20, encoding="utf-8")
    on = typed(pretrained["encoder"], "peft=lora", "data=files", f"data.train={rows}", f"peft.init_from={run}")
    with pytest.warns(UserWarning, match=r"has no .*classifier\.weight, which start anew"):
        outcome = command.run("train", [*running.SMALL, *on, f"run_dir={tmp_path / 'on'}"], tmp_path)
    assert outcome.status == 0, outcome.err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("peft=ia3",), "it is Lora, and this run's IA3"),
        (("peft=lora", "peft.config.r=4"), "other layers or sizes"),
        (("peft=lora", "peft.target_modules=[query]"), "other layers or sizes"),
        (("peft=pissa",), "begins by changing the backbone"),
    ],
    ids=["method", "rank", "layers", "pissa"],
)
def test_an_adapter_that_does_not_fit_is_refused(
    more: tuple[str, ...], said: str, pretrained: dict[str, Path], tmp_path: Path
) -> None:
    run = running.train(tmp_path / "run", *typed(pretrained["encoder"], "peft=lora", "trainer.max_steps=1"))
    on = [*running.SMALL, *typed(pretrained["encoder"], *more, f"peft.init_from={run}"), "run_dir=on"]
    outcome = command.run("train", on, tmp_path)
    assert outcome.status == 1
    assert said in outcome.err
    assert not (tmp_path / "on").exists()


def test_a_place_without_an_adapter_is_refused(pretrained: dict[str, Path], tmp_path: Path) -> None:
    on = typed(pretrained["encoder"], "peft=lora", f"peft.init_from={tmp_path}")
    outcome = command.run("train", [*running.SMALL, *on, "run_dir=on"], tmp_path)
    assert outcome.status == 1
    assert "it could not be read" in outcome.err


def test_an_evaluation_takes_another_adapter(pretrained: dict[str, Path], tmp_path: Path) -> None:
    few = ("peft=lora", "trainer.max_steps=5", "optimizer.lr=0.01")
    one = running.train(tmp_path / "one", *typed(pretrained["encoder"], *few))
    other = running.train(tmp_path / "other", *typed(pretrained["encoder"], *few, "seed=7"))
    swapped = running.evaluate(one / "checkpoints" / "best.ckpt", tmp_path / "swapped", f"adapter={other}")
    own = running.evaluate(one / "checkpoints" / "best.ckpt", tmp_path / "own")
    theirs = running.metrics(other, "test/loss")
    assert running.metrics(swapped, "test/loss") == pytest.approx(theirs, abs=1e-6)
    assert running.metrics(own, "test/loss") != pytest.approx(theirs, abs=1e-6)


def test_a_model_without_adapters_takes_none(pretrained: dict[str, Path], tmp_path: Path) -> None:
    run = running.train(tmp_path / "run", *typed(pretrained["encoder"], "peft=full", "trainer.max_steps=5"))
    outcome = command.run("eval", [f"checkpoint={run}", f"adapter={run}", "run_dir=eval"], tmp_path)
    assert outcome.status == 1
    assert "has no place in a model without adapters" in outcome.err
