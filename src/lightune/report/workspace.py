"""``python -m lightune.report.workspace runs/ner --entity me``: a W&B workspace and a report to compare runs in.

Panels name what the given runs have logged, so that none of them stays empty. Nothing is sent before both are there.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightune.errors import ConfigError, UserError
from lightune.report import show
from lightune.report.artefacts import write_json
from lightune.report.runs.folder import Run
from lightune.report.runs.found import find
from lightune.report.wandb import has_login

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import Report
    from wandb_workspaces.workspaces import Workspace


def main(arguments: Sequence[str] | None = None) -> None:
    """Save both, or write what would be saved; what a user can mend ends in one message and status 1.

    Args:
        arguments: Of the command line; None: those of this process.
    """
    parser = argparse.ArgumentParser(
        prog="python -m lightune.report.workspace", description="Save a W&B workspace and a report for comparing runs."
    )
    parser.add_argument("folders", type=Path, nargs="+", help="run folders, or folders with runs below them")
    parser.add_argument("--entity", required=True, help="the user or team that the project belongs to")
    parser.add_argument("--project", default="lightune", help="where the runs are; as in logger=wandb: %(default)s")
    parser.add_argument("--name", help="of both; otherwise after the runs' tasks")
    parser.add_argument("--dry-run", action="store_true", help="look only whether both can be built: nothing is sent")
    parser.add_argument("--output", type=Path, help="a JSON file for what would be sent; with it nothing is sent")
    try:
        _made(parser.parse_args(arguments))
    except UserError as error:
        sys.exit(f"\nlightune: {error}")


def _made(typed: argparse.Namespace) -> None:
    if not typed.entity:
        raise ConfigError("--entity: expected a user or a team of W&B", "type --entity me, or make workspace ENTITY=me")
    runs = find(typed.folders).runs
    name = typed.name or f"Comparison of {', '.join(dict.fromkeys(run.task for run in runs))}"
    workspace, report = build(runs, typed.entity, typed.project, name)
    if typed.output:
        write_json(typed.output, serialised(workspace, report))
        show.note(f"Written, and not sent: {typed.output}")
    elif typed.dry_run:
        panels = sum(len(section.panels) for section in workspace.sections)
        show.note(f"{len(workspace.sections)} sections with {panels} panels can be built. Nothing was sent.")
    else:
        _save(workspace, report)


def build(runs: Sequence[Run], entity: str, project: str, name: str) -> "tuple[Workspace, Report]":
    """Return a workspace and a report with the same panels, for what runs have logged; a server is not asked.

    Args:
        runs: That have been logged to the project, or others like them.
        entity: The user or team that the project belongs to.
        project: Where the runs are.
        name: Of both.

    Raises:
        ConfigError: wandb-workspaces is not installed.
    """
    try:
        from lightune.report import panels
    except ImportError as error:
        remedy = "pip install 'lightune[wandb]'"
        raise ConfigError("wandb-workspaces, which builds workspaces, is not installed", remedy) from error
    sections = panels.sections(runs)
    return panels.workspace(sections, entity, project, name), panels.report(sections, entity, project, name)


def serialised(workspace: "Workspace", report: "Report") -> dict[str, Any]:
    """Return both as they would be sent."""
    models = {"workspace": workspace._to_model(), "report": report._to_model()}  # there is no public way
    return {name: model.model_dump(mode="json", by_alias=True, exclude_none=True) for name, model in models.items()}


def _save(workspace: "Workspace", report: "Report") -> None:
    hint = "with --output spec.json it is written to a file, and nothing is sent"
    if os.environ.get("WANDB_MODE") == "offline" or not has_login():
        raise ConfigError("W&B: there is no login", f"wandb login; {hint}")
    from wandb.errors import Error

    try:
        for each in (workspace, report):
            each.save()
            show.note(f"Saved: {each.url}")
    except (Error, OSError, ValueError) as error:  # errors of HTTP are OSErrors
        raise ConfigError(
            f"W&B did not take it: {error}", f"look at the login, --entity and --project; {hint}"
        ) from error


if __name__ == "__main__":
    main()
