"""What systems cost: speed, memory, time."""

from collections.abc import Callable, Sequence
from statistics import fmean

from lightune.report.page import Drawing, Section
from lightune.report.runs.folder import Run
from lightune.report.runs.systems import System, systems
from lightune.report.runs.table import speed

_MOST = 30  # bars of a figure


def _metric(name: str) -> Callable[[Run], float | None]:
    return lambda run: run.metrics.get(name)


_SHOWN: dict[str, Callable[[Run], float | None]] = {
    "tokens per second of training": speed,
    "seconds of training": _metric("time/train_s"),
    "peak memory, MiB": _metric("memory/peak_rss_mb"),
    "peak GPU memory, MiB": _metric("memory/peak_gpu_mb"),
}


def section(runs: Sequence[Run]) -> Section:
    """Return what each system costs, the mean of its runs."""
    parts = systems(runs)
    aside = f" The first {_MOST} of {len(parts)} systems." if len(parts) > _MOST else ""
    found = (_bars(parts[:_MOST], title, value) for title, value in _SHOWN.items())
    drawings = [drawing for drawing in found if drawing]
    if not drawings:
        return Section("Throughput and memory", "No run has ended, so nothing was measured.")
    text = f"Means over runs that differ in seed or fold alone. Other programs on the machine count too.{aside}"
    return Section("Throughput and memory", text, drawings=drawings)


def _bars(parts: Sequence[System], title: str, value: Callable[[Run], float | None]) -> Drawing | None:
    from plotly.graph_objects import Bar, Figure

    found = [
        (system, [number for run in system.runs if (number := value(run)) is not None]) for system in reversed(parts)
    ]
    shown = [(system, fmean(numbers)) for system, numbers in found if numbers]
    if not shown:
        return None
    bars = Bar(
        x=[number for _, number in shown],
        y=[system.marked for system, _ in shown],
        orientation="h",
        marker_color=[system.color for system, _ in shown],
        hovertemplate="%{y}: %{x:,.1f}<extra></extra>",
    )
    figure = Figure(bars, {"xaxis_title": title}).update_xaxes(tickformat="~s")  # 10k
    return Drawing(figure, height=110 + 30 * len(shown))
