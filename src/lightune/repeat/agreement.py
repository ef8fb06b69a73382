"""Whether a run that was done again found the same numbers, and what around it is not as it was. Pure functions."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

EQUAL, DIFFERS = "equal", "differs"
TOLERANCE = 1e-4  # of a number of about 1; of larger ones so large a part
_NOT_FOUND = ("time/", "memory/")  # what depends on who else uses the machine


@dataclass(frozen=True)
class Compared:
    """A number then and now.

    Args:
        then: Of the earlier run; None where it had none of that name.
        now: Of the new one.
        verdict: ``equal``, ``within 1e-6`` or ``differs``.
    """

    then: float | None
    now: float | None
    verdict: str

    @property
    def difference(self) -> float | None:
        """How much larger it is now."""
        return None if self.then is None or self.now is None else self.now - self.then

    @property
    def row(self) -> tuple[Any, ...]:
        """As a table shows it."""
        return tuple("–" if value is None else f"{value:.6g}" for value in (self.then, self.now, self.difference))

    def content(self) -> dict[str, Any]:
        """Return plain data."""
        return {**asdict(self), "difference": self.difference}


def compared(then: Mapping[str, float], now: Mapping[str, float]) -> dict[str, Compared]:
    """Return each number of two runs, seconds and memory aside, and whether it is the same."""
    names = [name for name in dict.fromkeys((*then, *now)) if not name.startswith(_NOT_FOUND)]
    return {name: Compared(then.get(name), now.get(name), _verdict(then.get(name), now.get(name))) for name in names}


def _verdict(then: float | None, now: float | None) -> str:
    """Return ``within 1e-6`` for the smallest power of ten that the difference does not surpass."""
    if then == now or (then is not None and now is not None and math.isnan(then) and math.isnan(now)):
        return EQUAL
    if then is None or now is None or not math.isfinite(now - then):
        return DIFFERS
    apart = abs(now - then) / max(abs(then), 1.0)
    return f"within 1e{math.ceil(math.log10(apart))}" if apart <= TOLERANCE else DIFFERS


def drift(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield what differs between two ``environment.json``: ``torch 2.12.0, now 2.13.0``.

    What only one of them tells is left out.
    """
    before, after = _flat(then), _flat(now)
    for name, value in before.items():
        if name in after and after[name] != value:
            yield f"{name} {_told(value)}, now {_told(after[name])}"
    yield from _code(then.get("git"), now.get("git"))


def _flat(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return what can be compared one by one: Python, packages, the machine."""
    versions, machine = (environment.get(name) or {} for name in ("versions", "machine"))
    return {"python": environment.get("python"), **versions, **machine}


def _told(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _code(then: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield in what the project's code differs: its revision, and changes that are in none."""
    if then is None or now is None:
        return
    if then["revision"] != now["revision"]:
        yield f"git revision {then['revision'][:12]}, now {now['revision'][:12]}"
    for when, git in (("then", then), ("now", now)):
        if git["dirty"]:
            yield f"files that differ from the git revision {when}: {_some(git['changed'])}"


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
