"""Callbacks that Lightning lacks."""

from lightune.callbacks.averaging import WeightAveraging
from lightune.callbacks.best import BestCheckpoint
from lightune.callbacks.early_stopping import EarlyStopping
from lightune.callbacks.final_validation import FinalValidation
from lightune.callbacks.last import LastCheckpoint
from lightune.callbacks.noise import EmbeddingNoise
from lightune.callbacks.non_finite import NonFinite
from lightune.callbacks.progress import ProgressBar
from lightune.callbacks.random_state import RandomState
from lightune.callbacks.stopwatch import Stopwatch
from lightune.callbacks.telemetry import Telemetry
from lightune.callbacks.unfreezing import GradualUnfreezing

__all__ = [
    "BestCheckpoint",
    "EarlyStopping",
    "EmbeddingNoise",
    "FinalValidation",
    "GradualUnfreezing",
    "LastCheckpoint",
    "NonFinite",
    "ProgressBar",
    "RandomState",
    "Stopwatch",
    "Telemetry",
    "WeightAveraging",
]
