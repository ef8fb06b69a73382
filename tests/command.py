"""``train.py`` and ``eval.py`` run inside the test's own process: what they print, and the status they end with.

A command goes through everything that the real one goes through, from the command line to the exit status, without the
seconds that a new Python spends on importing torch.
"""

import contextlib
import io
import logging
import os
import runpy
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from lightune import cli

ROOT = Path(__file__).resolve().parent.parent
# The smallest run that still trains, validates, tests and leaves everything behind.
SMALL_RUN = (
    "model=tiny",
    "trainer=cpu",
    "trainer.max_epochs=1",
    "data.batch_size=8",
    "data.limit={train: 16, val: 8, test: 8}",
    "callbacks.progress_bar=null",
)


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Args:
        status: Exit status.
        out: What it printed.
        err: What it printed to standard error.
    """

    status: int
    out: str
    err: str


def run(script: str, arguments: Sequence[str], folder: Path) -> Outcome:
    """Run ``python <script>.py <arguments>`` in a folder, within this process.

    Args:
        script: ``train`` or ``eval``.
        arguments: As the shell would hand them over.
        folder: Working directory.
    """
    out, err = io.StringIO(), io.StringIO()
    status: object = 0
    with (
        _process_of_its_own(folder, [str(ROOT / f"{script}.py"), *arguments]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as end:
            status = end.code
    return Outcome(status if isinstance(status, int) else int(status is not None), out.getvalue(), err.getvalue())


def composed(*overrides: str, config: str = "train") -> DictConfig:
    """Return the configuration that a command composes, before it is looked at.

    Args:
        *overrides: As typed.
        config: ``train`` or ``eval``.
    """
    cli.register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose(config, list(overrides))


@contextlib.contextmanager
def _process_of_its_own(folder: Path, command: list[str]) -> Iterator[None]:
    """Put back afterwards what a process has only one of."""
    environment, argv, here = dict(os.environ), sys.argv, Path.cwd()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    sys.argv = command
    os.chdir(folder)
    try:
        with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
            # Hydra composes everything once more, a sixth of a small run's time, to find a `hydra.mode` that no file of
            # conf/ sets. Commands that tests start as processes do it.
            patch.setattr(Hydra, "get_mode", lambda *args, **kwargs: None)
            yield
    finally:
        os.chdir(here)
        sys.argv = argv
        os.environ.clear()
        os.environ.update(environment)
        root.handlers[:], root.level = handlers, level
        GlobalHydra.instance().clear()
        HydraConfig.instance().cfg = None


@cache
def trained(folder: Path, *arguments: str) -> Path:
    """Return the folder of a small finished run, made once for all tests of this process that ask for the same.

    Args:
        folder: Where it may lie; shared by these tests.
        *arguments: Overrides besides `SMALL_RUN`.
    """
    place = folder / f"run{len(list(folder.iterdir()))}"
    outcome = run("train", [*SMALL_RUN, *arguments, f"run_dir={place}"], folder)
    assert outcome.status == 0, outcome.err
    return place
