"""The steps of a run depend on which examples are in a step, and on nothing else that happens to be typed.

Micro-batches, budgets of tokens and padding change how a step is computed, never what it is. The measure is a loop
written by hand that knows none of them: one example at a time, without padding, and one mean over all targets.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional

from lightune import assemble
from lightune.assemble import Experiment
from lightune.data.batching import Share
from lightune.instantiate import as_config
from lightune.losses import IGNORED
from tests import running

# 27 examples: three steps of 8, and a last one of 3 that no number of micro-batches divides well.
RUN = (
    *running.PLAIN,
    "data.limit={train: 27, val: 5, test: 5}",
    "data.max_length=64",
    "data.batch_size=8",
    "optimizer.momentum=0.9",
    "trainer.gradient_clip_val=0.5",
)
ENCODER = ("model=tiny", *running.BERT_WITHOUT_DROPOUT, "+model.config.initializer_range=0.2")
DECODER = ("model=tiny-decoder", "+model.config.initializer_range=0.2")
# Named entities are the hard case: sentences of some words beside sentences of many, each word a target.
KINDS: dict[str, tuple[str, ...]] = {
    "ner-full": ("task=ner", "peft=full", *ENCODER),
    "ner-lora": ("task=ner", "peft=lora", running.ADAPTER_WITHOUT_DROPOUT, *ENCODER),
    "qa-full": ("task=qa", "peft=full", *ENCODER),
    "classification-balanced": ("task=classification", "peft=full", "data.balanced=true", *ENCODER),
    "classification-decoder": ("task=classification", "peft=full", *DECODER),
}
# What is typed instead of batches of 8.
SAME_STEPS: dict[str, tuple[str, ...]] = {
    "4x2": ("data.batch_size=4", "trainer.accumulate_grad_batches=2"),
    "2x4": ("data.batch_size=2", "trainer.accumulate_grad_batches=4"),
    "1x8": ("data.batch_size=1", "trainer.accumulate_grad_batches=8"),
    "padded": ("data.pad_to_multiple_of=64",),
    "workers": ("data.num_workers=2",),
}
WHOLE = ("data.batch_size=32", "trainer.max_epochs=4")  # one step an epoch


def _difference(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> float:
    assert ours.keys() == theirs.keys()
    return max((ours[name] - theirs[name]).abs().max().item() for name in ours)


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def reference(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run whose steps the others have to take: batches of 8."""
    return running.train(tmp_path_factory.mktemp("reference") / kind, *RUN, *KINDS[kind])


@pytest.mark.parametrize("typed", SAME_STEPS.values(), ids=SAME_STEPS)
def test_the_steps_do_not_depend_on(typed: tuple[str, ...], kind: str, reference: Path, tmp_path: Path) -> None:
    run = running.train(tmp_path / "run", *RUN, *KINDS[kind], *typed)
    assert _difference(running.weights(run), running.weights(reference)) < 1e-6
    # Some units in the last place of a float32: sums of micro-batches are added in another order.
    assert running.losses(run) == pytest.approx(running.losses(reference), rel=1e-6)
    ours, theirs = running.gradient_norms(run), running.gradient_norms(reference)
    assert [*ours] == [*theirs]
    assert all(ours[step] == pytest.approx(theirs[step], rel=1e-4, abs=1e-7) for step in theirs)
    assert running.metrics(run, "val/") == pytest.approx(running.metrics(reference, "val/"), rel=1e-6, abs=1e-6)
    assert running.metrics(run, "tokens/") == running.metrics(reference, "tokens/")


@pytest.mark.parametrize("kind", ["ner-full"])
def test_a_budget_of_tokens_takes_the_steps_of_batches(kind: str, tmp_path: Path) -> None:
    """With all of the data in each step, how it was shared out among micro-batches must not show."""
    shares = {
        "one": (),
        "four": ("data.batch_size=8", "trainer.accumulate_grad_batches=4"),
        "budget": ("data.tokens_per_batch=150", "trainer.accumulate_grad_batches=100"),
    }
    runs = {n: running.train(tmp_path / n, *RUN, *KINDS[kind], *WHOLE, *typed) for n, typed in shares.items()}
    assert len(running.losses(runs["one"])) == 5  # and the final numbers
    for name in ("four", "budget"):
        assert _difference(running.weights(runs[name]), running.weights(runs["one"])) < 1e-6
        assert running.losses(runs[name]) == pytest.approx(running.losses(runs["one"]), abs=1e-6)


def test_the_steps_are_those_of_a_loop_by_hand(kind: str, reference: Path) -> None:
    config = yaml.safe_load((reference / "config.yaml").read_text(encoding="utf-8"))
    experiment = assemble.experiment(as_config(config), {"config": config, "overrides": []})
    model = experiment.module.model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = _steps_by_hand(experiment)
    after = {name: model.state_dict()[name] for name in before}
    theirs = {name.removeprefix("model."): tensor for name, tensor in running.weights(reference).items()}
    assert _difference(after, theirs) < 2e-6
    assert _difference(after, before) > 1e-2  # something was learnt, so that there is something to compare
    assert running.losses(reference)[:-1] == pytest.approx(found, abs=1e-6)


def _steps_by_hand(experiment: Experiment) -> list[float]:
    """Take the run's steps with nothing but torch: momentum 0.9, gradients clipped to 0.5; return their losses."""
    model, data, found = experiment.module.model, experiment.data, []
    trained = [p for p in model.parameters() if p.requires_grad]
    momenta = [torch.zeros_like(p) for p in trained]
    for step in (step for epoch in range(2) for step in data.plan(Share())(epoch)):
        sums = [_loss_by_hand(model, data.splits["train"].features[i]) for i in step]
        loss = torch.stack([total for total, _ in sums]).sum() / sum(count for _, count in sums)
        gradients = torch.autograd.grad(loss, trained, materialize_grads=True)
        norm = torch.stack([(g**2).sum() for g in gradients]).sum().sqrt()
        with torch.no_grad():
            for parameter, momentum, gradient in zip(trained, momenta, gradients, strict=True):
                momentum.mul_(0.9).add_(gradient * min(1.0, 0.5 / float(norm)))
                parameter.sub_(0.1 * momentum)
        found.append(loss.item())
    return found


def _loss_by_hand(model: nn.Module, feature: Mapping[str, Any]) -> tuple[Tensor, int]:
    """Return one example's loss, summed over its targets, and their number."""
    output = model(**{key: torch.tensor([feature[key]]) for key in ("input_ids", "token_type_ids") if key in feature})
    if "start" in feature:
        ends = [(output.start_logits, feature["start"]), (output.end_logits, feature["end"])]
        return sum(((-scores.log_softmax(1)[0, place]) for scores, place in ends), torch.zeros(())) / 2, 1
    if isinstance(feature["labels"], int):
        return -output.logits.log_softmax(1)[0, feature["labels"]], 1
    kept = [i for i, label in enumerate(feature["labels"]) if label != IGNORED]
    targets = torch.tensor([feature["labels"][i] for i in kept])
    return functional.nll_loss(output.logits[0, kept].log_softmax(-1), targets, reduction="sum"), len(kept)
