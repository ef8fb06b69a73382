"""The checkpoint that the task's monitored metric picks."""

from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint


class BestCheckpoint(ModelCheckpoint):
    """Lightning's, which remembers the best value also where the run folder was moved before it is resumed.

    Lightning itself forgets the value then, and would replace the best checkpoint by the next one, better or not.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state, with its paths moved to where the run folder is now."""
        super().load_state_dict(_moved(state_dict, str(state_dict["dirpath"]), str(self.dirpath)))


def _moved(content: Any, old: str, new: str) -> Any:
    if isinstance(content, dict):
        return {_moved(key, old, new): _moved(value, old, new) for key, value in content.items()}
    inside = isinstance(content, str) and (content == old or content.startswith(f"{old}/"))
    return new + content[len(old) :] if inside else content
