"""The table of results as Markdown and as LaTeX, for documents."""

from collections.abc import Iterator, Sequence
from statistics import fmean

from lightune.report.runs.comparison import interval_text, intervals, ranked
from lightune.report.runs.systems import System
from lightune.report.runs.tested import Tested

_SPECIAL = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "\n": " ",
    }
)


def markdown(sets: Sequence[Tested]) -> str:
    """Return a table of each test set."""
    return "\n".join(_markdown(each) for each in sets)


def _markdown(tested: Tested) -> str:
    columns, *rows = _rows(tested)
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *([_one_line(text) for text in row] for row in rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"**{_one_line(tested.title)}**, test, {tested.examples:,} examples\n\n{table}\n"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def latex(sets: Sequence[Tested]) -> str:
    """Return a table of each test set, for the package booktabs."""
    return "\n".join(_latex(each) for each in sets)


def _latex(tested: Tested) -> str:
    columns, *rows = ([text.translate(_SPECIAL) for text in row] for row in _rows(tested))
    lines = [
        f"% {' '.join(tested.title.split())}, test, {tested.examples} examples; needs \\usepackage{{booktabs}}",
        f"\\begin{{tabular}}{{l{'r' * (len(columns) - 1)}}}",
        "\\toprule",
        f"{' & '.join(columns)} \\\\",
        "\\midrule",
        *(f"{' & '.join(row)} \\\\" for row in rows),
        "\\bottomrule",
        "\\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _rows(tested: Tested) -> Iterator[list[str]]:
    """Yield the names of the columns, and a row for each system, the best first."""
    metrics = tested.headline
    yield ["system", "runs", *metrics, "trained parameters"]
    for system in ranked(tested.systems, metrics[0]):
        yield [system.label, str(len(system.runs)), *(_value(system, metric) for metric in metrics), _trained(system)]


def _value(system: System, metric: str) -> str:
    found = intervals(system, metric)
    return interval_text(found) if found else ""


def _trained(system: System) -> str:
    values = system.values("params/trainable")
    return f"{fmean(values):,.0f}" if values else ""
