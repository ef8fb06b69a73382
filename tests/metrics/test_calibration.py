"""The reliability diagram, by hand and against the expected calibration error of torchmetrics."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from lightune.metrics.calibration import calibration_table
from lightune.report.pictures import calibration


def test_by_hand() -> None:
    rows = calibration_table([0.61, 0.65, 0.99, 1.0], [True, False, True, True])
    assert [row["examples"] for row in rows] == [2, 2]
    assert [row["confidence"] for row in rows] == pytest.approx([0.63, 0.995])
    assert [row["accuracy"] for row in rows] == [0.5, 1.0]
    assert [bound for row in rows for bound in (row["from"], row["to"])] == pytest.approx(
        [9 / 15, 10 / 15, 14 / 15, 1.0]
    )
    assert calibration_table([], []) == []


def test_it_sums_up_to_the_expected_calibration_error() -> None:
    draw = np.random.default_rng(0)
    scores = draw.dirichlet(np.ones(4), 500)
    targets = draw.integers(0, 4, 500)
    rows = calibration_table(scores.max(1).tolist(), (scores.argmax(1) == targets).tolist())
    error = sum(row["examples"] * abs(row["accuracy"] - row["confidence"]) for row in rows) / 500
    tensors = torch.from_numpy(scores), torch.from_numpy(targets)
    assert error == pytest.approx(float(multiclass_calibration_error(*tensors, 4, n_bins=15)), abs=1e-6)


def test_bars_are_as_high_as_the_share_of_right_answers() -> None:
    axes = calibration(calibration_table([0.61, 0.65, 0.99, 1.0], [True, False, True, True])).axes[0]
    bars = axes.patches
    assert [bar.get_height() for bar in bars] == [0.5, 1.0]  # type: ignore[attr-defined]
    assert [bar.get_x() for bar in bars] == pytest.approx([9 / 15, 14 / 15])  # type: ignore[attr-defined]
