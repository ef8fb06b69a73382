"""Weights & Biases, which must never be the reason why a run fails."""

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightune import machine
from lightune.report import show
from lightune.report.forgiving import Forgiving

if TYPE_CHECKING:  # torch, which a study does not need
    from lightning.pytorch.loggers import WandbLogger

    from lightune.report.findings import Findings, Rows
    from lightune.report.guarded import Guarded


def logger(offline: bool | None = None, save_dir: str = ".", model: bool = True, **options: Any) -> "Guarded":
    """Return Lightning's W&B logger, guarded; offline where there is no login, with a hint how to sync.

    In a run folder that has a W&B run already, that one is continued.

    Args:
        offline: True or False as the user wants it; None decides by the login.
        save_dir: The run folder.
        model: Whether the folder ``model/`` becomes an artifact.
        **options: Further arguments of the logger and of ``wandb.init``.
    """
    from lightning.pytorch.loggers import WandbLogger

    from lightune.report.guarded import Guarded

    offline = is_offline(offline)
    if offline and machine.is_first_process():
        folder = shlex.quote(str(Path(save_dir) / "wandb"))
        show.note(f"W&B: recorded offline. To upload it later: wandb login, then wandb sync {folder}/offline-run-*")
    own = WandbLogger(
        offline=offline, save_dir=save_dir, **{"id": _earlier_id(Path(save_dir)), **options, **_of_a_study()}
    )
    return Guarded("wandb", lambda: (own, WandbSink(own, model)))


@dataclass(frozen=True)
class WandbSink:
    """Logs tables, pictures, and artifacts with their lineage.

    Args:
        logger: Lightning's.
        model: Whether the model becomes an artifact.
    """

    logger: "WandbLogger"
    model: bool

    def begin(self, parameters: Mapping[str, Any]) -> None:
        """Log the configuration and the environment."""
        self.logger.log_hyperparams(dict(parameters))

    def conclude(self, findings: "Findings") -> None:
        """Log what the run found."""
        import wandb

        tables = {f"test/{name}": _table(rows) for name, rows in findings.tables.items() if rows}
        pictures = {f"test/{name}_picture": wandb.Image(str(path)) for name, path in findings.pictures.items()}
        media: dict[str, Any] = {**tables, **pictures}
        self.logger.log_metrics(media, findings.step)
        run, lineage = self.logger.experiment, dict(findings.model.lineage)
        results = wandb.Artifact(f"results-{run.id}", type="results", metadata=lineage)
        for path in findings.files():
            results.add_file(str(path), policy="immutable", skip_cache=True)
        run.log_artifact(results)
        if self.model and findings.model.folder.is_dir():
            model = wandb.Artifact(f"model-{run.id}", type="model", metadata=lineage)
            model.add_dir(str(findings.model.folder), policy="immutable", skip_cache=True)
            run.log_artifact(model)


def _table(rows: "Rows") -> Any:
    """Return rows as W&B shows them; a column may hold several types."""
    import wandb

    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[row.get(name) for name in names] for row in rows]
    return wandb.Table(columns=[*names], data=cells, allow_mixed_types=True)


def _of_a_study() -> dict[str, str]:
    """Return how a trial is called, so that a study is one group; nothing for other runs."""
    trial = machine.trial()
    return {"group": trial["study"], "name": trial["trial"], "job_type": "trial"} if trial else {}


def _earlier_id(run_dir: Path) -> str | None:
    """Return the id of the last W&B run that was recorded in a run folder: its folder's name ends with it."""
    names = [folder.name.removeprefix("offline-") for folder in (run_dir / "wandb").glob("*run-*-*")]
    return max(names).rpartition("-")[2] if names else None


def is_offline(wanted: bool | None) -> bool:
    """Return whether a run is recorded on this machine alone: as the user wants it, else where there is no login."""
    return (os.environ.get("WANDB_MODE") == "offline" or not has_login()) if wanted is None else wanted


@contextmanager
def finished() -> Iterator[None]:
    """End this process's W&B run, if there is one, with the block: the next job of a multirun begins its own."""
    status = 1
    try:
        yield
        status = 0
    finally:
        wandb = sys.modules.get("wandb")
        if wandb is not None and wandb.run is not None:
            with Forgiving("wandb")():
                wandb.finish(exit_code=status)


def has_login() -> bool:
    """Whether an API key is known: in the environment, or in the netrc file where ``wandb login`` puts it."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        hosts = netrc(os.environ.get("NETRC")).hosts.items()
    except (OSError, NetrcParseError):
        return False
    return any("wandb" in host and password for host, (_, _, password) in hosts)
