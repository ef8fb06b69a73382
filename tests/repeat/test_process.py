"""How a run has ended, as it is told."""

import pytest

from lightune.repeat.process import Ended

MESSAGE = "\nlightune: data.train: no training file was named\n  → type data.train=<file>\n"


@pytest.mark.parametrize(
    ("status", "said", "problem", "remedy"),
    [
        (1, f"Choices\n{MESSAGE}", "data.train: no training file was named", "type data.train=<file>"),
        (1, f"{MESSAGE}\nlightune: another\n", "another", ""),
        (1, 'Traceback\n  File "a.py"\nValueError: no\n\n', "ValueError: no", ""),
        (1, "\n", "it ended with status 1", ""),
        (-9, MESSAGE, "it was ended by signal 9 (SIGKILL)", ""),
    ],
)
def test_the_reason_is_what_it_said_last(status: int, said: str, problem: str, remedy: str) -> None:
    error = Ended(status, said).error
    assert (error.problem, error.remedy) == (problem, remedy)
