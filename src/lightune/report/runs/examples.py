"""Examples that one system gets right and another wrong."""

from collections.abc import Iterator, Sequence
from typing import Any

from lightune.errors import DataError
from lightune.metrics.ner import entities
from lightune.numbers import is_number
from lightune.objective import metric_mode
from lightune.report.page import Cell, Section, Table
from lightune.report.runs.cells import either, number, plain
from lightune.report.runs.comparison import ranked
from lightune.report.runs.folder import Row, Run
from lightune.report.runs.measures import is_right, measure
from lightune.report.runs.systems import System
from lightune.report.runs.tested import Tested

_OTHERS = 3  # systems that the best one is held against
_EACH_WAY = 50  # examples of two systems
_TAGS = ("B-", "I-", "E-", "S-")

# An example of two runs: the two rows, and their scores.
Both = tuple[Row, Row, float, float]


def section(tested: Tested) -> Section | None:
    """Return where the best system and others differ; None where there is one system."""
    metric = tested.headline[0]
    first, *others = ranked(tested.systems, metric)
    if not others:
        return None
    rows = [row for other in others[:_OTHERS] for row in _rows(first, other, metric)]
    title = f"Differences: {tested.title}"
    text = (
        f"What {first.label} and others make of the same test examples, up to {_EACH_WAY} of each kind, the largest "
        "differences first; of each system the run that is best on val."
    )
    if not rows:
        return Section(title, "The best systems are right and wrong on the same examples.")
    names = [f"{whose}'s {what}" for what in ("prediction", "score") for whose in ("better", "worse")]
    columns = ["better", "worse", "example", "target", *names]
    return Section(title, text, table=Table(columns, rows, filtered=True))


def _rows(first: System, other: System, metric: str) -> Iterator[list[Cell]]:
    ours, theirs = _scores(first.best, metric), _scores(other.best, metric)
    found = list(zip(first.best.predictions, other.best.predictions, ours, theirs, strict=True))
    yield from _ahead(first, other, found)
    yield from _ahead(other, first, [(b, a, score_b, score_a) for a, b, score_a, score_b in found])


def _ahead(better: System, worse: System, found: Sequence[Both]) -> Iterator[list[Cell]]:
    """Yield the examples on which a system is better, the clearest first."""
    ahead = sorted((both for both in found if both[2] > both[3]), key=lambda both: both[3] - both[2])
    for row, other, score, lower in ahead[:_EACH_WAY]:
        values = [_shown(value) for value in (row.get("target"), row.get("prediction"), other.get("prediction"))]
        # Errors and losses were turned round.
        numbers = [number(abs(score), ".3g"), number(abs(lower), ".3g")]
        yield [plain(better.label), plain(worse.label), plain(str(row.get("id"))), *map(either, values), *numbers]


def _scores(run: Run, metric: str) -> list[float]:
    """Return how good each prediction is, more is better: by the metric alone, as a number, or right or wrong."""
    rows, found = run.predictions, measure(run, metric)
    if all(is_number(row.get("prediction")) and is_number(row.get("target")) for row in rows):
        return [-abs(row["prediction"] - row["target"]) for row in rows]
    if found is None:
        return [float(is_right(row)) for row in rows]
    return ((-1.0 if metric_mode(metric) == "min" else 1.0) * found.alone).tolist()


def _shown(value: Any) -> Any:
    """Return a value as one reads it: of tags the entities, with the numbers of their words."""
    if not (isinstance(value, list) and value and all(str(tag) == "O" or str(tag).startswith(_TAGS) for tag in value)):
        return value
    try:
        return ", ".join(f"{kind} {start}–{end - 1}" for kind, start, end in entities(value)) or "no entity"
    except DataError:
        return value
