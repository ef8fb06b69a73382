"""A logger that fails, for runs that must not."""

import time
from typing import Any

from lightning.pytorch.loggers import Logger


class Broken(Logger):
    """Raises in one of its methods, and counts how often it was asked.

    Args:
        at: The method, or ``__init__``.
        seconds: That it takes before it does.
    """

    asked = 0

    def __init__(self, at: str, seconds: float = 0.0) -> None:
        super().__init__()
        self.at = at
        self.seconds = seconds
        self.logged: list[tuple[int | None, dict[str, Any]]] = []
        self._fail("__init__")

    def _fail(self, method: str) -> None:
        if self.at == method:
            Broken.asked += 1
            time.sleep(self.seconds)
            raise ConnectionError(f"no way to the server in {method}\nand more")

    @property
    def name(self) -> str:
        return "broken"

    @property
    def version(self) -> str:
        return ""

    @property
    def experiment(self) -> Any:
        self._fail("experiment")
        return object()

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self._fail("log_metrics")
        self.logged.append((step, metrics))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self._fail("log_hyperparams")

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        self._fail("after_save_checkpoint")

    def save(self) -> None:
        self._fail("save")

    def finalize(self, status: str) -> None:
        self._fail("finalize")
