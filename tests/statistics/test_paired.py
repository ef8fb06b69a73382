"""Comparisons of two systems: beside SciPy, by hand, and how often they are wrong where the truth is known."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sacrebleu.metrics import BLEU
from sacrebleu.significance import PairedTest
from scipy import stats
from sklearn.metrics import f1_score

from lightune.statistics.paired import (
    Comparison,
    Metric,
    bootstrap,
    compared,
    mcnemar,
    paired_bootstrap,
    randomisation_test,
)

SIMULATIONS = 2000
# 5 % of 2,000 simulations, and three standard deviations of what chance makes of it.
NOISE = 3 * np.sqrt(0.05 * 0.95 / SIMULATIONS)


def mean(scores: NDArray[np.float64]) -> Metric:
    return lambda drawn: scores[drawn].mean(-1)


def macro_f1(predicted: NDArray[np.int64], targets: NDArray[np.int64]) -> Metric:
    return lambda drawn: np.array([f1_score(targets[row], predicted[row], average="macro") for row in drawn])


def corpus_bleu(texts: list[str], references: list[str]) -> Metric:
    """BLEU of a corpus comes from sums of what is counted in its sentences."""
    parts = [
        BLEU(effective_order=True).sentence_score(*pair) for pair in zip(texts, [[r] for r in references], strict=True)
    ]
    counted = np.array([[*part.counts, *part.totals, part.sys_len, part.ref_len] for part in parts])

    def of(drawn: NDArray[np.intp]) -> NDArray[np.float64]:
        sums = counted[drawn].sum(1).tolist()
        return np.array([BLEU.compute_bleu(row[:4], row[4:8], row[8], row[9]).score for row in sums])

    return of


@pytest.fixture
def scores() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    random = np.random.default_rng(3)
    theirs = random.normal(0.6, 0.2, 80)
    return theirs + random.normal(0.05, 0.2, 80), theirs


def test_bootstrap_of_a_mean_agrees_with_scipy(scores: tuple[NDArray[np.float64], NDArray[np.float64]]) -> None:
    ours, theirs = scores
    found = paired_bootstrap(mean(ours), mean(theirs), 80, resamples=20_000)
    expected = stats.bootstrap((ours - theirs,), np.mean, n_resamples=20_000, method="percentile", rng=1)
    low, high = expected.confidence_interval
    assert found.difference == pytest.approx((ours - theirs).mean())
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.002)
    assert found.p == pytest.approx(stats.ttest_rel(ours, theirs).pvalue, abs=0.01)


def test_bootstrap_recomputes_what_is_no_mean() -> None:
    random = np.random.default_rng(0)
    targets = random.integers(0, 3, 60)
    good = np.where(random.random(60) < 0.9, targets, 0)
    bad = np.where(random.random(60) < 0.5, targets, 0)
    found = paired_bootstrap(macro_f1(good, targets), macro_f1(bad, targets), 60, resamples=40)
    whole = [f1_score(targets, each, average="macro") for each in (good, bad)]
    assert found.difference == pytest.approx(whole[0] - whole[1])
    assert 0 < found.low < found.difference < found.high
    assert found.p == pytest.approx(1 / 41)


def test_p_value_is_sacrebleus() -> None:
    random = np.random.default_rng(0)
    words = np.array("a b c d e f g h".split())
    references = [" ".join(random.choice(words, 12)) for _ in range(40)]
    systems = [
        [
            " ".join(random.choice(words) if random.random() < rate else word for word in text.split())
            for text in references
        ]
        for rate in (0.3, 0.4)
    ]
    bleu = BLEU(references=[references])
    ours = paired_bootstrap(corpus_bleu(systems[1], references), corpus_bleu(systems[0], references), 40, 600)
    named: list[tuple[str, Sequence[str]]] = [("base", systems[0]), ("other", systems[1])]
    found: Any
    _, found = PairedTest(named, {"BLEU": bleu}, [references], test_type="bs", n_samples=300)()
    result = found["BLEU"][1]
    assert result.score - found["BLEU"][0].score == pytest.approx(ours.difference, abs=1e-6)
    assert ours.p == pytest.approx(result.p_value, abs=0.05)


def test_the_same_seed_draws_the_same() -> None:
    values = np.arange(30.0)
    first, again, other = (bootstrap(mean(values), 30, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_resamples_do_not_depend_on_how_many_are_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(30.0)
    whole = bootstrap(mean(values), 30, resamples=50)
    monkeypatch.setattr("lightune.statistics.paired._AT_ONCE", 100)
    assert np.array_equal(bootstrap(mean(values), 30, resamples=50), whole)


@pytest.mark.parametrize("examples", [5, 12])
def test_exact_randomisation_is_scipys(examples: int) -> None:
    differences = np.random.default_rng(examples).normal(0.3, 1, examples)
    expected = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    assert randomisation_test(differences) == pytest.approx(expected.pvalue)


def test_randomisation_by_hand() -> None:
    assert randomisation_test([1, 1, 1]) == 0.25  # +++ and ---, of eight
    assert randomisation_test([1, 1, 1, 0, 0]) == 0.25
    assert randomisation_test([0, 0]) == 1
    assert randomisation_test([]) == 1


def test_drawn_randomisation_comes_close_to_the_exact_one() -> None:
    differences = np.random.default_rng(1).normal(0.3, 1, 12)
    drawn = randomisation_test(differences, resamples=4000)
    assert drawn == pytest.approx(randomisation_test(differences, resamples=10_000), abs=0.03)


def test_randomisation_of_right_and_wrong_is_the_exact_mcnemar() -> None:
    random = np.random.default_rng(2)
    ours, theirs = random.random(40) < 0.8, random.random(40) < 0.65
    discordant = int((ours != theirs).sum())
    expected = stats.binomtest(int((ours & ~theirs).sum()), discordant).pvalue
    assert discordant < 25
    assert mcnemar(ours, theirs) == pytest.approx(expected)
    assert randomisation_test(ours.astype(float) - theirs, resamples=2**discordant) == pytest.approx(expected)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (5, 5), (20, 4), (2, 7)])
def test_few_discordant_pairs_have_the_binomial_p(gained: int, lost: int) -> None:
    ours = [True] * gained + [False] * lost + [True] * 9
    theirs = [False] * gained + [True] * lost + [True] * 9
    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1
    assert mcnemar(ours, theirs) == pytest.approx(expected)


@pytest.mark.parametrize(("gained", "lost"), [(40, 20), (15, 15), (13, 12)])
def test_many_discordant_pairs_have_edwards_p(gained: int, lost: int) -> None:
    expected = stats.chi2.sf((abs(gained - lost) - 1) ** 2 / (gained + lost), 1)
    assert mcnemar([True] * gained + [False] * lost, [False] * gained + [True] * lost) == pytest.approx(expected)


def simulated(differences: NDArray[np.float64]) -> list[Comparison]:
    """Compare many pairs of systems by their means, (simulations, examples), all on the same resamples."""
    examples = differences.shape[1]

    def means(drawn: NDArray[np.intp]) -> NDArray[np.float64]:
        return np.stack([np.bincount(row, minlength=examples) for row in drawn]) @ differences.T / examples

    draws = bootstrap(means, examples, resamples=1000)
    return [compared(row.mean(), column) for row, column in zip(differences, draws.T, strict=True)]


def test_intervals_cover_the_true_difference() -> None:
    found = simulated(np.random.default_rng(0).normal(0.1, 1, size=(SIMULATIONS, 200)))
    assert 0.93 < np.mean([each.low <= 0.1 <= each.high for each in found]) < 0.97


def test_the_bootstrap_finds_equal_systems_different_in_one_of_twenty_tests() -> None:
    found = simulated(np.random.default_rng(1).normal(0, 1, size=(SIMULATIONS, 200)))
    assert np.mean([each.p <= 0.05 for each in found]) == pytest.approx(0.05, abs=NOISE)


def test_randomisation_finds_equal_systems_different_in_one_of_twenty_tests() -> None:
    draws = np.random.default_rng(0).exponential(size=(SIMULATIONS, 2, 60))
    found = [randomisation_test(ours - theirs, 199, seed) for seed, (ours, theirs) in enumerate(draws)]
    assert np.mean(np.array(found) <= 0.05) == pytest.approx(0.05, abs=NOISE)


def test_equal_shares_differ_in_no_more_than_one_of_twenty_tests() -> None:
    draws = (
        np.random.default_rng(0).random((SIMULATIONS, 2, 200)) < 0.7
    )  # counts are discrete: McNemar's test is careful
    found = np.array([mcnemar(*pair) for pair in draws])
    assert 0.02 < (found <= 0.05).mean() < 0.05 + NOISE
