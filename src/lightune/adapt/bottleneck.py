"""Bottleneck adapters: small networks behind the blocks of each layer, which peft does not have."""

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Literal

from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.activations import ACT2FN
from transformers.pytorch_utils import Conv1D

from lightune.adapt.methods import Adaptation, always_trained, train_only
from lightune.adapt.training import Training
from lightune.errors import ConfigError, nearest
from lightune.models.architecture import layer_of

# The last linear layer of each block, as models of transformers call it.
_ATTENTION = re.compile(
    r"(ttention\.(output\.)?dense|(self_attn|encoder_attn|attn)\.(o_proj|out_proj|c_proj)|(Self|EncDec)Attention\.o"
    r"|attention\.out_lin)$"
)
_FEED_FORWARD = re.compile(
    r"((?<!ttention\.)output\.dense|mlp\.(down_proj|c_proj|dense_4h_to_h)|fc2|DenseReluDense\.wo|ffn\.lin2)$"
)
PLACEMENTS = {"houlsby": (_ATTENTION, _FEED_FORWARD), "pfeiffer": (_FEED_FORWARD,)}
_NAME = "bottleneck"  # of the module in its layer, and of its settings in the model's configuration


class BottleneckModule(nn.Module):
    """x + up(f(down(x))); it begins as the identity.

    Args:
        width: Of x.
        hidden: Of the bottleneck.
        activation: What transformers calls f.
    """

    def __init__(self, width: int, hidden: int, activation: str) -> None:
        super().__init__()
        self.down = nn.Linear(width, hidden)
        self.activation: Callable[[Tensor], Tensor] = ACT2FN[activation]
        self.up = nn.Linear(hidden, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, states: Tensor) -> Tensor:
        """Return states of the same shape."""
        return states + self.up(self.activation(self.down(states)))


def attach(model: nn.Module, placement: str, reduction: float, activation: str) -> list[str]:
    """Put a bottleneck behind the blocks of every layer.

    Args:
        model: Is changed.
        placement: ``houlsby``: behind attention and feed-forward network; ``pfeiffer``: behind the latter alone.
        reduction: Width of a layer divided by that of its bottleneck.
        activation: What transformers calls it.

    Returns:
        The names of the layers that have one now.
    """
    layers = ends_of_blocks(model, placement)
    for name in layers:
        layer: Any = model.get_submodule(name)
        width = layer.nf if isinstance(layer, Conv1D) else layer.out_features
        module = BottleneckModule(width, max(round(width / reduction), 1), activation)
        layer.add_module(_NAME, module.to(layer.weight.device))
        layer.register_forward_hook(lambda owner, _, output: getattr(owner, _NAME)(output))
    return layers


def ends_of_blocks(model: nn.Module, placement: str) -> list[str]:
    """Return the names of the layers that bottlenecks are put behind."""
    linear = [name for name, module in model.named_modules() if isinstance(module, (nn.Linear, Conv1D))]
    return [n for n in linear if layer_of(f"{n}.") and any(end.search(n) for end in PLACEMENTS[placement])]


def load(folder: str | Path, auto_class: Any) -> PreTrainedModel:
    """Return a model with bottlenecks from a folder that a run has written.

    Args:
        folder: ``model/`` of a run.
        auto_class: The class that its card names.
    """
    model: PreTrainedModel = auto_class.from_pretrained(folder)
    attach(model, **getattr(model.config, _NAME))
    for file in Path(folder).glob("*.safetensors"):
        model.load_state_dict({n: t for n, t in load_file(file).items() if f".{_NAME}." in n}, strict=False)
    return model


class Bottleneck(Adaptation):
    """Bottleneck adapters and the head are trained, the backbone is frozen.

    Args:
        placement: ``houlsby`` (Houlsby et al. 2019) or ``pfeiffer`` (Pfeiffer et al. 2020), see `attach`.
        reduction: Width of a layer divided by that of its bottleneck.
        activation: What transformers calls it.
        lr: Learning rate that suits this method; read by the optimiser's configuration.
        head_lr: That of the head, a multiple of `lr` or None; read there too.
    """

    def __init__(
        self,
        placement: Literal["houlsby", "pfeiffer"],
        reduction: float = 16.0,
        activation: str = "relu",
        lr: float = 1e-3,
        head_lr: float | str | None = None,
    ) -> None:
        self.settings: dict[str, Any] = {"placement": placement, "reduction": reduction, "activation": activation}
        self.lr = lr
        self.head_lr = head_lr

    def check(self, skeleton: PreTrainedModel, head: Sequence[str]) -> None:
        """Raise ConfigError where a setting is out of range, or the backbone's blocks are not known."""
        for key, known in (("placement", PLACEMENTS), ("activation", ACT2FN)):
            chosen = str(self.settings[key])
            if chosen not in known:
                raise ConfigError(f"peft.{key}={chosen}: there is none", nearest(chosen, known))
        if not self.settings["reduction"] > 0:
            raise ConfigError(
                f"peft.reduction={self.settings['reduction']} is no divisor", "type for instance peft.reduction=16"
            )
        if not ends_of_blocks(skeleton, self.settings["placement"]):
            kind = skeleton.config.model_type
            raise ConfigError(f"peft: where the blocks of {kind} models end is not known", "type peft=lora")

    def apply(
        self,
        model: PreTrainedModel,
        fresh: Collection[str],
        peft_type: str,
        new_tokens: Sequence[int] = (),
        training: Training | None = None,
    ) -> nn.Module:
        """Return the model with bottlenecks, the rest of the backbone frozen."""
        train_only(model, always_trained(model, fresh, peft_type), new_tokens)
        attach(model, **self.settings)
        setattr(model.config, _NAME, dict(self.settings))
        return model


def has_bottlenecks(model: nn.Module) -> bool:
    """Return whether a model has bottlenecks, without which its other weights are of no use."""
    return any(isinstance(module, BottleneckModule) for module in model.modules())
