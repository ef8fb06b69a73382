"""Text with gaps to come: the same passages as for causal language modelling, and more of them."""

from lightune.data.world.derive.clm import examples

__all__ = ["SIZES", "examples"]

SIZES = {"train": 1200, "val": 200, "test": 320}
