"""Optimisers of the configuration, step by step against closed forms or other implementations."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.optim import Optimizer

from lightune.errors import ConfigError
from lightune.instantiate import build, check_arguments, plain
from lightune.optim.groups import parameter_groups
from lightune.optim.muon import muon
from tests import running
from tests.command import composed
from tests.optim.test_groups import bert, llama

CONF = Path(__file__).resolve().parents[2] / "conf" / "optimizer"
NAMES = sorted(file.stem for file in CONF.glob("[!_]*.yaml"))
ON_CPU = [name for name in NAMES if not name.endswith("8bit")]
STEPS = 6
LR, DECAY, B1, B2, EPS = 0.02, 0.1, 0.8, 0.95, 1e-8


def made(name: str, params: Any, **options: Any) -> Optimizer:
    """Build an optimiser as the configuration does, with other numbers."""
    node = plain(composed(f"optimizer={name}").optimizer)
    for rate in ("head_lr", "layer_decay"):
        node.pop(rate)
    optimizer: Optimizer = build({**node, **options}, "optimizer")(params)
    return optimizer


def gradients() -> list[Tensor]:
    source = torch.Generator().manual_seed(0)
    return [torch.randn(4, 6, generator=source) for _ in range(STEPS)]


def walked(optimizer: Optimizer, weight: Tensor) -> list[Tensor]:
    """Take a step with each gradient; return the weight after each."""
    seen = []
    for gradient in gradients():
        weight.grad = gradient.clone()
        optimizer.step()
        seen.append(weight.detach().clone())
    return seen


def start() -> nn.Parameter:
    return nn.Parameter(torch.randn(4, 6, generator=torch.Generator().manual_seed(1)))


def adamw(w: Tensor) -> Iterator[Tensor]:
    m = v = torch.zeros_like(w)
    for t, g in enumerate(gradients(), start=1):
        m, v = B1 * m + (1 - B1) * g, B2 * v + (1 - B2) * g * g
        w = w * (1 - LR * DECAY) - LR * (m / (1 - B1**t)) / ((v / (1 - B2**t)).sqrt() + EPS)
        yield w


def adam(w: Tensor) -> Iterator[Tensor]:
    m = v = torch.zeros_like(w)
    for t, g in enumerate(gradients(), start=1):
        g = g + DECAY * w
        m, v = B1 * m + (1 - B1) * g, B2 * v + (1 - B2) * g * g
        w = w - LR * (m / (1 - B1**t)) / ((v / (1 - B2**t)).sqrt() + EPS)
        yield w


def sgd(w: Tensor) -> Iterator[Tensor]:
    buffer = None
    for g in gradients():
        g = g + DECAY * w
        buffer = g if buffer is None else B1 * buffer + g
        w = w - LR * buffer
        yield w


def lion(w: Tensor) -> Iterator[Tensor]:
    """Algorithm 2 of Chen et al. 2023."""
    m = torch.zeros_like(w)
    for g in gradients():
        update = (B1 * m + (1 - B1) * g).sign()
        w = w * (1 - LR * DECAY) - LR * update
        m = B2 * m + (1 - B2) * g
        yield w


def lamb(w: Tensor) -> Iterator[Tensor]:
    """Algorithm 2 of You et al. 2020, without bias correction, the norm of the weight held within 10; no decay."""
    m = v = torch.zeros_like(w)
    for g in gradients():
        m, v = B1 * m + (1 - B1) * g, B2 * v + (1 - B2) * g * g
        r = m / (v.sqrt() + EPS)
        w = w - LR * w.norm().clamp(max=10) / r.norm() * r
        yield w


def adafactor(w: Tensor) -> Iterator[Tensor]:
    """Algorithm 4 of Shazeer and Stern 2018 for a matrix, with a rate from outside and no momentum."""
    rows, columns = torch.zeros(4), torch.zeros(6)
    for t, g in enumerate(gradients(), start=1):
        beta = 1 - t**-0.8
        squares = g * g + 1e-30
        rows = beta * rows + (1 - beta) * squares.mean(1)
        columns = beta * columns + (1 - beta) * squares.mean(0)
        update = g / torch.outer(rows, columns / rows.mean()).sqrt()
        update = update / max(1.0, update.pow(2).mean().sqrt().item())
        w = w - LR * DECAY * w - LR * update
        yield w


def schedule_free(w: Tensor) -> Iterator[Tensor]:
    """Defazio et al. 2024: z steps, x averages, gradients are taken at y between them, which is what is trained."""
    z = x = w
    v, total = torch.zeros_like(w), 0.0
    for t, g in enumerate(gradients(), start=1):
        y = B1 * x + (1 - B1) * z
        v = B2 * v + (1 - B2) * g * g
        z = z - LR * (g / ((v / (1 - B2**t)).sqrt() + EPS) + DECAY * y)
        total += LR**2
        x = x + LR**2 / total * (z - x)
        yield B1 * x + (1 - B1) * z


BETAS = {"betas": [B1, B2]}
BY_HAND: dict[str, tuple[Callable[[Tensor], Iterator[Tensor]], dict[str, Any]]] = {
    "adafactor": (adafactor, {}),
    "adam": (adam, BETAS),
    "adamw": (adamw, BETAS),
    "lamb": (lamb, {**BETAS, "weight_decay": 0.0, "eps": EPS}),
    "lion": (lion, BETAS),
    "schedule_free": (schedule_free, BETAS),
    "sgd": (sgd, {"momentum": B1}),
}


def test_every_optimiser_is_looked_at() -> None:
    assert set(ON_CPU) == {*BY_HAND, "muon"}


@pytest.mark.parametrize("name", BY_HAND)
def test_every_step_by_hand(name: str) -> None:
    formula, options = BY_HAND[name]
    weight = start()
    wanted = list(formula(weight.detach().clone()))
    optimizer = made(name, [weight], lr=LR, **{"weight_decay": DECAY, **options})
    getattr(optimizer, "train", lambda: None)()
    for ours, theirs in zip(walked(optimizer, weight), wanted, strict=True):
        assert torch.allclose(ours, theirs, atol=2e-6)


def test_muon_takes_the_steps_of_torch_s() -> None:
    ours, theirs = start(), start()
    group = {"params": [ours], "param_names": ["w"], "name": "backbone", "lr": LR, "weight_decay": DECAY}
    after = walked(muon([group], lr=9.0, momentum=0.9), ours)
    like = torch.optim.Muon([theirs], lr=LR, weight_decay=DECAY, momentum=0.9, adjust_lr_fn="match_rms_adamw")
    for one, other in zip(after, walked(like, theirs), strict=True):
        assert torch.allclose(one, other, atol=3e-4)  # both orthogonalise in bfloat16, in sums of another order
    assert not torch.allclose(after[0], start(), atol=1e-3)


def test_muon_leaves_to_adamw_what_is_no_matrix_of_the_backbone() -> None:
    model = bert()
    groups = parameter_groups(model, 1e-3, 0.01, 1e-2)
    optimizer = muon(groups, lr=1e-3)
    chosen = {name for group in optimizer.param_groups if group["use_muon"] for name in group["param_names"]}
    # In each of 2 layers query, key, value, 3 dense matrices.
    assert len(chosen) == 2 * 6
    assert all(name.startswith("bert.encoder.layer") and name.endswith("weight") for name in chosen)
    assert {group["name"]: group["lr"] for group in optimizer.param_groups} == {g["name"]: g["lr"] for g in groups}
    named = [name for group in optimizer.param_groups for name in group["param_names"]]
    assert sorted(named) == sorted(name for name, _ in model.named_parameters())
    kept = {group["weight_decay"] for group in optimizer.param_groups if group["name"].endswith("no_decay")}
    assert kept == {0.0}


def test_muon_trains_the_matrices_of_an_adapter() -> None:
    model = get_peft_model(llama(), LoraConfig(r=2, task_type="SEQ_CLS", target_modules=["q_proj"]))
    optimizer = muon(parameter_groups(model, 1e-3, 0.01), lr=1e-3)
    chosen = {name for group in optimizer.param_groups if group["use_muon"] for name in group["param_names"]}
    assert len(chosen) == 2 * 2
    assert all("lora_" in name for name in chosen)


@pytest.mark.parametrize("name", ON_CPU)
def test_state_is_plain_data_and_resumes(name: str, tmp_path: Path) -> None:
    def trained(weight: nn.Parameter) -> Optimizer:
        group = {"params": [weight], "param_names": ["w"], "name": "backbone", "lr": LR, "weight_decay": DECAY}
        optimizer = made(name, [group])
        getattr(optimizer, "train", lambda: None)()
        return optimizer

    whole = start()
    after = walked(trained(whole), whole)
    part = start()
    first = trained(part)
    for gradient in gradients()[:3]:
        part.grad = gradient.clone()
        first.step()
    torch.save(first.state_dict(), tmp_path / "state.pt")
    other = nn.Parameter(part.detach().clone())
    second = trained(other)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for gradient, wanted in zip(gradients()[3:], after[3:], strict=True):
        other.grad = gradient.clone()
        second.step()
        assert torch.equal(other, wanted)


@pytest.mark.parametrize("name", ON_CPU)
@pytest.mark.parametrize("peft", ["lora", "full"])
def test_every_optimiser_trains(name: str, peft: str, tmp_path: Path) -> None:
    rates = {"sgd": "optimizer.lr=0.5", "lamb": "optimizer.lr=0.02"}
    typed = ("task=ner", f"peft={peft}", f"optimizer={name}", rates.get(name, "optimizer.lr=5e-3"))
    run = running.train(tmp_path / "run", *typed, "trainer.max_epochs=4")
    losses = running.losses(run)
    assert all(map(math.isfinite, losses))
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    assert running.metrics(running.evaluate(run, tmp_path / "eval"), "test/") == running.metrics(run, "test/")


def test_schedule_free_brings_a_schedule_without_decay() -> None:
    assert composed("optimizer=schedule_free").scheduler["_target_"].endswith("constant_with_warmup")
    assert composed("optimizer=schedule_free", "scheduler=linear").scheduler["_target_"].endswith("linear")


def test_what_schedule_free_saves_and_measures_is_the_average(tmp_path: Path) -> None:
    """`best.ckpt` holds the averages x; what is trained, y, lies between them and the fast weights z."""
    typed = ("task=ner", "peft=full", "optimizer=schedule_free", "optimizer.lr=5e-3", "trainer.max_epochs=1")
    run = running.train(tmp_path / "run", *typed)
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    (saved,) = checkpoint["optimizer_states"]
    assert not any(group["train_mode"] for group in saved["param_groups"])
    assert running.metrics(run, "val/") == running.metrics(running.evaluate(run, tmp_path / "e", "split=val"), "val/")


@pytest.mark.parametrize(
    ("target", "extra"), [("pytorch_optimizer.Lion", "optimizers"), ("bitsandbytes.optim.AdamW8bit", "quant")]
)
def test_a_missing_package_is_named_with_its_extra(target: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = target.partition(".")[0]
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(ConfigError, match=f"optimizer: {target} needs the package {package}") as caught:
        check_arguments({"_target_": target, "lr": 1.0}, "optimizer")
    assert caught.value.remedy == f"type pip install 'lightune[{extra}]'"


def test_rates_may_be_multiples_of_the_method_s() -> None:
    for peft in ("lora", "full"):
        adamw_lr = composed(f"peft={peft}").optimizer.lr
        assert composed(f"peft={peft}", "optimizer=sgd").optimizer.lr == pytest.approx(100 * adamw_lr)
    assert OmegaConf.is_interpolation(composed("optimizer=sgd").optimizer, "lr")
