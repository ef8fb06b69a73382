"""Which process works on a trial, and whether it still does."""

import contextlib
import os
import socket
import time
from dataclasses import asdict, dataclass
from typing import Any, Self

import psutil

_SAME = 1.0  # seconds that two readings of a process's start may differ by
SILENT = 120.0  # seconds without a beat after which a process of another machine counts as gone


@dataclass(frozen=True)
class Owner:
    """A process, told from others that had its number before or have it elsewhere.

    Args:
        host: Name of its machine.
        pid: Its number there.
        started: When it did, in seconds since the epoch.
    """

    host: str
    pid: int
    started: float

    @classmethod
    def here(cls) -> Self:
        """Return this process."""
        return cls(socket.gethostname(), os.getpid(), psutil.Process().create_time())

    @classmethod
    def of(cls, kept: Any) -> "Owner | None":
        """Return what `state` was made of, None where it was made of something else."""
        try:
            return cls(str(kept["host"]), int(kept["pid"]), float(kept["started"]))
        except (KeyError, TypeError, ValueError):
            return None

    def state(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    def is_alive(self, beat: float | None = None) -> bool:
        """Return whether the process still runs.

        Args:
            beat: When it was last heard of, in seconds since the epoch: what counts where it runs on another machine.
        """
        if self.host != socket.gethostname():
            return beat is not None and time.time() - beat < SILENT
        try:
            process = psutil.Process(self.pid)
            return process.status() != psutil.STATUS_ZOMBIE and self._is(process)
        except psutil.NoSuchProcess:
            return False

    def session(self) -> list[psutil.Process]:
        """Return the processes of this machine whose session it leads, or led while it lived."""
        if self.host != socket.gethostname():
            return []
        found = [process for process in psutil.process_iter() if _session(process) == self.pid]
        with contextlib.suppress(psutil.NoSuchProcess):  # the number of a session is given again once all have left it
            if not all(self._is(process) for process in found if process.pid == self.pid):
                return []
        return found

    def _is(self, process: psutil.Process) -> bool:
        return abs(process.create_time() - self.started) < _SAME


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except (ProcessLookupError, PermissionError):
        return None
