"""Weights & Biases, which must never be the reason why a run fails."""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightune import machine
from lightune.errors import ConfigError
from lightune.report import show

if TYPE_CHECKING:
    from lightning.pytorch.loggers import WandbLogger


def logger(offline: bool | None = None, save_dir: str = ".", **options: Any) -> "WandbLogger":
    """Return Lightning's W&B logger; offline where there is no login, with a hint how to sync.

    In a run folder that has a W&B run already, that one is continued.

    Args:
        offline: True or False as the user wants it; None decides by the login.
        save_dir: The run folder.
        **options: Further arguments of the logger and of ``wandb.init``.

    Raises:
        ConfigError: wandb is not installed.
    """
    try:
        import wandb  # noqa: F401  # only to see whether it is there
    except ImportError as error:
        raise ConfigError("logger=wandb: wandb is not installed", "pip install 'lightune[wandb]'") from error
    from lightning.pytorch.loggers import WandbLogger

    offline = is_offline(offline)
    if offline and machine.is_first_process():
        folder = shlex.quote(str(Path(save_dir) / "wandb"))
        show.note(f"W&B: recorded offline. To upload it later: wandb login, then wandb sync {folder}/offline-run-*")
    return WandbLogger(
        offline=offline, save_dir=save_dir, **{"id": _earlier_id(Path(save_dir)), **options, **_of_a_study()}
    )


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
