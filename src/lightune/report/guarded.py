"""Loggers that cannot end a run, whatever happens to them."""

from argparse import Namespace
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Protocol

from lightning.fabric.loggers.logger import _DummyExperiment
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from lightune.report.findings import Findings
from lightune.report.forgiving import Forgiving
from lightune.report.tensorboard import TensorBoardSink


class Sink(Protocol):
    """What a logger takes besides numbers that come step by step."""

    def begin(self, parameters: Mapping[str, Any]) -> None:
        """Take the run's configuration and environment, flat."""

    def conclude(self, findings: Findings) -> None:
        """Take what the run found."""


class Guarded(Logger):
    """A logger whose failures end nothing: the first one is said, and what it lacks is in ``history.csv``.

    It is made when it is first needed, by the first rank alone, so that a refused command has left nothing. The numbers
    of a step reach it together.

    Args:
        label: What the configuration calls it.
        make: Returns the logger itself, and what takes the rest for it; None: it takes numbers alone.
    """

    def __init__(self, label: str, make: Callable[[], tuple[Logger, Sink | None]]) -> None:
        super().__init__()
        self._forgiving = Forgiving(label)
        self._make = make
        self._step: int | None = None
        self._metrics: dict[str, float] = {}

    @cached_property
    def _made(self) -> tuple[Logger, Sink | None]:
        return self._make()

    @property
    def inner(self) -> Logger:
        """The logger itself."""
        return self._made[0]

    def _try(self, action: Callable[[], Any], again: bool = False) -> Any:
        """Return what an action returns; None where it fails, or where the last failure took long.

        Args:
            action: Something with the logger.
            again: Whether it is tried in any case.
        """
        if again or not self._forgiving.waits:
            with self._forgiving():
                return action()
        return None

    @property
    def name(self) -> str:
        """Return what the configuration calls it."""
        return self._forgiving.name

    @property
    def version(self) -> str:
        """Return nothing: the run folder is the version."""
        return ""

    @property
    def experiment(self) -> Any:
        """The library's own object; one that does nothing on other ranks, and where there is none."""
        own = self._try(self._experiment)
        return _DummyExperiment() if own is None else own

    @rank_zero_only
    def _experiment(self) -> Any:
        return getattr(self.inner, "experiment", None)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add numbers to those of a step."""
        if step != self._step:
            self._try(self._send)
            self._step, self._metrics = step, {}
        self._metrics.update(metrics)

    def _send(self) -> None:
        metrics, self._metrics = self._metrics, {}
        if metrics:
            self.inner.log_metrics(metrics, self._step)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Log what the run is: its configuration and environment, flat."""
        self._try(lambda: self._begin(params, *args, **kwargs))

    def _begin(self, params: Any, *args: Any, **kwargs: Any) -> None:
        inner, sink = self._made
        if sink is None:
            inner.log_hyperparams(params, *args, **kwargs)
        else:
            sink.begin(params)

    @rank_zero_only
    def conclude(self, findings: Callable[[], Findings]) -> None:
        """Log what the run found, after its numbers."""
        self._try(self._send, again=True)
        self._try(lambda: self._conclude(findings), again=True)

    def _conclude(self, findings: Callable[[], Findings]) -> None:
        _, sink = self._made
        if sink is not None:
            sink.conclude(findings())

    @rank_zero_only
    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Tell of a checkpoint."""
        self._try(lambda: self.inner.after_save_checkpoint(checkpoint_callback))

    @rank_zero_only
    def save(self) -> None:
        """Log the step's numbers."""
        self._try(self._save)

    def _save(self) -> None:
        self._send()
        self.inner.save()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Log the last step's numbers, and end."""
        self._try(self._send)
        self._try(lambda: self.inner.finalize(status))


def guarded(logger: Logger, label: str) -> Guarded:
    """Return a logger guarded; one that is, as it is.

    Args:
        logger: Any of Lightning's, or of one's own.
        label: What the configuration calls it.
    """
    if isinstance(logger, Guarded):
        return logger
    sink = TensorBoardSink(logger) if isinstance(logger, TensorBoardLogger) else None
    return Guarded(label, lambda: (logger, sink))
