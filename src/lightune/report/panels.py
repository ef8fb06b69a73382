"""Panels of Weights & Biases for comparing runs, in sections that a workspace and a report share.

wandb-workspaces is imported with this module, and takes seconds: nothing but `lightune.report.workspace` imports it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces import expr
from wandb_workspaces.reports.v2.interface import BlockTypes, PanelTypes

from lightune.objective import metric_mode
from lightune.report.runs.folder import Run
from lightune.report.runs.systems import differing

STEP, TOKENS = "trainer/global_step", "train/tokens"  # what curves are drawn against; Lightning's logger adds the first
_TITLES = {STEP: "optimiser step", TOKENS: "tokens trained on"}
_COSTS = {
    "time/train_s": "seconds of training",
    "memory/peak_rss_mb": "peak memory, MiB",
    "memory/peak_gpu_mb": "peak GPU memory, MiB",
}
_HEALTH = ("train/grad_norm", "speed/tokens_per_s", "data/padding")
_SETTINGS = 8  # axes of parallel coordinates beside those of metrics
_RUNS = 40  # lines of a plot

Sections: TypeAlias = dict[str, list[PanelTypes]]


class Setting(wr.ParallelCoordinatesPlotColumn):
    """A column of a key of the configuration, which our runs log flat: ``optimizer.lr`` is one name, not two levels."""

    def _to_model(self):  # type: ignore[no-untyped-def]  # of a class without types
        model = super()._to_model()
        assert isinstance(self.metric, wr.Config)
        model.accessor = f"config:{self.metric.name}.value"
        return model


def sections(runs: Sequence[Run]) -> Sections:
    """Return heading → panels, each of what at least one of the runs has logged.

    Args:
        runs: As they lie in their folders.
    """
    metrics = list(dict.fromkeys(name for run in runs for name in run.headline))
    logged = {name for run in runs for row in run.history for name in row}
    measured = {name for run in runs for name in run.metrics}
    found: Sections = {
        "Quality": [*_curves([f"val/{name}" for name in metrics], logged)],
        "Loss": [*_curves(["train/loss", "val/loss"], logged)],
        "Learning rates": [*_curves(sorted(name for name in logged if name.startswith("lr-")), logged, [STEP])],
        "Training": [*_curves(_HEALTH, logged, [STEP])],
        "Quality and cost": [*_against_parameters(metrics, measured), *_bars(measured)],
        "Examples": [*_examples(runs)],
        "Settings": [*_settings(runs, metrics, measured), wr.RunComparer(diff_only="split")],
    }
    return {title: _placed(panels) for title, panels in found.items() if panels}


def workspace(content: Sections, entity: str, project: str, name: str) -> ws.Workspace:
    """Return a saved view of a project: the sections beside its runs, which are grouped as they were logged."""
    return ws.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[ws.Section(name=title, panels=panels, is_open=True) for title, panels in content.items()],
        settings=ws.WorkspaceSettings(x_axis=STEP, max_runs=_RUNS),
        runset_settings=ws.RunsetSettings(groupby=[expr.Metric("Group")]),
    )


def report(content: Sections, entity: str, project: str, name: str) -> wr.Report:
    """Return a report: a heading and a grid of panels for each section.

    Its runs are those of its own project, which their set does not name: building one that does asks the server.
    """
    blocks: list[BlockTypes] = [
        wr.TableOfContents(),
        wr.P("Runs are grouped; a group's line is its mean. What is best, and why, is yours to write here."),
    ]
    for title, panels in content.items():
        runs = wr.Runset(name="Runs", groupby=["group"])
        blocks += [wr.H2(title), wr.PanelGrid(runsets=[runs], panels=panels, hide_run_sets=title != "Settings")]
    return wr.Report(entity=entity, project=project, title=name, blocks=blocks, width="fluid")


def _curves(names: Iterable[str], logged: set[str], axes: Sequence[str] = (STEP, TOKENS)) -> Iterator[wr.LinePlot]:
    """Yield plots of what is logged in the course of a run; the step is logged with everything."""
    for name in names:
        for axis in axes:
            if name in logged and axis in {STEP, *logged}:
                yield wr.LinePlot(
                    title=name, x=axis, y=[name], title_x=_TITLES[axis], max_runs_to_show=_RUNS, log_y="loss" in name
                )


def _against_parameters(metrics: Iterable[str], measured: set[str]) -> Iterator[wr.ScatterPlot]:
    for metric in metrics:
        if f"test/{metric}" in measured:
            yield wr.ScatterPlot(
                title=f"test/{metric} against trained parameters",
                x=wr.SummaryMetric("params/trainable"),
                y=wr.SummaryMetric(f"test/{metric}"),
                log_x=True,
            )


def _bars(measured: set[str]) -> Iterator[wr.BarPlot]:
    for name, title in _COSTS.items():
        if name in measured:
            yield wr.BarPlot(title=title, metrics=[name], max_bars_to_show=_RUNS)


def _examples(runs: Sequence[Run]) -> Iterator[wr.MediaBrowser | wr.WeavePanelSummaryTable]:
    """Yield the pictures of the test examples, and the predictions of which the worst come first."""
    drawn = {path.stem.removeprefix("test_") for run in runs for path in run.folder.glob("test_*.png")}
    if drawn:
        yield wr.MediaBrowser(title="pictures", media_keys=[f"test/{name}_picture" for name in sorted(drawn)])
    if any(run.metrics for run in runs):
        yield wr.WeavePanelSummaryTable(table_name="test/predictions")


def _settings(runs: Sequence[Run], metrics: Iterable[str], measured: set[str]) -> Iterator[wr.ParallelCoordinatesPlot]:
    """Yield how the settings in which runs differ go together with what came out."""
    keys = [key for key, values in differing(runs).items() if all(isinstance(v, (int, float, str)) for v in values)]
    settings = [Setting(wr.Config(key), key) for key in sorted(keys, key=_telling)[:_SETTINGS]]
    results = [
        wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(name), name, inverted=metric_mode(name) == "min")
        for name in (f"val/{metric}" for metric in metrics)
        if name in measured
    ]
    if settings and results:
        yield wr.ParallelCoordinatesPlot(title="settings and results", columns=[*settings, *results])


def _telling(key: str) -> tuple[bool, str]:
    """Return what keys are sorted by: what is searched most often first."""
    return not key.startswith(("optimizer.", "scheduler.", "data.", "trainer.")), key


def _placed(panels: Sequence[Any]) -> list[PanelTypes]:
    """Return panels in rows of three, as a report places them; a workspace places them itself."""
    for number, panel in enumerate(panels):
        panel.layout = wr.Layout(x=number % 3 * 8, y=number // 3 * 6, w=8, h=6)
    return [*panels]
