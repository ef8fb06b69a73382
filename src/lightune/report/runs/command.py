"""``python report.py runs/a runs/b``: one page of runs, and their results as tables for documents."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from lightune.errors import UserError
from lightune.report import show
from lightune.report.artefacts import write_text
from lightune.report.page import Section, page
from lightune.report.runs import classes, comparison, costs, curves, examples, exports, table
from lightune.report.runs.found import Found, find
from lightune.report.runs.tested import Tested, tested_together

_NAME = "report.html"
_IN_A_STUDY = "runs.html"  # whose own report has the other name
_OF_A_STUDY = "trials.csv"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the report of runs; what a user can mend ends in one message and status 1.

    Args:
        arguments: Of the command line; None: those of this process.
    """
    parser = argparse.ArgumentParser(description="Write one page that shows and compares runs.")
    parser.add_argument("folders", type=Path, nargs="+", help="run folders, or folders with runs below them")
    parser.add_argument("--output", type=Path, help=f"the page; otherwise {_NAME} in the folder that all runs share")
    parser.add_argument("--markdown", type=Path, help="the results as Markdown; otherwise beside the page")
    parser.add_argument("--latex", type=Path, help="the results as LaTeX; otherwise beside the page")
    typed = parser.parse_args(arguments)
    try:
        write(typed.folders, typed.output, typed.markdown, typed.latex)
    except UserError as error:
        sys.exit(f"\nlightune: {error}")


def write(
    folders: Sequence[Path], output: Path | None = None, markdown: Path | None = None, latex: Path | None = None
) -> Path:
    """Write a report and return its place; nothing is written before all of it is there.

    Args:
        folders: Of runs, or with runs below them.
        output: The page; None: ``report.html`` in the folder that all runs share, ``runs.html`` in that of a study.
        markdown: The results as Markdown; None: beside the page.
        latex: The results as LaTeX; None: beside the page.

    Raises:
        DataError: There is no run, or none that can be read.
    """
    found = find(folders)
    name = _IN_A_STUDY if (found.folder / _OF_A_STUDY).is_file() else _NAME
    place = (output or found.folder / name).absolute()
    sets = tested_together(found.runs)
    written = {
        markdown or place.with_suffix(".md"): exports.markdown(sets),
        latex or place.with_suffix(".tex"): exports.latex(sets),
        place: page(f"Runs in {found.folder.name}", _lead(found, sets), list(sections(found, sets, place))),
    }
    for path, text in written.items():
        write_text(path, text)
    for problem in found.skipped:
        show.note(f"Left out: {problem}")
    show.note(f"{len(found.runs)} runs: {', '.join(map(str, reversed(written)))}")
    return place


def _lead(found: Found, sets: Sequence[Tested]) -> str:
    systems = ", ".join(f"{len(each.systems)} of {each.title}" for each in sets)
    return (
        f"{len(found.runs)} runs below {found.folder}. Systems, runs that differ in seed or fold alone: {systems or 0}."
    )


def sections(found: Found, sets: Sequence[Tested], place: Path) -> Iterator[Section]:
    """Yield what a report consists of, from top to bottom."""
    yield table.runs(found, place)
    for task, runs in found.tasks.items():
        yield table.settings(task, runs)
    for tested in sets:
        yield from comparison.sections(tested)
    for task, runs in found.tasks.items():
        yield curves.section(task, runs)
    yield costs.section(found.runs)
    for tested in sets:
        yield from classes.sections(tested)
        if differences := examples.section(tested):
            yield differences
    yield table.files(found, place)
