"""How a backbone is adapted: which parameters are trained, and which are added."""

from lightune.adapt.methods import Adaptation, Adapter, Full

__all__ = ["Adaptation", "Adapter", "Full"]
