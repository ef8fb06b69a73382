"""A model without its tensors, kept while they are shared out over processes, and filled with them afterwards."""

import copy
from collections.abc import Mapping
from typing import Any

from torch import nn


def without_tensors(model: nn.Module) -> nn.Module:
    """Return a copy of a model whose parameters have shapes only; a tensor that modules share is one there too."""
    empty = {id(p): nn.Parameter(p.detach().to("meta"), p.requires_grad) for p in model.parameters()}
    return copy.deepcopy(model, memo=dict(empty))


def filled(skeleton: nn.Module, tensors: Mapping[str, Any]) -> nn.Module:
    """Return a copy of a skeleton with tensors in the place of its parameters."""
    model = copy.deepcopy(skeleton)
    full = {id(p): nn.Parameter(tensors[name].detach(), p.requires_grad) for name, p in model.named_parameters()}
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False, remove_duplicate=False)):
            setattr(module, name, full[id(parameter)])
    return model
