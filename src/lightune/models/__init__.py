"""Loading a backbone: from the Hub, a local folder, an installed package, or a GGUF file."""

from lightune.models.backbone import Backbone

__all__ = ["Backbone"]
