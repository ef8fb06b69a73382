"""What a run would go through and cost."""

from lightune.forecast.plan import plan

__all__ = ["plan"]
