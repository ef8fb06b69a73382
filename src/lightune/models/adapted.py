"""Which tensors of a model with adapters no file holds, besides those that are trained."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from peft import PeftModel
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from torch import nn

State: TypeAlias = Mapping[str, tuple[int, int]]  # name of a parameter → where it lies, and how often it was written

_CHANGED = "changed_by_adaptation"
_WRAPPED = "base_model.model."  # what peft puts before every name


def parameters_as_they_are(model: nn.Module) -> State:
    """Return what tells later, without a copy, which parameters have been changed since."""
    return {name: (parameter.data_ptr(), parameter._version) for name, parameter in model.named_parameters()}


def note_changes(model: nn.Module, before: State, all_adapted: bool = False) -> None:
    """Remember which pretrained weights a method changed when it was put into a model, as PiSSA does.

    Args:
        model: With adapters.
        before: What `parameters_as_they_are` returned of the model without them.
        all_adapted: Whether the weights of all layers with adapters count as changed, though here they were not.
    """
    changed = {
        name
        for name, now in parameters_as_they_are(model).items()
        if (own := name.removeprefix(_WRAPPED).replace(".base_layer.", ".")) in before and before[own] != now
    }
    changed |= {
        f"{name}.base_layer.weight"
        for name, module in model.named_modules()
        if all_adapted and isinstance(module, BaseTunerLayer)
    }
    setattr(model, _CHANGED, frozenset(changed))


def changed_weights(model: nn.Module) -> frozenset[str]:
    """Return the names of the pretrained weights that a method changed before training."""
    found: frozenset[str] = getattr(model, _CHANGED, frozenset())
    return found


def without_adapters(model: PeftModel) -> Any:
    """Return the model that adapters were put into, as it was before; it is the same one, changed."""
    if model.active_peft_config.is_prompt_learning:
        return model.get_base_model()
    tuner: Any = model.base_model
    if not _is_tuner(tuner):
        tuner.disable_adapter_layers()  # LLaMA-Adapter exchanges whole modules
        return tuner.model
    # As they are: peft's own way gives each module a weight, which a head of several layers has none of.
    tuner._replace_module = lambda parent, name, module, _: setattr(parent, name, module)
    return tuner.unload()


def _is_tuner(module: object) -> bool:
    return isinstance(module, BaseTuner)


def adapter_tensors(model: nn.Module) -> set[str]:
    """Return the names of all tensors that adapters brought, frozen ones such as VeRA's random matrices too."""
    names = list(model.state_dict())
    layers = [name for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)]
    found = {
        tensor
        for layer in layers
        for tensor in names
        if tensor.startswith(f"{layer}.") and not tensor.startswith(f"{layer}.base_layer.")
    }
    shared = _is_tuner(getattr(model, "base_model", None))
    return found | {
        name for name in names if shared and name.startswith("base_model.") and not name.startswith(_WRAPPED)
    }
