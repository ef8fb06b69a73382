"""What may fail without ending anything. Needs no torch."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from lightune.errors import loader_process_died
from lightune.report import show

_PATIENCE = 50  # a logger that failed is left alone for so many times the time that it took to fail


class Forgiving:
    """Lets what fails within it end nothing, and says so once.

    Args:
        name: Of the logger, for the message.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.failed = False
        self._again_at = 0.0

    @property
    def waits(self) -> bool:
        """Whether the last failure took so long that another one so soon would slow the run down."""
        return time.monotonic() < self._again_at

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Catch what a logger may raise; not Ctrl-C."""
        began = time.monotonic()
        try:
            yield
        except Exception as error:
            if loader_process_died(error):
                raise
            now = time.monotonic()
            self._again_at = now + _PATIENCE * (now - began)
            if not self.failed:
                reason = (str(error).strip() or repr(error)).splitlines()[0]
                show.note(f"Warning: logger={self.name} failed, and the run goes on. It may lack something: {reason}")
            self.failed = True
