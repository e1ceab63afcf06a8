"""Two engines, one step: vectorbt's simulator and books against the compiled loop's."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from quantlab.backtest.scan import Scan
from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.market import Instrument, RuleChange
from quantlab.core.results import OrderReason, RiskEvent

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from quantlab.backtest import vectorbt_engine
    from quantlab.backtest.portfolio import to_portfolio
    from quantlab.backtest.vectorbt_engine import VectorbtEngine

CASH = 10_000.0
ENGINE = VectorbtEngine(CASH, 1_000.0, False)
SAME = 1e-9

pytestmark = pytest.mark.filterwarnings("ignore")  # vectorbt's own


def without_funding(case_):
    bars, signal, strategy = case_
    return dataclasses.replace(bars, funding=None), signal, strategy


def assert_agree(ours, theirs) -> None:
    """Orders and equity to 1e-9; what is counted or named, exactly."""
    assert len(ours.orders) == len(theirs.orders) > 0
    for name in ("id", "col", "idx", "side"):
        np.testing.assert_array_equal(ours.orders[name], theirs.orders[name])
    for name in ("size", "price", "fees"):
        np.testing.assert_allclose(theirs.orders[name], ours.orders[name], rtol=SAME, atol=1e-12)
    scale = max(CASH, float(np.abs(ours.equity).max()))
    for name in ("equity", "gross", "liquidation_fees"):
        np.testing.assert_allclose(getattr(theirs, name), getattr(ours, name), rtol=SAME, atol=SAME * scale)
    np.testing.assert_allclose(theirs.units, ours.units, rtol=SAME, atol=1e-12)
    np.testing.assert_array_equal(ours.reasons, theirs.reasons)
    np.testing.assert_array_equal(ours.over_participation, theirs.over_participation)
    np.testing.assert_array_equal(ours.events[["idx", "kind"]], theirs.events[["idx", "kind"]])
    assert theirs.cash == pytest.approx(ours.cash, rel=SAME, abs=SAME * scale)
    assert not theirs.has_funding


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["ensemble", "rebalancing", "targets", "flattening"])
def test_wild_markets(every_case, name, seed):
    bars, signal, strategy = without_funding(every_case(name, seed))
    for limits_on in (True, False):
        ours = Scan(CASH).run(bars, signal, strategy, limits_on=limits_on)
        if RiskEvent.LIQUIDATION in ours.events["kind"]:
            continue
        assert_agree(ours, ENGINE.run(bars, signal, strategy, limits_on=limits_on))


def test_the_wild_markets_have_what_an_account_can_meet(every_case):
    reasons, events = set(), set()
    for name in ("ensemble", "rebalancing", "targets", "flattening"):
        for seed in range(4):
            result = Scan(CASH).run(*without_funding(every_case(name, seed)))
            reasons |= set(result.reasons.tolist())
            events |= set(result.events["kind"].tolist())
    of_venues = {OrderReason.EXTERNAL, OrderReason.ADL}
    assert reasons >= set(OrderReason) - {OrderReason.LIQUIDATION} - of_venues
    assert events >= {RiskEvent.DAILY_LIMIT, RiskEvent.BREAKER}


@pytest.mark.parametrize("name", ["ensemble", "targets"])
def test_markets_with_false_prints(every_case, false_prints, name):
    held = 0
    for seed in range(6):
        bars, signal, strategy = without_funding(every_case(name, seed))
        bars = false_prints(bars, seed)
        ours = Scan(CASH).run(bars, signal, strategy)
        if RiskEvent.LIQUIDATION in ours.events["kind"]:
            continue
        held += ours.cuts["suspect"]
        assert_agree(ours, ENGINE.run(bars, signal, strategy))
    assert held > 5


def test_trading_rules_that_change(every_case):
    """Ticks, lots and fees of every symbol are others from three bars on."""
    bars, signal, strategy = without_funding(every_case("ensemble", 504))
    rng = np.random.default_rng(504)
    changes = tuple(
        RuleChange(int(bars.open_time_ms[row]), symbol, Instrument(tick, lot, 10.0, 0.03, maker, taker))
        for row in (90, 91, 250)
        for symbol in bars.symbols
        for tick, lot in [(float(rng.choice([0.01, 0.05])), float(rng.choice([0.01, 0.1])))]
        for maker, taker in [sorted(rng.uniform(0.0, 20.0, 2))]
    )
    dated = dataclasses.replace(bars, rule_changes=changes)
    ours = Scan(CASH).run(dated, signal, strategy, limits_on=False)
    assert_agree(ours, ENGINE.run(dated, signal, strategy, limits_on=False))
    assert ours.equity[-1] != Scan(CASH).run(bars, signal, strategy, limits_on=False).equity[-1]


def test_real_markets(real_bars, wild_signal, strategy):
    bars = dataclasses.replace(real_bars, funding=None)
    signal = wild_signal(bars, 5, activity=0.05)
    ours = Scan(CASH).run(bars, signal, strategy())
    assert len(ours.orders) > 300
    theirs = ENGINE.run(bars, signal, strategy())
    assert_agree(ours, theirs)
    # An entry that exactly fills the room left is cut by one in the last digit or not at all.
    ties = {"max_gross_leverage"}
    for rule in ours.cuts.keys() - ties:
        assert theirs.cuts[rule] == ours.cuts[rule], rule


def test_the_books_are_vectorbts(every_case, monkeypatch):
    """If vectorbt alone charges more, its cash is the account: equity falls, and later entries are smaller."""
    bars, signal, strategy = without_funding(every_case("ensemble", 0))
    ours = Scan(CASH).run(bars, signal, strategy)
    vectorbts = vectorbt_engine.vbt.Portfolio.from_order_func

    def dearer(close, order_func, *args, pre_segment_args, post_segment_args, **more):
        one, lent = post_segment_args
        return vectorbts(
            close, order_func, *args, pre_segment_args=pre_segment_args, post_segment_args=(one, lent + 100.0), **more
        )

    monkeypatch.setattr(vectorbt_engine.vbt.Portfolio, "from_order_func", dearer)
    poorer = ENGINE.run(bars, signal, strategy)
    assert poorer.equity[0] == pytest.approx(ours.equity[0] - 100.0)
    assert poorer.orders["size"][0] < ours.orders["size"][0]


@pytest.mark.slow  # vectorbt compiles its statistics in every process
def test_the_result_is_a_portfolio_whose_tools_work(every_case):
    bars, signal, strategy = without_funding(every_case("ensemble", 0))
    theirs = ENGINE.run(bars, signal, strategy)
    portfolio = to_portfolio(theirs, bars)
    assert float(portfolio.final_value()) == pytest.approx(theirs.equity[-1], rel=SAME)
    stats = portfolio.stats()
    assert stats["End Value"] == pytest.approx(theirs.equity[-1], rel=SAME)
    assert stats["Total Closed Trades"] == len(portfolio.trades.closed.records)
    assert stats["Max Drawdown [%]"] == pytest.approx(-100.0 * portfolio.max_drawdown())
    assert len(portfolio.drawdowns.records) > 0
    assert portfolio.orders.count() == len(theirs.orders)
    assert len(portfolio.plot(subplots=["cum_returns", "drawdowns", "underwater"]).data) > 0
    assert len(portfolio.trades.plot(column=bars.symbols[0]).data) > 0


def test_funding_is_refused_or_left_out_and_said(every_case):
    bars, signal, strategy = every_case("ensemble", 1)
    with pytest.raises(ContractError, match="without funding"):
        ENGINE.run(bars, signal, strategy)
    left_out = VectorbtEngine(CASH, 1_000.0, True).run(bars, signal, strategy)
    assert not left_out.has_funding
    assert_agree(Scan(CASH).run(dataclasses.replace(bars, funding=None), signal, strategy), left_out)


def test_a_liquidation_is_refused(every_case):
    refused = 0
    for seed in range(6):
        bars, signal, strategy = without_funding(every_case("levered", seed))
        ours = Scan(CASH).run(bars, signal, strategy)
        if RiskEvent.LIQUIDATION in ours.events["kind"]:
            refused += 1
            with pytest.raises(ContractError, match="never liquidated"):
                ENGINE.run(bars, signal, strategy)
        else:
            assert_agree(ours, ENGINE.run(bars, signal, strategy))
    assert 0 < refused < 6


def test_a_fill_that_vectorbts_cash_cannot_pay_is_refused_not_cut(every_case):
    """Without the reserve a levered long is more than the cash: the account must not differ silently."""
    bars, signal, strategy = without_funding(every_case("levered", 1))
    assert RiskEvent.LIQUIDATION not in Scan(CASH).run(bars, signal, strategy).events["kind"]
    with pytest.raises(ContractError, match="fill every order as asked"):
        VectorbtEngine(CASH, 0.0, False).run(bars, signal, strategy)


@pytest.mark.parametrize(
    "wrong",
    [{"initial_cash": 0.0}, {"reserve": -1.0}, {"reserve": 1e7}, {"ignore_funding": "yes"}],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        VectorbtEngine(**{"initial_cash": CASH, "reserve": 10.0, "ignore_funding": False, **wrong})


def test_the_shipped_configuration(repository):
    conf = OmegaConf.merge({"cash": 5.0}, {"it": OmegaConf.load(repository / "conf" / "backtest" / "vectorbt.yaml")})
    assert instantiate(conf.it) == VectorbtEngine(5.0, 1_000.0, False)
