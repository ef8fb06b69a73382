"""Metrics from predictions, so that they can be taken of any examples: as functions of sums over examples.

Which way a metric was counted a file of predictions does not say. What is tried is held against the number that the run
has measured itself, and dropped where it is another.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightune.errors import DataError
from lightune.metrics.ner import entities
from lightune.numbers import is_number
from lightune.report.runs.folder import Row, Run

Numbers = NDArray[np.float64]
Positions = NDArray[np.intp]
Rows = Sequence[Row]
# Sums over some examples, (…, counts) → the metric of each, (…,).
OfSums = Callable[[Numbers], Numbers]

_CLOSE = 1e-4  # relative: metrics of tensors are in single precision


@dataclass(frozen=True)
class Measure:
    """A metric of a run's test examples.

    Args:
        counts: What is added up of each example, ``(examples, counts)``.
        of_sums: What the sums make.
        scores: Of each example, where the metric is their mean, ``(examples,)``.
    """

    counts: Numbers
    of_sums: OfSums
    scores: Numbers | None = None

    def __call__(self, drawn: Positions) -> Numbers:
        """Return the metric of each row of positions, ``(rows, examples)`` → ``(rows,)``."""
        return self.of_sums(_times(drawn) @ self.counts)

    @property
    def value(self) -> float:
        """The metric of all examples."""
        return float(self.of_sums(self.counts.sum(0)))

    @property
    def alone(self) -> Numbers:
        """The metric of each example by itself, ``(examples,)``."""
        return self.of_sums(self.counts) if self.scores is None else self.scores


def together(measures: Sequence[Measure]) -> Callable[[Positions], Numbers]:
    """Return several metrics of the same examples as one function, ``(rows, examples)`` → ``(rows, measures)``."""

    def of(drawn: Positions) -> Numbers:
        times = _times(drawn)
        return np.stack([each.of_sums(times @ each.counts) for each in measures], axis=-1)

    return of


def _times(drawn: Positions) -> Numbers:
    """Return how often each example was drawn, ``(rows, examples)``."""
    return np.stack([np.bincount(row, minlength=drawn.shape[1]) for row in drawn]).astype(np.float64)


def measure(run: Run, metric: str) -> Measure | None:
    """Return a test metric of a run as a function of examples, or None where no way to count it gives its number."""
    rows, measured = run.predictions, run.metrics.get(f"test/{metric}")
    if not rows or measured is None:
        return None
    for way in WAYS:
        found = _tried(way, rows, metric)
        if found is not None and math.isclose(found.value, measured, rel_tol=_CLOSE, abs_tol=1e-6):
            return found
    return None


def _tried(way: "Way", rows: Rows, metric: str) -> Measure | None:
    """Return what a way makes of predictions; those of another kind it cannot read."""
    try:
        return way(rows, metric)
    except (KeyError, TypeError, ValueError, AttributeError, DataError):
        return None


Way = Callable[[Rows, str], Measure | None]


def _mean(scores: ArrayLike) -> Measure:
    values = np.asarray(scores, dtype=np.float64)
    counts = np.stack([values, np.ones(len(values))], axis=1)
    return Measure(counts, lambda sums: _ratio(sums[..., 0], sums[..., 1]), values)


def _ratio(part: Numbers, whole: Numbers) -> Numbers:
    return np.divide(part, whole, out=np.zeros_like(part, dtype=np.float64), where=np.asarray(whole) != 0)


def _scored(rows: Rows, metric: str) -> Measure:
    """The mean of what each row says under the metric's name, such as ``f1`` and ``exact_match`` of answers."""
    return _mean([float(row[metric]) for row in rows])


def _right(rows: Rows, metric: str) -> Measure | None:
    is_share = metric in {"accuracy", "f1_micro", "exact_match"}
    return _mean([is_right(row) for row in rows]) if is_share else None


def is_right(row: Row) -> bool:
    """Return whether a prediction is the target; of several labels the order says nothing."""
    found, target = row["prediction"], row["target"]
    if "exact_match" in row:
        return bool(row["exact_match"])
    if isinstance(found, list) and isinstance(target, list) and len(set(found)) == len(found):
        return set(found) == set(target)
    return bool(found == target)


def _error(rows: Rows, metric: str) -> Measure | None:
    power = {"mse": 2, "mae": 1}.get(metric)
    pairs = [(row["prediction"], row["target"]) for row in rows]
    return _mean([abs(found - target) ** power for found, target in pairs]) if power else None


def _pearson(rows: Rows, metric: str) -> Measure | None:
    if metric != "pearson" or not all(is_number(row["prediction"]) for row in rows):
        return None
    x, y = (np.array([row[key] for row in rows], dtype=np.float64) for key in ("prediction", "target"))
    x, y = x - x.mean(), y - y.mean()  # moved to where squares keep their digits
    return Measure(np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1), _correlation)


def _correlation(sums: Numbers) -> Numbers:
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    spread = np.sqrt(np.maximum((n * xx - x * x) * (n * yy - y * y), 0))
    return _ratio(n * xy - x * y, spread)


def _by_rank(rows: Rows, metric: str) -> Measure | None:
    ranks = np.array([row["rank"] for row in rows], dtype=np.float64)
    if metric == "mrr":
        return _mean(1 / ranks)
    return _mean(ranks <= int(metric.removeprefix("recall_at_")))


def _per_token(rows: Rows, metric: str) -> Measure | None:
    """Losses and hits over all tokens, or bytes, together."""
    parts, whole, shape = _SHARES[metric]
    counts = np.array([[row[parts], row[whole]] for row in rows], dtype=np.float64)
    return Measure(counts, lambda sums: shape(_ratio(sums[..., 0], sums[..., 1])))


def _exp(value: Numbers) -> Numbers:
    return np.exp(np.minimum(value, 700.0))


_SHARES: dict[str, tuple[str, str, Callable[[Numbers], Numbers]]] = {
    "loss": ("loss", "tokens", lambda value: value),
    "perplexity": ("loss", "tokens", _exp),
    "byte_perplexity": ("loss", "bytes", _exp),
    "bits_per_byte": ("loss", "bytes", lambda value: value / math.log(2)),
    "accuracy": ("hits", "tokens", lambda value: value),
}


def _of_labels(rows: Rows, metric: str) -> Measure:
    """F1, precision and recall of labels, one an example or several."""
    return _of_sets([(_labels(row["prediction"]), _labels(row["target"])) for row in rows], metric)


def _labels(value: object) -> set[object]:
    return set(value) if isinstance(value, list) else {value}


def _of_entities(rows: Rows, metric: str) -> Measure:
    """The same of entities in tags, counted by their types."""
    return _of_sets([(set(entities(row["prediction"])), set(entities(row["target"]))) for row in rows], metric)


def _of_sets(pairs: Sequence[tuple[set[object], set[object]]], metric: str) -> Measure:
    """Count what is in both, in the prediction, in the target, for each label or type of entity."""
    shape = _SETS[metric]
    kinds = sorted({str(_kind(item)) for pair in pairs for part in pair for item in part})
    place = {kind: i for i, kind in enumerate(kinds)}
    counts = np.zeros((len(pairs), 3, len(kinds)))
    for row, (found, target) in enumerate(pairs):
        for column, part in enumerate((found & target, found, target)):
            for item in part:
                counts[row, column, place[str(_kind(item))]] += 1
    width = len(kinds)
    return Measure(
        counts.reshape(len(pairs), 3 * width),
        lambda sums: shape(*np.moveaxis(sums.reshape(*sums.shape[:-1], 3, width), -2, 0)),
    )


def _kind(item: object) -> object:
    return item[0] if isinstance(item, tuple) else item


def _macro(hits: Numbers, found: Numbers, wanted: Numbers) -> Numbers:
    """Mean over the labels that occur in predictions or targets."""
    return _ratio(_ratio(2 * hits, found + wanted).sum(-1), (found + wanted > 0).sum(-1))


def _weighted(hits: Numbers, found: Numbers, wanted: Numbers) -> Numbers:
    return _ratio((_ratio(2 * hits, found + wanted) * wanted).sum(-1), wanted.sum(-1))


def _micro(hits: Numbers, found: Numbers, wanted: Numbers) -> Numbers:
    return _ratio(2 * hits.sum(-1), found.sum(-1) + wanted.sum(-1))


_SETS: dict[str, Callable[[Numbers, Numbers, Numbers], Numbers]] = {
    "f1": _micro,
    "f1_micro": _micro,
    "f1_macro": _macro,
    "f1_weighted": _weighted,
    "precision": lambda hits, found, wanted: _ratio(hits.sum(-1), found.sum(-1)),
    "recall": lambda hits, found, wanted: _ratio(hits.sum(-1), wanted.sum(-1)),
}


def _bleu(rows: Rows, metric: str) -> Measure | None:
    """BLEU of a corpus: n-grams and lengths of each sentence, as sacreBLEU counts them by default."""
    if metric != "bleu":
        return None
    from sacrebleu.metrics import BLEU

    one = BLEU(effective_order=True)
    targets = [[row["target"]] if isinstance(row["target"], str) else row["target"] for row in rows]
    parts = [one.sentence_score(row["prediction"], right) for row, right in zip(rows, targets, strict=True)]
    counts = np.array([[*part.counts, *part.totals, part.sys_len, part.ref_len] for part in parts], dtype=np.float64)

    def of_sums(sums: Numbers) -> Numbers:
        flat = sums.reshape(-1, counts.shape[1]).astype(int).tolist()
        values = [BLEU.compute_bleu(row[:4], row[4:8], row[8], row[9]).score for row in flat]
        return np.array(values).reshape(sums.shape[:-1])

    return Measure(counts, of_sums)


WAYS: tuple[Way, ...] = (_scored, _right, _error, _pearson, _by_rank, _per_token, _of_labels, _of_entities, _bleu)
