"""What luck gives the best of many: never more than independent trials at zero can have, never less by splitting."""

from __future__ import annotations

import json
import math
import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from quantlab.core.arrays import Float64Array
from quantlab.evaluation.statistics.metrics import Undefined, moments
from quantlab.evaluation.statistics.overfitting import expected_max_sharpe, probabilistic_sharpe
from quantlab.evaluation.verdict.deflation import chance_variance, deflated_sharpe, luck_sharpe, uncapped_luck_sharpe
from quantlab.evaluation.verdict.rule import Trials


def trials(returns: Float64Array, count: int | None = None) -> Trials:
    """The rows (N, D) as trials, their ratios by numpy alone."""
    return Trials(count or len(returns), returns.mean(axis=1) / returns.std(axis=1, ddof=1), returns.T)


@pytest.mark.parametrize("draw", [lambda g, s: g.normal(size=s), lambda g, s: g.exponential(size=s) - 1.0])
def test_chance_moves_a_ratio_of_zero_as_far_whatever_the_shape(
    draw: Callable[[np.random.Generator, tuple[int, int]], Float64Array],
) -> None:
    returns = draw(np.random.default_rng(0), (20_000, 500))
    ratios = returns.mean(axis=1) / returns.std(axis=1, ddof=1)
    assert np.var(ratios) == pytest.approx(chance_variance(500), rel=0.04)
    assert chance_variance(1) == math.inf


def test_luck_is_the_mean_of_the_best_where_trials_are_independent() -> None:
    rng = np.random.default_rng(1)
    returns = rng.normal(size=(150, 200, 90))
    ratios = returns.mean(axis=2) / returns.std(axis=2, ddof=1)
    expected = np.mean([luck_sharpe(Trials(200, one), 90) for one in ratios])
    assert expected == pytest.approx(ratios.max(axis=1).mean(), rel=0.04)


def test_copies_have_less_luck_than_others() -> None:
    """They lie closer together: the spread tells, and the paper's formula stands."""
    rng = np.random.default_rng(2)
    alike = trials(rng.normal(0.0, 0.01, 90) + rng.normal(0.0, 0.003, (40, 90)))
    assert (
        luck_sharpe(alike, 90)
        == uncapped_luck_sharpe(alike)
        == expected_max_sharpe(40, float(np.var(alike.sharpe, ddof=1)))
    )  # type: ignore[arg-type]
    assert luck_sharpe(alike, 90) < 0.5 * expected_max_sharpe(40, 1 / 89)  # type: ignore[operator]


@pytest.mark.parametrize("apart", ["costs", "skill"])
def test_what_chance_cannot_make_is_no_luck(apart: str) -> None:
    """Sixteen times the costs, or one that is really good: luck is what independent trials at zero have."""
    returns = np.random.default_rng(3).normal(0.0, 0.01, (30, 90))
    returns -= np.linspace(0.0, 0.02, 30)[:, None] if apart == "costs" else 0.0
    returns[0] += 0.02 if apart == "skill" else 0.0
    found = trials(returns)
    assert uncapped_luck_sharpe(found) > 1.3 * luck_sharpe(found, 90)  # type: ignore[operator]
    euler = 0.5772156649015329
    best_of_30 = (1 - euler) * stats.norm.ppf(1 - 1 / 30) + euler * stats.norm.ppf(1 - 1 / (30 * math.e))
    assert luck_sharpe(found, 90) == pytest.approx(best_of_30 / math.sqrt(89), rel=1e-12)


def test_one_trial_has_no_luck_and_trials_without_a_record_have_an_unknown_one() -> None:
    assert luck_sharpe(Trials(1), 90) == luck_sharpe(Trials(1), 1) == uncapped_luck_sharpe(Trials(1)) == 0.0
    for unknown in (Trials(5), Trials(5, np.array([0.1])), Trials(5, np.array([0.1, np.nan]))):
        assert isinstance(luck_sharpe(unknown, 90), Undefined)
        assert isinstance(uncapped_luck_sharpe(unknown), Undefined)
    m = moments(np.random.default_rng(4).normal(0.001, 0.01, 90))
    assert not isinstance(m, Undefined)
    assert deflated_sharpe(m, 0.05) == probabilistic_sharpe(m, 0.05)
    assert isinstance(deflated_sharpe(m, Undefined("unknown")), Undefined)


def shares(make: Callable[[np.random.Generator], Float64Array], worlds: int = 1_500) -> float:
    """How often the best of worlds without an edge has a deflated ratio of at least .95."""
    passed = 0
    for seed in range(worlds):
        returns = make(np.random.default_rng(seed))
        found = trials(returns)
        m = moments(returns[int(np.argmax(found.sharpe))])  # type: ignore[arg-type]
        assert not isinstance(m, Undefined)
        passed += float(deflated_sharpe(m, luck_sharpe(found, returns.shape[1]))) >= 0.95  # type: ignore[arg-type]
    return passed / worlds


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.95])
@pytest.mark.parametrize("dearest", [0.0, 1.0])
def test_the_best_without_skill_rarely_passes(correlation: float, dearest: float) -> None:
    """Size: at most 5 %, and its Monte Carlo error, however alike trials are and however different their costs."""

    def make(rng: np.random.Generator) -> Float64Array:
        returns = math.sqrt(correlation) * rng.normal(size=60) + math.sqrt(1 - correlation) * rng.normal(size=(8, 60))
        cheaper: Float64Array = returns - np.linspace(0.0, dearest, 8)[:, None]
        return cheaper

    assert shares(make) <= 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / 1_500)


def test_the_record_is_what_the_docs_show(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it holds the size: 5 %, and two standard errors, in the judged scenario of every kind of sweep.

    Days that follow each other are what the formulas do not allow for; the record shows what that costs.
    """
    folder = repository / "experiments" / "deflation"
    record = json.loads((folder / "deflation.json").read_text())
    monkeypatch.syspath_prepend(repository / "tests" / "tools")  # as where the script is run by hand
    written = runpy.run_path(str(repository / "tests" / "tools" / "write_deflation.py"))["table_of"](record)
    for page in (folder / "README.md", repository / "docs" / "sweep.md"):
        assert written in page.read_text(), page
    for case in record["cases"]:
        for way in ("scenario", "shipped") if case["follows"] == 0.0 else ():
            assert case["no_edge"][way] <= 0.05 + 2.0 * math.sqrt(0.05 * 0.95 / record["worlds"]), case["name"]
        assert case["planted"]["shipped"] >= case["planted"]["scenario"] >= case["planted"]["pooled"], case["name"]
