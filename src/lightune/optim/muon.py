"""Muon for the matrices inside a backbone, AdamW for everything else."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pytorch_optimizer import Muon
from torch.optim import Optimizer


def muon(
    params: Iterable[Mapping[str, Any]],
    lr: float,
    weight_decay: float = 0.0,
    momentum: float = 0.95,
    nesterov: bool = True,
    ns_steps: int = 5,
    betas: Sequence[float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> Optimizer:
    """Return Muon (Jordan et al. 2024), its updates scaled as in Liu et al. 2025 so that AdamW's learning rates fit.

    Args:
        params: Groups of `parameter_groups`. Matrices of the backbone are orthogonalised; embeddings, head, and
            vectors, for which that means nothing, are left to AdamW.
        lr: Learning rate of groups that have none.
        weight_decay: Weight decay of groups that have none.
        momentum: Of matrices.
        nesterov: Whether it looks ahead.
        ns_steps: Newton-Schulz steps of the orthogonalisation.
        betas: Of AdamW.
        eps: Of AdamW.
    """
    adamw = {"betas": tuple(betas), "eps": eps}
    groups = [part for group in params for part in _split({"lr": lr, "weight_decay": weight_decay, **group}, adamw)]
    optimizer: Optimizer = Muon(
        groups, lr=lr, momentum=momentum, nesterov=nesterov, ns_steps=ns_steps, use_adjusted_lr=True
    )
    return optimizer


def _split(group: Mapping[str, Any], adamw: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the matrices of a group and the rest of it, as far as there are any, by the name that it has."""
    named = list(zip(group["param_names"], group["params"], strict=True))
    inside = group["name"].startswith("backbone")
    matrices = [(name, parameter) for name, parameter in named if inside and parameter.dim() == 2]
    rest = [(name, parameter) for name, parameter in named if not inside or parameter.dim() != 2]
    for chosen, own in ((matrices, {"use_muon": True}), (rest, {"use_muon": False, **adamw})):
        if chosen:
            apart = {"name": f"{group['name']}/adamw"} if chosen is rest and matrices else {}
            names, parameters = map(list, zip(*chosen, strict=True))
            yield {**group, **own, **apart, "params": parameters, "param_names": names}
