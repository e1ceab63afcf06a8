"""Ranges, the value `off`, fingerprints, and the configuration that ships."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from quantlab.core.errors import ConfigError
from quantlab.core.fingerprint import fingerprint
from quantlab.trading import (
    BuyAndHold,
    EnsembleThreshold,
    FixedFraction,
    KellyFraction,
    MovingAverageSignal,
    RandomSignal,
    RiskPerTrade,
    Strategy,
    VolatilityTarget,
)
from quantlab.trading.strategy.strategy import rules_of


def test_the_daily_limit_has_a_hard_ceiling(strategy):
    limits = strategy().limits
    assert dataclasses.replace(limits, daily_loss_limit=0.08).daily_loss_limit == 0.08
    with pytest.raises(ConfigError, match=r"daily_loss_limit between 1e-06 and 0\.08; found 0\.081"):
        dataclasses.replace(limits, daily_loss_limit=0.081)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("breaker", 0.0),
        ("breaker", math.nan),
        ("breaker", True),
        ("max_positions", 0),
        ("max_positions", 2.5),
        ("max_weight", -0.1),
        ("max_weight", "ten"),
        ("max_gross_leverage", math.inf),
        ("rollout", 1.01),
        ("rollout", None),
        ("daily_flatten", "yes"),
    ],
)
def test_limits_out_of_range_are_refused(strategy, name, value):
    with pytest.raises(ConfigError, match=name):
        dataclasses.replace(strategy().limits, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("slippage_bps", -1.0), ("participation", 0.0), ("participation", 1.5), ("participation", True)]
)
def test_costs_out_of_range_are_refused(strategy, name, value):
    with pytest.raises(ConfigError, match=name):
        dataclasses.replace(strategy().costs, **{name: value})


@pytest.mark.parametrize("off", [None, "off", False])
def test_off_is_a_value_of_its_own(strategy, off):
    one = strategy(limits={"breaker": 1.0})
    none = strategy(limits={"breaker": off}, costs={"participation": off})
    assert none.limits.breaker is None
    assert none.costs.participation is None
    assert rules_of(one, (), 300_000, limits_on=True).breaker == 1.0
    assert math.isnan(rules_of(none, (), 300_000, limits_on=True).breaker)
    assert one.fingerprint != none.fingerprint


def test_evidence_rules_differ_in_what_halts_only(strategy, free):
    limits = {"daily_loss_limit": 0.05, "breaker": 0.12, "max_positions": 3, "max_weight": 0.1}
    chosen = strategy(limits={**limits, "loss_streak": 4, "max_stops": 3, "stop_window_minutes": 60.0})
    on, off = (rules_of(chosen, (free(),), 300_000, limits_on=flag) for flag in (True, False))
    differ = {n for n, a, b in zip(on._fields, on, off, strict=True) if repr(a) != repr(b)}
    assert differ == {"daily_loss_limit", "breaker", "loss_streak", "max_stops"}


def test_a_policy_and_a_sizer_refuse_impossible_values():
    for bad in (
        {"stop_atr": 0.0},
        {"take_profit_atr": -1.0},
        {"horizon": 0},
        {"trail_atr": 0.0},
        {"break_even_atr": math.inf},
    ):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            EnsembleThreshold(**{"stop_atr": 1.0, "take_profit_atr": 1.0, "horizon": 5, "rebalance": False, **bad})
    with pytest.raises(ConfigError, match="weight"):
        FixedFraction(0.0)


def test_signals_refuse_impossible_values(range_features):
    with pytest.raises(ConfigError, match="slow"):
        MovingAverageSignal(range_features, 10, 10)
    with pytest.raises(ConfigError, match="turnover"):
        RandomSignal(range_features, 0, 1.1)


def test_everything_that_matters_is_in_the_fingerprint(strategy, range_features):
    base = Strategy(
        MovingAverageSignal(range_features, 2, 5),
        EnsembleThreshold(1.2, 2.0, 12, False),
        FixedFraction(0.1),
        strategy().limits,
        strategy().costs,
    )
    others = [
        dataclasses.replace(base, signal=MovingAverageSignal(range_features, 2, 6)),
        dataclasses.replace(base, signal=RandomSignal(range_features, 0, 0.1)),
        dataclasses.replace(base, policy=EnsembleThreshold(1.2, 2.0, 13, False)),
        dataclasses.replace(base, policy=EnsembleThreshold(1.2, 2.0, 12, False, trail_atr=2.0)),
        dataclasses.replace(base, policy=EnsembleThreshold(1.2, 2.0, 12, False, break_even_atr=2.0)),
        dataclasses.replace(base, sizer=RiskPerTrade(0.1, 0.1)),
        dataclasses.replace(base, sizer=VolatilityTarget(0.1, 0.1)),
        dataclasses.replace(base, limits=dataclasses.replace(base.limits, loss_streak=5)),
        dataclasses.replace(base, policy=BuyAndHold()),
        dataclasses.replace(base, sizer=FixedFraction(0.2)),
        dataclasses.replace(base, limits=dataclasses.replace(base.limits, rollout=0.5)),
        dataclasses.replace(base, costs=dataclasses.replace(base.costs, slippage_bps=1.0)),
    ]
    assert len({base.fingerprint, *(o.fingerprint for o in others)}) == 13
    assert base.fingerprint == dataclasses.replace(base).fingerprint == base.fingerprint


def test_the_shipped_configuration_holds_the_documented_defaults(repository):
    conf = repository / "conf" / "trading"
    features = OmegaConf.load(repository / "conf" / "features" / "unified49.yaml")
    exits = {"stop_atr": 1.2, "take_profit_atr": 2.0, "horizon": 12}
    top = OmegaConf.create({"exits": exits, "features": features, "seed": 7})

    def load(group):
        return instantiate(OmegaConf.merge(top, {"it": OmegaConf.load(conf / f"{group}.yaml")}).it)

    limits, costs, rules = load("limits/default"), load("costs/default"), load("instrument/default")
    assert (limits.daily_loss_limit, limits.breaker, limits.max_positions) == (0.05, 0.12, 10)
    assert (limits.max_weight, limits.max_gross_leverage, limits.rollout) == (0.1, 1.0, 1.0)
    assert (costs.slippage_bps, costs.participation, costs.liquidation_fee_bps) == (2.0, 0.05, 125.0)
    assert (rules.taker_fee_bps, rules.maker_fee_bps, rules.min_notional) == (4.5, 1.5, 10.0)
    assert (rules.tick, rules.lot, rules.maintenance_margin_rate) == (0.0, 0.0, 0.03)
    assert load("policy/ensemble_threshold") == EnsembleThreshold(1.2, 2.0, 12, False)
    assert (limits.loss_streak, limits.max_stops, limits.stop_window_minutes) == (None, None, 60.0)
    assert load("sizer/fixed_fraction") == FixedFraction(0.1)
    assert load("sizer/risk_per_trade") == RiskPerTrade(0.01, 0.1)
    assert load("sizer/volatility_target") == VolatilityTarget(0.0003, 0.1)
    assert load("sizer/kelly_fraction") == KellyFraction(0.25, 0.1)
    assert load("policy/buy_and_hold") == BuyAndHold()
    for name in ("policy/from_signals", "signal/moving_average", "signal/random"):
        assert fingerprint(name) != fingerprint(load(name))


def test_off_in_yaml_is_off(repository):
    conf = OmegaConf.load(repository / "conf" / "trading" / "limits" / "default.yaml")
    for text in ("off", "null", '"off"'):
        conf = OmegaConf.merge(conf, OmegaConf.create(f"breaker: {text}"))
        assert instantiate(conf).breaker is None
