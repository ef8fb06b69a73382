"""What was typed, and what that chose of each group; nothing where a test calls a verb itself."""

from collections.abc import Mapping
from typing import Any

from hydra.core.hydra_config import HydraConfig


def typed() -> list[str]:
    """Return the overrides of this command, a checkpoint's own before those on the command line."""
    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


def choices() -> dict[str, str]:
    """Return the option of each group in this command."""
    if not HydraConfig.initialized():
        return {}
    found = HydraConfig.get().runtime.choices
    return {key: str(value) for key, value in found.items() if not key.startswith("hydra")}


def method(peft: Mapping[str, Any]) -> str:
    """Return what a method of adaptation is called: its option, or its class where no command chose one.

    Args:
        peft: The configuration of that group.
    """
    return choices().get("peft") or str(peft["_target_"]).rpartition(".")[2].lower()
