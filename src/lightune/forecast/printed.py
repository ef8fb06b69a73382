"""What a plan tells its reader."""

from collections import Counter
from collections.abc import Mapping, Sequence

from lightune.data.encoding import EncodedSplit
from lightune.forecast.calibration import Measured
from lightune.forecast.overlap import Overlap
from lightune.forecast.schedule import Schedule
from lightune.report import show
from lightune.tasks.base import Task

_MOST_LABELS = 20  # that are shown
_PAIRS = 3  # of texts that overlap
_EXCERPT = 100  # characters
_MEMORY = {
    "process": "Python, libraries, data",
    "weights": "weights",
    "gradients": "gradients",
    "optimizer": "optimiser states",
    "activations": "activations and working memory, longest batch",
}


def balance(task: Task, splits: Mapping[str, EncodedSplit]) -> None:
    """Print how often each label occurs in each split, the most frequent of the first first."""
    counts = {split: Counter(c for row in e.examples for c in task.counted(row)) for split, e in splits.items()}
    labels = list(dict.fromkeys(label for counter in counts.values() for label, _ in counter.most_common()))
    if not labels:
        return
    shown = labels if len(labels) <= _MOST_LABELS else [*labels[: _MOST_LABELS // 2], *labels[-_MOST_LABELS // 2 :]]
    rows = [(label, *(_part(counter[label], counter.total()) for counter in counts.values())) for label in shown]
    left_out = len(labels) - len(shown)
    if left_out:
        rows.insert(_MOST_LABELS // 2, (f"… {left_out} others …", *("" for _ in counts)))
    show.table("Labels", ["label", *counts], rows)


def volume(schedule: Schedule, ranks: int) -> None:
    """Print how much is trained on."""
    found = schedule.volume
    if found is None:
        show.note(f"\n{schedule.steps:,} steps. Their rows are read as they are needed: no tokens are known before.")
        return
    of = "" if ranks == 1 else f" on the first of {ranks} ranks"
    show.lines(
        "Training",
        {
            "steps": f"{schedule.steps:,}, {found.batches:,} batches{of}",
            "tokens": f"{found.tokens:,}{of}; {found.padded:,} are computed with, {found.waste:.1%} only fill rows up",
            "validations": f"{schedule.validations:,}",
        },
    )


def memory(measured: Measured, device: str) -> None:
    """Print what memory is for, of the process with most of it."""
    rows = [(name, f"{measured.parts.get(part, 0.0):,.0f}") for part, name in _MEMORY.items()]
    rows.append((f"needed at most ({device})", f"{measured.needed:,.0f}"))
    if "memory/peak_gpu_mb" in measured.peaks:
        rows.append(("main memory beside it", f"{measured.peaks['memory/peak_rss_mb']:,.0f}"))
    show.table("Memory of a process", ["for", "MiB"], rows)


def duration(seconds: Mapping[str, float | None], steps: int) -> None:
    """Print what takes how long."""
    entries = {name: "not known" if value is None else show.duration(value) for name, value in seconds.items()}
    known = [value for value in seconds.values() if value is not None]
    show.lines(f"Time, as {steps} steps took", {**entries, "together": f"about {show.duration(sum(known))}"})


def overlaps(found: Mapping[str, Overlap], texts: Mapping[str, Sequence[str]], threshold: float) -> None:
    """Print what of the evaluated examples is trained on, and what is trained on twice, with some examples."""
    rows = [
        (
            _in_train(split),
            len(texts[split]),
            *(_part(len(kind), len(texts[split])) for kind in (overlap.exact, overlap.near)),
        )
        for split, overlap in found.items()
    ]
    columns = ["split", "examples", "same words", f"nearly (≥ {threshold:.0%} of the words)"]
    show.table("Also in train", columns, rows)
    for split, overlap in found.items():
        for kind in (overlap.exact, overlap.near):
            for number, place in list(kind.items())[:_PAIRS]:
                show.note(f"  {split} {number + 1:,}: {_excerpt(texts[split][number])}")
                show.note(f"  train {place + 1:,}: {_excerpt(texts['train'][place])}\n")


def _in_train(split: str) -> str:
    return "train, earlier" if split == "train" else split


def _part(count: int, whole: int) -> str:
    return f"{count:,} ({count / max(whole, 1):.1%})"


def _excerpt(text: str) -> str:
    return show.cut(" ".join(text.split()), _EXCERPT)
