"""What runs are compared by: the names of numbers, and which way is better."""

import re
from collections.abc import Sequence

_SMALL_IS_GOOD = frozenset(("loss", "perplexity", "bits", "ter", "mse", "mae", "ece"))  # as a word of a metric's name
_COSTS = ("params/", "time/", "memory/", "tokens/")


def metric_mode(monitor: str) -> str:
    """Return ``min`` for a loss, an error, a perplexity or what a run costs, ``max`` for every other metric."""
    is_cost = monitor.startswith(_COSTS)
    return "min" if is_cost or _SMALL_IS_GOOD & set(re.findall(r"[a-z0-9]+", monitor)) else "max"


def objectives(chosen: str | Sequence[str] | None, monitor: str) -> list[str]:
    """Return the names of the numbers by which runs are compared.

    Args:
        chosen: The key ``objective``.
        monitor: The task's own metric, which is the one where none is chosen.
    """
    chosen = chosen or f"val/{monitor}"
    return [chosen] if isinstance(chosen, str) else [str(name) for name in chosen]
