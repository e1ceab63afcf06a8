"""The compiled loop against the bar-by-bar one, and what it refuses."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from quantlab.backtest import scan
from quantlab.backtest.scan import Scan
from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.market import Bars, Funding
from quantlab.core.results import RiskEvent
from quantlab.trading import Replay, replay
from quantlab.trading.strategy import policies

CASH = 10_000.0


def lonely(bars: Bars, t: int) -> Bars:
    """Bar `t` in arrays of its own: nothing of the future is reachable, not even through a base array."""
    funding = bars.funding
    if funding is not None:
        opens = int(bars.open_time_ms[t])
        due = (funding.time_ms > opens - bars.interval_ms) & (funding.time_ms <= opens)
        funding = Funding(funding.time_ms[due].copy(), funding.rate[due].copy())
    return dataclasses.replace(
        bars,
        ohlcv=bars.ohlcv[t : t + 1].copy(),
        open_time_ms=bars.open_time_ms[t : t + 1].copy(),
        state=bars.state[t : t + 1].copy(),
        funding=funding,
    )


def lonely_rows(bars, signal):
    for t in range(bars.n_bars):
        row = {f.name: getattr(signal, f.name) for f in dataclasses.fields(signal)}
        copies = {k: None if a is None else a[t : t + 1].copy() for k, a in row.items()}
        yield lonely(bars, t), type(signal)(**copies)


def assert_identical(one, two):
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(two, field.name)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype, field.name
            assert a.tobytes() == b.tobytes(), field.name
        else:
            assert a == b, field.name


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("limits_on", [True, False])
def test_bar_by_bar_is_the_scan_bit_for_bit(case, seed, limits_on):
    bars, signal, strategy = case(seed + 100)
    scanned = Scan(CASH).run(bars, signal, strategy, limits_on=limits_on)
    replayed = replay(lonely_rows(bars, signal), strategy, CASH, limits_on=limits_on)
    assert_identical(scanned, replayed)
    assert len(scanned.orders) > 0


def test_bar_by_bar_is_the_scan_on_real_markets(real_bars, wild_signal, strategy):
    signal = wild_signal(real_bars, 3, activity=0.05)
    chosen = strategy(limits={"daily_loss_limit": 0.01, "breaker": 0.04})
    scanned = Scan(CASH).run(real_bars, signal, chosen)
    assert_identical(scanned, replay(lonely_rows(real_bars, signal), chosen, CASH))
    assert len(scanned.events) > 0
    assert len(scanned.orders) > 50


def test_one_ulp_in_one_price_is_seen(real_bars, wild_signal, strategy):
    signal = wild_signal(real_bars, 3, activity=0.05)
    before = Scan(CASH).run(real_bars, signal, strategy())
    first = before.orders[0]
    moved = real_bars.ohlcv.copy()
    moved[first["idx"], first["col"], 0] = np.nextafter(moved[first["idx"], first["col"], 0], 0.0)
    after = Scan(CASH).run(dataclasses.replace(real_bars, ohlcv=moved), signal, strategy())
    assert before.orders["price"][0] != after.orders["price"][0]


def test_full_buffers_grow_and_nothing_is_lost(case, monkeypatch):
    bars, signal, strategy = case(5)
    roomy = Scan(CASH).run(bars, signal, strategy)
    monkeypatch.setattr(scan, "CAPACITY", 3)
    assert_identical(roomy, Scan(CASH).run(bars, signal, strategy))


def test_a_run_leaves_its_inputs_and_earlier_results_alone(case):
    bars, signal, strategy = case(6)
    hashes = bars.fingerprint(), strategy.fingerprint
    first = Scan(CASH).run(bars, signal, strategy)
    assert_identical(first, Scan(CASH).run(bars, signal, strategy))
    assert hashes == (bars.fingerprint(), strategy.fingerprint)
    with pytest.raises(ValueError, match="read-only"):
        first.equity[0] = 0.0


def test_another_parameter_or_policy_does_not_compile_the_loop_again(case):
    bars, signal, strategy = case(7)
    Scan(CASH).run(bars, signal, strategy)
    assert len(scan.scan_loop().overloads) == 1
    assert len(policies.compiled_step(policies._ensemble_threshold).overloads) == 1


def test_a_signal_of_another_shape_is_refused(case):
    bars, signal, strategy = case(8)
    with pytest.raises(ContractError, match="a signal of shape"):
        Scan(CASH).run(bars, signal.rows(0, 10), strategy)
    for nothing in (None, signal.side):
        with pytest.raises(ContractError, match=f"as a Signal; found {type(nothing).__name__}"):
            Scan(CASH).run(bars, nothing, strategy)


@pytest.mark.parametrize("cash", [0.0, -1.0, float("nan")])
def test_an_account_needs_cash(cash):
    with pytest.raises(ConfigError, match="initial_cash"):
        Scan(cash)


@pytest.mark.parametrize(
    "memory",
    [
        np.zeros,
        lambda n: np.zeros((1, n), np.float32),
        lambda n: np.zeros((1, n + 1)),
        lambda n: [[0.0] * n],
        lambda n: None,
    ],
)
def test_a_policy_memory_of_the_wrong_shape_is_refused(case, memory):
    bars, signal, strategy = case(9)

    class Forgetful(policies.BuyAndHold):
        def begin(self, n_symbols):
            return memory(n_symbols)

    with pytest.raises(ContractError, match="policy memory"):
        Scan(CASH).run(bars, signal, dataclasses.replace(strategy, policy=Forgetful()))


def test_a_session_refuses_a_bar_out_of_turn(case):
    bars, signal, strategy = case(10)
    account = Replay(strategy, bars.symbols, bars.instruments, bars.interval_ms, CASH)
    with pytest.raises(ContractError, match="at least one bar"):
        account.simulation()
    account.update(bars.rows(0, 1), signal.rows(0, 1))
    for rows in ((0, 1), (2, 3), (1, 3)):
        with pytest.raises(ContractError):
            account.update(bars.rows(*rows), signal.rows(*rows))


def test_a_breaker_reset_by_hand_starts_from_the_current_equity(wild_bars, wild_signal, strategy):
    bars = wild_bars(1, n_bars=800)
    signal = wild_signal(bars, 1)
    chosen = strategy(limits={"breaker": 0.01, "daily_loss_limit": None})
    account = Replay(chosen, bars.symbols, bars.instruments, bars.interval_ms, CASH)
    falls = []
    for bar, row in lonely_rows(bars, signal):
        account.update(bar, row)
        fell = [e.copy() for e in account.happened().events if e["kind"] == RiskEvent.BREAKER]
        if fell:
            falls += fell
            account.reset_breaker()
    assert len(falls) > 1
    assert all(e["level"] >= 0.97 * e["equity"] for e in falls)


def test_the_shipped_engine(repository):
    conf = OmegaConf.merge({"cash": 5.0}, {"it": OmegaConf.load(repository / "conf" / "backtest" / "scan.yaml")})
    assert instantiate(conf.it) == Scan(5.0)


def test_the_scan_imports_nothing_heavy():
    code = (
        "import sys, quantlab.backtest.scan, quantlab.trading;"
        "print(sorted({'vectorbt', 'torch', 'sklearn', 'xgboost', 'plotly'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
