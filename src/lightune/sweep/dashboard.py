"""Optuna's dashboard of a study, while it goes on or afterwards: python -m lightune.sweep.dashboard runs/x."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lightune.errors import ConfigError, UserError

JOURNAL = "study.journal"


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the dashboard until Ctrl-C.

    Args:
        arguments: Of the command line; None: those of this process.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, nargs="?", help="the study's folder")
    parser.add_argument("--storage", help="where it is kept, if elsewhere: as in hydra.sweeper.storage")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 lets other machines in")
    parser.add_argument("--port", type=int, default=8080)
    typed = parser.parse_args(arguments)
    try:
        serve(typed.study, typed.storage, typed.host, typed.port)
    except UserError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def serve(folder: Path | None, storage: str | None, host: str, port: int) -> None:
    """Serve the dashboard.

    Args:
        folder: Of the study, where its journal lies.
        storage: Where it is kept otherwise.
        host: Address to listen on.
        port: Number of the port.

    Raises:
        ConfigError: There is no study, the dashboard is not installed, or the port is taken.
    """
    if storage is None and (folder is None or not (folder / JOURNAL).is_file()):
        raise ConfigError(
            f"no {JOURNAL} lies in {folder}" if folder else "no study was named",
            "type STUDY=runs/<study>, or STORAGE=<what was typed as hydra.sweeper.storage>",
        )
    try:
        from optuna_dashboard import run_server
    except ImportError as error:
        raise ConfigError("optuna-dashboard is not installed", "pip install 'lightune[dashboard]'") from error
    from lightune.sweep.storage import opened

    try:
        run_server(opened(storage, folder or Path()), host=host, port=port)
    except OSError as error:
        raise ConfigError(f"--port {port} of {host}: {error.strerror}", "type another --port") from error


if __name__ == "__main__":
    main()
