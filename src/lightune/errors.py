"""The errors a user can cause, and mend.

Everything else that is raised is a fault of lightune or of a library and keeps its traceback; these carry
one message that names what is wrong, what was expected, and what to type instead. The entry scripts print
that message alone and exit with status 1.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_LOADER_PROCESS = re.compile(r"DataLoader worker .* (is killed|exited unexpectedly)")


class UserError(Exception):
    """What was asked for cannot be done, and the message says what to do instead.

    Args:
        problem: What is wrong; names the key, file or row.
        remedy: What to type or change. Printed on a line of its own.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}\n  → {self.remedy}" if self.remedy else self.problem


class ConfigError(UserError):
    """A key, an option or a combination of options that cannot be used."""


class DataError(UserError):
    """A file, column or row of the user's data that cannot be used."""


class CheckpointError(UserError):
    """A checkpoint that is missing, damaged, or does not fit."""


class TrainingError(UserError):
    """Training cannot go on."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a remedy sentence that names the closest of the known words.

    Args:
        word: What the user typed.
        known: Every word that would have been right.

    Returns:
        ``"did you mean 'x'?"`` with up to three candidates, or the list of what there is.
    """
    words = sorted({str(item) for item in known})
    close = get_close_matches(str(word), words, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(item) for item in close) + "?"
    shown = ", ".join(words[:20]) + (", …" if len(words) > 20 else "")
    return f"there is: {shown}" if words else "there is nothing of that kind"


def loader_process_died(error: BaseException) -> BaseException | None:
    """Return what torch raised because a loader process died, where that is behind an error.

    Its signal handler raises in the middle of whatever the main process does just then: of writing a file, say, which
    is not what failed.

    Args:
        error: What was caught.
    """
    if _LOADER_PROCESS.search(str(error)):
        return error
    return loader_process_died(error.__context__) if error.__context__ else None
