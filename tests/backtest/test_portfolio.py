"""vectorbt's bookkeeping on our order records, as a second opinion."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pandas as pd
import pytest

from quantlab.backtest.scan import Scan
from quantlab.core.errors import ContractError
from quantlab.core.last_marks import last_marks
from quantlab.core.results import ORDER_DTYPE

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from vectorbt.portfolio.enums import order_dt

    from quantlab.backtest.portfolio import to_portfolio

CASH = 10_000.0

pytestmark = pytest.mark.filterwarnings("ignore")  # vectorbt's own


def test_our_order_records_are_vectorbts():
    assert order_dt == ORDER_DTYPE


@pytest.mark.slow  # vectorbt compiles its value functions in every process
def test_the_last_mark_of_a_doubted_print_is_ours(case, false_prints):
    """Cut where a suspicion stands at a held symbol: the final value is the equity, not the print's."""
    bars, signal, strategy = case(200)
    bars = dataclasses.replace(false_prints(bars, 1, 0.05), funding=None)
    compared = 0
    for stop in range(60, bars.n_bars, 5):
        part = bars.rows(0, stop)
        result = Scan(CASH).run(part, signal.rows(0, stop), strategy)
        paid = (result.funding + result.liquidation_fees).sum()
        marks = last_marks(part, result.units)
        value = result.cash + np.nansum(result.units * np.nan_to_num(marks)) + paid
        assert value == pytest.approx(result.equity[-1] + paid, rel=1e-12)
        last = float(np.asarray(to_portfolio(result, part).close.iloc[-1] @ result.units))
        assert last == pytest.approx(result.equity[-1] - result.cash, abs=1e-6)
        compared += int(((part.suspect[-1] == 2) & (result.units != 0.0)).any())
    assert compared > 0


@pytest.mark.parametrize("seed", range(3))
def test_the_value_is_the_equity_up_to_funding_and_liquidation_fees(case, seed):
    bars, signal, strategy = case(seed + 200)
    result = Scan(CASH).run(bars, signal, strategy)
    portfolio = to_portfolio(result, bars)
    paid = np.cumsum(result.funding + result.liquidation_fees)
    np.testing.assert_allclose(np.asarray(portfolio.value()).ravel(), result.equity + paid, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_final_value_is_the_equity_up_to_funding_and_liquidation_fees(case, seed):
    bars, signal, strategy = case(seed + 215)
    result = Scan(CASH).run(bars, signal, strategy)
    paid = float((result.funding + result.liquidation_fees).sum())
    assert float(to_portfolio(result, bars).final_value()) == pytest.approx(result.equity[-1] + paid, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_its_trades_earn_what_the_account_earned(case, seed):
    bars, signal, strategy = case(seed + 230)
    result = Scan(CASH).run(bars, signal, strategy)
    trades = to_portfolio(result, bars).trades.records
    paid = float((result.funding + result.liquidation_fees).sum())
    assert trades["pnl"].sum() == pytest.approx(result.equity[-1] - CASH + paid, rel=1e-9, abs=1e-6)
    assert len(trades) > 0


def test_it_is_labelled(case):
    bars, signal, strategy = case(260)
    portfolio = to_portfolio(Scan(CASH).run(bars, signal, strategy), bars)
    assert portfolio.wrapper.columns.tolist() == list(bars.symbols)
    assert portfolio.wrapper.freq == pd.Timedelta("5min")
    assert portfolio.wrapper.index[0] == pd.Timestamp(int(bars.open_time_ms[0]), unit="ms", tz="UTC")


def test_other_bars_are_refused(case):
    bars, signal, strategy = case(261)
    result = Scan(CASH).run(bars, signal, strategy)
    with pytest.raises(ContractError, match="bars of the simulation"):
        to_portfolio(result, bars.rows(1, bars.n_bars))
