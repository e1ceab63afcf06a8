"""Which verdict, exactly when, and what it says."""

from __future__ import annotations

import dataclasses
import math
import statistics
from pathlib import Path

import hydra
import numpy as np
import pytest
from omegaconf import OmegaConf

from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.files import to_json
from quantlab.evaluation.statistics.overfitting import expected_max_sharpe
from quantlab.evaluation.verdict import rule as verdicts
from quantlab.evaluation.verdict.judge import decide, judge
from quantlab.evaluation.verdict.rule import Trials, VerdictRule


@pytest.fixture
def world(booked, bars_of):
    """A simulation without orders whose equity earns the given daily returns, with its summary."""

    def make(returns, trades=500):
        bars = bars_of(np.full((24 * len(returns), 1), 100.0))
        equity = np.repeat(10_000.0 * np.cumprod(1.0 + np.asarray(returns)), 24)
        simulation = dataclasses.replace(booked(bars, []), equity=equity)
        return simulation, {"trades": trades, "days": float(len(returns)), "final_equity": float(equity[-1])}

    return make


def returns_of(mean: float, days: int = 90, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0.0, 0.01, days)
    return noise - noise.mean() + mean


GOOD, BAD = returns_of(0.005), returns_of(-0.001)


def trials_of(count: int = 20, *, chosen: float = 0.01) -> Trials:
    returns = np.random.default_rng(5).normal(0.0, 0.01, (90, count))
    returns[:, 0] += chosen
    return Trials(count, returns.mean(0) / returns.std(0), returns)


def test_a_single_trial_with_an_edge(world, rule_of):
    v = judge(rule_of(), *world(GOOD))
    assert v.verdict == "edge"
    assert v.numbers["dsr"] == v.numbers["psr"]
    assert v.numbers["pbo"] is None
    assert "single trial" in v.undefined["pbo"]
    assert v.numbers["luck_sharpe"] == 0.0
    to_json(v.as_dict())


def test_without_an_edge(world, rule_of):
    v = judge(rule_of(), *world(BAD))
    assert v.verdict == "no evidence of an edge"
    assert "track record" not in v.words
    assert "proves" not in v.words


@pytest.mark.parametrize(
    ("trades", "days", "expected"),
    [
        (99, 90, "not enough data"),
        (100, 90, "edge"),
        (0, 90, "not enough data"),
        (500, 29, "not enough data"),
        (500, 30, "edge"),
    ],
)
def test_thresholds_of_enough_data(world, rule_of, trades, days, expected):
    v = judge(rule_of(), *world(returns_of(0.008, days), trades))
    assert v.verdict == expected


def test_too_little_data_comes_before_everything(world, rule_of):
    v = judge(rule_of(), *world(np.zeros(5), 0))
    assert v.verdict == "not enough data"
    assert v.numbers["dsr"] is None
    assert v.words == (
        "0 closed trades in 5.0 days of the evidence run, where at least 100 trades and 30 days are needed to say anything."
    )
    to_json(v.as_dict())


def numbers(**changes):
    return {
        "trades": 500,
        "days": 90.0,
        "trials": 10,
        "dsr": 0.95,
        "pbo": 0.49,
        "mean_daily_return_lower": 1e-9,
    } | changes


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "edge"),
        ({"dsr": 0.9499}, "no evidence of an edge"),
        ({"dsr": None}, "no evidence of an edge"),
        ({"mean_daily_return_lower": 0.0}, "no evidence of an edge"),
        ({"mean_daily_return_lower": None}, "no evidence of an edge"),
        ({"pbo": 0.5}, "no evidence of an edge"),
        ({"pbo": None}, "no evidence of an edge"),
        ({"pbo": None, "trials": 1}, "edge"),
    ],
)
def test_the_rule_at_its_borders(rule_of, changes, expected):
    assert decide(rule_of(), numbers(**changes)) == expected


def test_trials_deflate(world, rule_of):
    alone = judge(rule_of(), *world(GOOD))
    many = judge(rule_of(), *world(GOOD), trials_of(20))
    more = judge(rule_of(), *world(GOOD), dataclasses.replace(trials_of(20), count=2_000))
    assert alone.numbers["dsr"] > many.numbers["dsr"] > more.numbers["dsr"]
    assert many.numbers["psr"] == alone.numbers["psr"]
    assert many.numbers["pbo"] is not None
    assert "best of 2,000 trials" in more.words
    for trials, variance in ((trials_of(20), 1 / 89), (alike := coins(20), statistics.variance(alike.sharpe.tolist()))):
        found = judge(rule_of(), *world(GOOD), trials).numbers["luck_sharpe"]
        assert found == pytest.approx(expected_max_sharpe(20, variance) * math.sqrt(365))
        assert statistics.variance(trials.sharpe.tolist()) >= variance


def coins(count: int) -> Trials:
    """Trials that share most of their luck: they lie closer together than chance moves one."""
    rng = np.random.default_rng(5)
    returns = rng.normal(0.0, 0.01, (90, 1)) + rng.normal(0.0, 0.005, (90, count))
    return Trials(count, returns.mean(0) / returns.std(0), returns)


def test_many_trials_without_their_record_cannot_be_an_edge(world, rule_of):
    v = judge(rule_of(), *world(GOOD), Trials(50))
    assert v.verdict == "no evidence of an edge"
    assert {"dsr", "pbo", "luck_sharpe"} <= set(v.undefined)
    assert "undefined" in v.words


def test_the_words_carry_the_numbers_and_the_run(world, rule_of):
    v = judge(rule_of(), *world(GOOD), trials_of(20), run="lived")
    for part in (
        "500 closed trades",
        "90.0 days",
        "lived run",
        f"{v.numbers['sharpe']:.2f}",
        f"{v.numbers['dsr']:.3f}",
        "needed: 0.95",
    ):
        assert part in v.words


def test_the_summary_must_be_of_the_same_run(world, rule_of):
    simulation, summary = world(GOOD)
    with pytest.raises(ContractError, match="summary of this run"):
        judge(rule_of(), simulation, summary | {"final_equity": 1.0})


def test_more_results_than_trials_are_refused():
    with pytest.raises(ConfigError, match="at least 3"):
        Trials(2, np.zeros(3))
    with pytest.raises(ConfigError):
        Trials(0)


@pytest.mark.parametrize("change", [{"min_dsr": 1.5}, {"pbo_blocks": 7}, {"bootstrap_samples": 0}, {"min_trades": 0}])
def test_impossible_rules_are_refused(rule_of, change):
    with pytest.raises(ConfigError, match="evaluation"):
        rule_of(**change)


def test_the_same_seed_gives_the_same_bytes(world, rule_of):
    first, second = (to_json(judge(rule_of(), *world(GOOD), trials_of()).as_dict()) for _ in range(2))
    assert first == second


def test_the_shipped_rule_is_the_designs(repository: Path):
    config = OmegaConf.load(repository / "conf" / "evaluation" / "default.yaml")
    rule = hydra.utils.instantiate(OmegaConf.create({"seed": 7, "evaluation": config}).evaluation)
    assert isinstance(rule, VerdictRule)
    assert (rule.min_trades, rule.min_days, rule.min_dsr, rule.max_pbo) == (100, 30, 0.95, 0.5)
    assert rule.seed == 7
    assert {verdicts.EDGE, verdicts.NO_EDGE, verdicts.NOT_ENOUGH} == {
        "edge",
        "no evidence of an edge",
        "not enough data",
    }


@pytest.mark.slow
def test_no_edge_is_rarely_called_one(world, rule_of):
    rng = np.random.default_rng(11)
    called = [judge(rule_of(), *world(rng.standard_t(4, 60) * 0.01)).verdict == "edge" for _ in range(300)]
    assert np.mean(called) <= 0.07  # worlds that pay no costs at all; costs push it further down
