"""Correlations and errors against SciPy, scikit-learn and hand arithmetic."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from lightune.metrics.regression import regression_metrics


def reference(predictions: list[float], targets: list[float]) -> dict[str, float]:
    return {
        "pearson": float(stats.pearsonr(predictions, targets).statistic),
        "spearman": float(stats.spearmanr(predictions, targets).statistic),
        "mse": sk.mean_squared_error(targets, predictions),
        "mae": sk.mean_absolute_error(targets, predictions),
    }


@pytest.mark.parametrize("size", [3, 10, 500])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_agrees_with_scipy_and_scikit_learn(size: int, ties: bool, offset: float) -> None:
    source = np.random.default_rng(size)
    targets = source.integers(0, 4, size).astype(float) if ties else source.normal(size=size)
    targets[:2] = 0.0, 1.0  # never constant
    predictions = np.round(targets + source.normal(size=size), 1 if ties else 9)
    ours = regression_metrics((predictions + offset).tolist(), (targets + offset).tolist())
    assert ours == pytest.approx(reference((predictions + offset).tolist(), (targets + offset).tolist()), abs=1e-6)


def test_by_hand() -> None:
    # Deviations -1, 0, 1 and -1, 1, 0: covariance 1, squares 2 and 2, so 1/2; the same with ranks.
    ours = regression_metrics([1.0, 2.0, 3.0], [1.0, 3.0, 2.0])
    assert ours == pytest.approx({"pearson": 0.5, "spearman": 0.5, "mse": 2 / 3, "mae": 2 / 3})


@pytest.mark.parametrize(
    ("predictions", "targets"), [([1.0, 1.0], [1.0, 2.0]), ([1.0, 2.0], [3.0, 3.0]), ([1.0], [2.0])]
)
def test_where_a_side_is_constant_there_is_no_correlation(predictions: list[float], targets: list[float]) -> None:
    ours = regression_metrics(predictions, targets)
    assert ours["pearson"] == ours["spearman"] == 0.0
    assert ours["mse"] == pytest.approx(np.mean((np.array(predictions) - targets) ** 2))


def test_no_examples() -> None:
    assert set(regression_metrics([], []).values()) == {0.0}
