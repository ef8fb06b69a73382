"""Callbacks that Lightning lacks."""

from lightune.callbacks.last import LastCheckpoint
from lightune.callbacks.progress import ProgressBar
from lightune.callbacks.random_state import RandomState
from lightune.callbacks.stopwatch import Stopwatch

__all__ = ["LastCheckpoint", "ProgressBar", "RandomState", "Stopwatch"]
