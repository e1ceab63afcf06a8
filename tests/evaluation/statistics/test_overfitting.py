"""The papers' numeric examples, Monte Carlo, and a literal CSCV."""

from __future__ import annotations

import dataclasses
import math
from itertools import combinations, pairwise

import mpmath
import numpy as np
import pytest
from scipy import stats
from vectorbt.returns.metrics import approx_exp_max_sharpe, deflated_sharpe_ratio

from quantlab.core.errors import ConfigError
from quantlab.evaluation.statistics import overfitting
from quantlab.evaluation.statistics.metrics import Moments, Undefined, moments
from quantlab.evaluation.statistics.overfitting import Interval

#: Bailey and López de Prado (2014): annualised 2.5, 250 days a year, five years.
PAPER = Moments(n=1_250, mean=2.5 / math.sqrt(250), std=1.0, skew=-3.0, kurtosis=10.0)


def deflated_sharpe(m: Moments, trials: int, variance: float) -> float:
    """The deflated Sharpe ratio of the paper, made of its two parts."""
    return overfitting.probabilistic_sharpe(m, overfitting.expected_max_sharpe(trials, variance))


def test_deflated_sharpe_ratio_of_the_paper():
    variance = 0.5 / 250
    assert overfitting.expected_max_sharpe(100, variance) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(PAPER, 100, variance) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe(PAPER, 46, variance) == pytest.approx(0.9505, abs=5e-5)
    normal = Moments(1_250, PAPER.mean, 1.0, 0.0, 3.0)
    assert deflated_sharpe(normal, 88, variance) == pytest.approx(0.9505, abs=5e-5)


#: Bailey and López de Prado (2012): 24 monthly returns, Sharpe ratio 0.458 a month, 1.59 a year.
TWO_YEARS = Moments(n=24, mean=0.458, std=1.0, skew=-2.448, kurtosis=10.164)


def test_probabilistic_sharpe_ratio_of_the_paper():
    """Against 0: 98.2 % if returns were normal, 91.3 % with their skewness and kurtosis."""
    normal = dataclasses.replace(TWO_YEARS, skew=0.0, kurtosis=3.0)
    assert TWO_YEARS.sharpe * math.sqrt(12) == pytest.approx(1.59, abs=0.005)
    assert overfitting.probabilistic_sharpe(normal) == pytest.approx(0.982, abs=5e-4)
    assert overfitting.probabilistic_sharpe(TWO_YEARS) == pytest.approx(0.913, abs=5e-4)


def test_probabilistic_sharpe_ratio_in_other_algebra():
    """From central moments about zero instead of skewness and kurtosis, with 50 digits."""
    with mpmath.workdps(50):
        for seed in range(20):
            returns = np.random.default_rng(seed).standard_t(5, 300) * 0.01 + 0.0005
            m = moments(returns)
            assert isinstance(m, Moments)
            x = [mpmath.mpf(float(value)) for value in returns]
            n = len(x)
            raw = [sum(value**k for value in x) / n for k in range(1, 5)]
            mu = raw[0]
            second = raw[1] - mu**2
            third = raw[2] - 3 * mu * raw[1] + 2 * mu**3
            fourth = raw[3] - 4 * mu * raw[2] + 6 * mu**2 * raw[1] - 3 * mu**4
            ratio = mu / mpmath.sqrt(second * n / (n - 1))
            spread = 1 - third / second ** mpmath.mpf(1.5) * ratio + (fourth / second**2 - 1) / 4 * ratio**2
            z = (ratio - mpmath.mpf("0.02")) * mpmath.sqrt((n - 1) / spread)
            expected = mpmath.erfc(-z / mpmath.sqrt(2)) / 2
            assert overfitting.probabilistic_sharpe(m, 0.02) == pytest.approx(float(expected), abs=1e-12)


@pytest.mark.parametrize("trials", [2, 17, 500])
def test_deflated_sharpe_ratio_of_vectorbt(trials: int):
    """vectorbt takes independent numbers and knows nothing of ours."""
    for seed in range(10):
        m = moments(np.random.default_rng(seed).standard_t(4, 250) * 0.01 + 0.001)
        assert isinstance(m, Moments)
        theirs = deflated_sharpe_ratio(
            est_sharpe=m.sharpe,
            var_sharpe=0.003,
            nb_trials=trials,
            backtest_horizon=m.n,
            skew=m.skew,
            kurtosis=m.kurtosis,
        )
        assert deflated_sharpe(m, trials, 0.003) == pytest.approx(float(theirs), rel=1e-12)
        assert overfitting.expected_max_sharpe(trials, 0.003) == pytest.approx(
            approx_exp_max_sharpe(0.0, 0.003, trials), rel=1e-12
        )


@pytest.mark.parametrize(("per_year", "years"), [(250, 2.73), (52, 2.83), (12, 3.24)])
def test_minimum_track_record_of_the_paper(per_year: int, years: float):
    m = Moments(1_000, 2.0 / math.sqrt(per_year), 1.0, 0.0, 3.0)
    length = overfitting.min_track_record_days(m, 0.95, 1.0 / math.sqrt(per_year))
    assert isinstance(length, float)
    assert length / per_year == pytest.approx(years, abs=0.005)


def test_at_its_minimum_track_record_the_psr_is_the_confidence():
    m = Moments(500, 0.1, 1.0, -0.7, 5.0)
    length = overfitting.min_track_record_days(m, 0.95)
    assert isinstance(length, float)
    with_that_length = overfitting.sharpe_error(m) * math.sqrt((m.n - 1) / (length - 1))
    assert stats.norm.cdf(m.sharpe / with_that_length) == pytest.approx(0.95)
    assert isinstance(overfitting.min_track_record_days(Moments(500, -0.1, 1.0, 0.0, 3.0), 0.95), Undefined)


def test_psr_is_uniform_without_skill():
    worlds = np.random.default_rng(3).normal(0.0, 0.01, (2_000, 120))
    psr = np.array([overfitting.probabilistic_sharpe(m) for m in map(moments, worlds) if isinstance(m, Moments)])
    assert stats.kstest(psr, "uniform").pvalue > 0.01


def test_expected_maximum_is_the_mean_of_the_best():
    best = np.random.default_rng(4).normal(0.0, 0.05, (20_000, 50)).max(axis=1)
    assert overfitting.expected_max_sharpe(50, 0.05**2) == pytest.approx(best.mean(), rel=0.02)


def test_a_single_trial_is_not_deflated():
    assert overfitting.expected_max_sharpe(1, 0.3) == 0.0
    assert deflated_sharpe(PAPER, 1, 0.3) == overfitting.probabilistic_sharpe(PAPER)
    with pytest.raises(ConfigError):
        overfitting.expected_max_sharpe(0, 0.1)


def literal_pbo(returns: np.ndarray, blocks: int) -> float:
    """CSCV as the paper words it, one choice at a time."""

    def sharpe(x: np.ndarray) -> np.ndarray:
        std = x.std(axis=0, ddof=1)
        return np.divide(x.mean(axis=0), std, out=np.zeros_like(std), where=std > 1e-12)

    edges = np.linspace(0, len(returns), blocks + 1).astype(int)
    pieces = [returns[a:b] for a, b in pairwise(edges)]
    logits = []
    for inside in combinations(range(blocks), blocks // 2):
        best = np.argmax(sharpe(np.vstack([pieces[i] for i in inside])))
        outside = sharpe(np.vstack([pieces[i] for i in range(blocks) if i not in inside]))
        relative = stats.rankdata(outside)[best] / (returns.shape[1] + 1)
        logits.append(math.log(relative / (1 - relative)))
    return float(np.mean(np.array(logits) <= 0.0))


@pytest.mark.parametrize(("days", "trials", "blocks"), [(91, 7, 8), (40, 20, 10), (33, 2, 6), (16, 5, 16)])
def test_pbo_against_the_literal_algorithm(days: int, trials: int, blocks: int):
    returns = np.random.default_rng(days).normal(0.0003, 0.01, (days, trials))
    returns[:, -1] = 0.0  # a trial that never traded
    if blocks < 16:
        assert overfitting.backtest_overfitting(returns, blocks) == literal_pbo(returns, blocks)
    assert isinstance(overfitting.backtest_overfitting(returns, blocks), float)


def test_pbo_of_one_that_is_always_best_is_zero():
    returns = np.random.default_rng(0).normal(0.0, 0.001, (64, 10))
    returns[:, 3] += 0.01
    assert overfitting.backtest_overfitting(returns, 8) == 0.0


def test_pbo_of_what_only_works_once_is_high():
    # Every trial earns in its own block and gives it back evenly elsewhere: the chosen one was lucky.
    returns = np.full((64, 8), -0.001) + np.random.default_rng(1).normal(0, 1e-4, (64, 8))
    for trial in range(8):
        returns[8 * trial : 8 * (trial + 1), trial] += 0.008
    pbo = overfitting.backtest_overfitting(returns, 8)
    assert isinstance(pbo, float)
    assert pbo > 0.9


def test_pbo_of_pure_noise_is_about_one_half():
    rng = np.random.default_rng(8)
    worlds = [overfitting.backtest_overfitting(rng.normal(0, 0.01, (64, 20)), 8) for _ in range(60)]
    assert np.mean([w for w in worlds if isinstance(w, float)]) == pytest.approx(0.5, abs=0.08)


def test_pbo_that_cannot_be_said():
    few = overfitting.backtest_overfitting(np.zeros((5, 4)), 16)
    assert isinstance(few, Undefined)
    assert "5 days" in few.reason
    assert isinstance(overfitting.backtest_overfitting(np.zeros((50, 1)), 4), Undefined)
    with pytest.raises(ConfigError, match="even number"):
        overfitting.backtest_overfitting(np.zeros((50, 3)), 5)


def test_bootstrap_of_independent_days_is_the_normal_interval():
    returns = np.random.default_rng(2).normal(0.001, 0.01, 400)
    interval = overfitting.bootstrap_mean(returns, samples=4_000, block_days=1, confidence=0.9, seed=7)
    assert isinstance(interval, Interval)
    reach = stats.norm.ppf(0.95) * returns.std(ddof=1) / math.sqrt(400)
    assert interval.lower == pytest.approx(returns.mean() - reach, abs=0.08 * reach)
    assert interval.upper == pytest.approx(returns.mean() + reach, abs=0.08 * reach)


def test_blocks_widen_the_interval_of_dependent_days():
    shocks = np.random.default_rng(2).normal(0.0, 0.01, 405)
    returns = np.convolve(shocks, np.ones(6) / 6, "valid")
    widths = []
    for block in (1, 12):
        interval = overfitting.bootstrap_mean(returns, samples=800, block_days=block, confidence=0.9, seed=7)
        assert isinstance(interval, Interval)
        widths.append(interval.upper - interval.lower)
    assert widths[1] > 1.5 * widths[0]


def test_bootstrap_against_the_literal_algorithm():
    """Politis and Romano (1994): a new block starts with probability 1 / mean length, and wraps at the end."""
    rng = np.random.default_rng(12)
    shocks = rng.normal(0.0, 0.01, 124)
    returns = 0.001 + np.convolve(shocks, np.ones(5) / 5, "valid")
    samples, days, length = 6_000, len(returns), 4
    row = rng.integers(0, days, samples)
    total = returns[row].copy()
    for _ in range(days - 1):
        fresh = rng.random(samples) < 1.0 / length
        row = np.where(fresh, rng.integers(0, days, samples), (row + 1) % days)
        total += returns[row]
    expected = np.quantile(total / days, [0.025, 0.975])
    found = overfitting.bootstrap_mean(returns, samples=6_000, block_days=length, confidence=0.95, seed=3)
    assert isinstance(found, Interval)
    assert [found.lower, found.upper] == pytest.approx(expected, abs=0.06 * (expected[1] - expected[0]))


def test_bootstrap_is_seeded():
    returns = np.random.default_rng(2).normal(0.001, 0.01, 90)
    settings = {"samples": 200, "block_days": 5, "confidence": 0.95}
    first = overfitting.bootstrap_mean(returns, seed=1, **settings)  # type: ignore[arg-type]
    assert first == overfitting.bootstrap_mean(returns, seed=1, **settings)  # type: ignore[arg-type]
    assert first != overfitting.bootstrap_mean(returns, seed=2, **settings)  # type: ignore[arg-type]
    assert isinstance(overfitting.bootstrap_mean(np.zeros(90), seed=1, **settings), Undefined)  # type: ignore[arg-type]
