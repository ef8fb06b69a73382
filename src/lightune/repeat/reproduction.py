"""``reproduce=runs/x``: the same run once more, in a new folder, and whether it finds the same numbers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from lightune import commanded, machine
from lightune.check import check
from lightune.continuation import changed
from lightune.errors import TrainingError, UserError
from lightune.instantiate import plain, refuse_untrusted
from lightune.repeat.agreement import DIFFERS, EQUAL, TOLERANCE, Compared, compared, drift
from lightune.repeat.earlier import Earlier
from lightune.repeat.left import numbers_of
from lightune.report import show
from lightune.report.artefacts import write_json
from lightune.report.environment import before_torch

FILE = "reproduction.json"


def train(cfg: DictConfig) -> Any:
    """Train as an earlier run did, and compare the numbers.

    Args:
        cfg: Composed from that run's overrides and the typed ones.

    Returns:
        What the run returns.

    Raises:
        ConfigError: That run's configuration cannot be used any longer.
        TrainingError: A number differs.
    """
    earlier = Earlier.read(Path(cfg.reproduce))
    changes = earlier.changes(commanded.typed())
    again = _configuration(cfg, earlier)
    speaks = machine.is_first_process()
    if speaks:
        _tell("It will not be quite the same run", [*drift(earlier.environment, before_torch()), *_named(changes)])
    from lightune import run

    result = run.train(again)
    if speaks:
        _conclude(earlier, Path(again.run_dir), changes)
    return result


def _configuration(cfg: DictConfig, earlier: Earlier) -> DictConfig:
    """Return that run's configuration with the typed overrides on top, checked as any other."""
    try:
        again = changed(cfg, earlier.card, commanded.typed())
        again.reproduce = None
        check(again)
        refuse_untrusted(plain(again), cfg.trust)
    except UserError as error:
        raise earlier.refused(error) from error
    except OmegaConfBaseException as error:
        raise earlier.refused(UserError(str(error).splitlines()[0])) from error
    return again


def _named(changes: Sequence[str]) -> list[str]:
    return [f"changed on purpose: {' '.join(changes)}"] if changes else []


def _tell(title: str, reasons: Sequence[str]) -> None:
    if reasons:
        show.note("\n".join([f"{title}:", *(f"  {reason}" for reason in reasons)]))


def _conclude(earlier: Earlier, folder: Path, changes: Sequence[str]) -> None:
    """Print and write what became of each number.

    Raises:
        TrainingError: One differs.
    """
    found = compared(earlier.metrics, numbers_of(folder) or {})
    environment = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    differences = [*drift(earlier.environment, environment), *_named(changes)]
    content = {"of": str(earlier.folder), "differences": differences, "numbers": _content(found)}
    write_json(folder / FILE, content)
    rows = [(name, *each.row, each.verdict) for name, each in found.items()]
    show.table(f"The same numbers as {earlier.folder.name}?", ["metric", "then", "now", "difference", ""], rows)
    differing = [name for name, each in found.items() if each.verdict == DIFFERS]
    if not differing:
        equal = sum(each.verdict == EQUAL for each in found.values())
        others = f", the others within {TOLERANCE:g}" if equal < len(found) else ""
        show.note(f"Reproduced: {equal} of {len(found)} numbers are equal{others}.")
        return
    _tell("What is not as it was then", differences)
    raise TrainingError(
        f"reproduce={earlier.folder}: {len(differing)} of {len(found)} numbers differ ({', '.join(differing[:5])})",
        f"see {folder / FILE}" + ("" if differences else "; nothing that is recorded differs from then"),
    )


def _content(found: dict[str, Compared]) -> dict[str, Any]:
    return {name: each.content() for name, each in found.items()}
