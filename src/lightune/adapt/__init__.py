"""How a backbone is adapted: which parameters are trained, and which are added."""

from lightune.adapt.adalora import RankBudget
from lightune.adapt.bottleneck import Bottleneck
from lightune.adapt.methods import Adaptation, Adapter, Full
from lightune.adapt.partial import Partial
from lightune.adapt.starts import Corda, Eva, LoraGa
from lightune.adapt.training import Training

__all__ = [
    "Adaptation",
    "Adapter",
    "Bottleneck",
    "Corda",
    "Eva",
    "Full",
    "LoraGa",
    "Partial",
    "RankBudget",
    "Training",
]
