"""One run as a process of its own, whose output is shown and kept."""

import codecs
import signal
import sys
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import BinaryIO

from lightune.errors import ConfigError, UserError
from lightune.sweep.processes import Command, end, start

_POLL = 0.05  # seconds
_SAYS = "\nlightune: "  # what stands before the message of an error that a user can mend


@dataclass(frozen=True)
class Ended:
    """How a run has ended.

    Args:
        status: Exit status; negative: the signal that ended it.
        said: What it printed.
    """

    status: int
    said: str

    @property
    def error(self) -> UserError:
        """What it said was wrong, or else its last line."""
        if self.status < 0:
            return UserError(f"it was ended by signal {-self.status} ({signal.Signals(-self.status).name})")
        _, found, message = self.said.rpartition(_SAYS)
        lines = [line for line in (message if found else self.said).strip().splitlines() if line.strip()]
        if not found:
            return UserError(lines[-1].strip() if lines else f"it ended with status {self.status}")
        problem, *remedy = "\n".join(lines).split("\n  → ", 1)
        return ConfigError(problem, *remedy)


def finished(command: Command) -> Ended:
    """Run a command to its end, and print what it says.

    Ctrl-C is passed on to it, and then ends this process; a second one ends it at once.
    """
    command.log.parent.mkdir(parents=True, exist_ok=True)
    command.log.touch()
    with command.log.open("rb") as log:
        log.seek(0, 2)  # an earlier command's output stays in the file
        followed = _Followed(start(command), log)
        try:
            followed.to_its_end()
        except KeyboardInterrupt:
            end(followed.process, signal.SIGINT)
            followed.to_its_end()  # it finishes its step, and writes its checkpoint
            raise
        finally:
            end(followed.process)  # and whatever it has left
            followed.process.join()
    return Ended(followed.process.exitcode or 0, followed.said)


class _Followed:
    """A process and its log, as far as it has been shown."""

    def __init__(self, process: BaseProcess, log: BinaryIO) -> None:
        self.process = process
        self.said = ""
        self._log = log
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def to_its_end(self) -> None:
        while self.process.is_alive():
            self._show()
            self.process.join(_POLL)
        self._show()

    def _show(self) -> None:
        text = self._decoder.decode(self._log.read())
        self.said += text
        sys.stdout.write(text)
        sys.stdout.flush()
