"""What there is to see in a data set, as pictures and on a page."""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightune.forecast import charts
from lightune.forecast.facts import Facts, Pair
from lightune.report import show
from lightune.report.artefacts import write_text, written_whole
from lightune.report.page import Cell, Picture, Section, Table, page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PAIRS = 500  # that are shown
_LONGEST = 600  # characters of a text
_NAME = "data.html"


def write(folder: Path, title: str, seen: Facts, overlaps: Sequence[Pair]) -> Path:
    """Write a PNG for each picture, and a page that holds all of them; return the page's place.

    Args:
        folder: Where they go.
        title: Of the page.
        seen: What is to be seen of the data.
        overlaps: Examples that are trained on, once more or before they are evaluated.
    """
    drawn = {name: _png(figure) for name, figure in pictures(seen).items()}
    for name, png in drawn.items():
        with written_whole(folder / f"{name}.png") as unfinished:
            unfinished.write_bytes(png)
    sizes = ", ".join(f"{count:,} of {split}" for split, count in seen.examples.items())
    write_text(folder / _NAME, page(title, f"Examples: {sizes}.", [*_sections(seen, drawn, overlaps)]))
    return folder / _NAME


def pictures(seen: Facts) -> dict[str, "Figure"]:
    """Return name → picture, of what there is."""
    drawn = {"lengths": charts.histogram(seen.lengths, "tokens of a feature", seen.limit)}
    if seen.labels:
        drawn["labels"] = charts.balance(seen.labels)
    for name, values in seen.numbers.items():
        drawn[_file(name)] = charts.histogram(values, name)
    if any(seen.words.values()):
        drawn["words"] = charts.words(seen.words)
    return drawn


def _file(name: str) -> str:
    return "_".join(name.split())


def _png(figure: "Figure") -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    return content.getvalue()


def _sections(seen: Facts, drawn: Mapping[str, bytes], overlaps: Sequence[Pair]) -> Iterator[Section]:
    shown = {name: [Picture(png, name)] for name, png in drawn.items()}
    text = f"Tokens of each feature, before anything is cut off at {seen.limit:,}."
    yield Section("Lengths", text, pictures=shown["lengths"], table=_lengths(seen))
    if seen.labels:
        yield Section("Labels", "How often each is there.", pictures=shown["labels"], table=_labels(seen))
    for name in seen.numbers:
        yield Section(name.capitalize(), pictures=shown[_file(name)])
    if "words" in shown:
        text = f"What stands with a label in {next(iter(seen.examples))} more often than with the others."
        yield Section("Words of labels", text, pictures=shown["words"], table=_words(seen))
    if "train" in seen.examples:
        yield _overlaps(overlaps)


def _lengths(seen: Facts) -> Table:
    columns = ["split", "features", "median", "95 %", "longest", "examples cut off"]
    return Table(columns, [_lengths_of(split, lengths, seen) for split, lengths in seen.lengths.items() if lengths])


def _lengths_of(split: str, lengths: Sequence[int], seen: Facts) -> list[Cell]:
    quantiles = (float(np.quantile(lengths, share)) for share in (0.5, 0.95, 1))
    return [
        Cell(split),
        _number(len(lengths)),
        *map(_number, quantiles),
        _part(seen.truncated[split], seen.examples[split]),
    ]


def _labels(seen: Facts) -> Table:
    names = dict.fromkeys(label for each in seen.labels.values() for label, _ in each.most_common())
    rows = [[Cell(label), *(_part(each[label], each.total()) for each in seen.labels.values())] for label in names]
    return Table(["label", *seen.labels], rows, filtered=True)


def _words(seen: Facts) -> Table:
    rows = [[Cell(label), Cell(", ".join(word for word, _ in scored))] for label, scored in seen.words.items()]
    return Table(["label", "words"], rows, filtered=True)


def _overlaps(found: Sequence[Pair]) -> Section:
    title, where = "Also in train", "among the training examples, word for word or nearly"
    if not found:
        return Section(title, f"No evaluated example stands {where}; none of these repeats an earlier one.")
    evaluated = sum(each.split != "train" for each in found)
    again = f"{len(found) - evaluated:,} training examples repeat an earlier one."
    text = f"Of what is evaluated {evaluated:,} examples stand {where}; {again}"
    some = f" The first {_PAIRS} are shown." if len(found) > _PAIRS else ""
    columns = ["split", "example", "shared words", "text", "train", "its text"]
    table = Table(columns, [_pair(each) for each in found[:_PAIRS]], filtered=True)
    return Section(title, text + some, table=table)


def _pair(found: Pair) -> list[Cell]:
    return [
        Cell(found.split),
        _number(found.number + 1),
        Cell(f"{found.shared:.0%}", found.shared),
        _excerpt(found.text),
        _number(found.place + 1),
        _excerpt(found.other),
    ]


def _excerpt(text: str) -> Cell:
    return Cell(show.cut(text, _LONGEST))


def _number(value: float) -> Cell:
    return Cell(f"{value:,.0f}", value)


def _part(count: int, whole: int) -> Cell:
    return Cell(f"{count:,} ({count / max(whole, 1):.1%})", count)
