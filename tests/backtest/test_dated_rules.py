"""Trading rules that change in the middle of a history: one result from every engine, bit for bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from quantlab.backtest.scan import Scan
from quantlab.backtest.sweep import sweep
from quantlab.core.market import Bars, Instrument, RuleChange
from quantlab.core.rule_spans import rule_in_cells, rule_spans
from quantlab.evaluation.statistics.metrics import daily_returns
from quantlab.evaluation.statistics.summary import summarise
from quantlab.jobs.parity.account_record import record_of_backtest
from quantlab.trading import replay

CASH = 10_000.0


def with_changes(bars: Bars, seed: int, count: int = 12) -> Bars:
    """Ticks, lots, smallest orders, margins and fees of random symbols are others from random times on."""
    rng = np.random.default_rng(seed + 9)
    first, last = int(bars.open_time_ms[0]), int(bars.open_time_ms[-1])
    changes = {}
    for _ in range(count):
        key = int(rng.integers(first + 1, last + 1)), bars.symbols[int(rng.integers(bars.n_symbols))]
        tick, lot, smallest = (
            rng.choice([0.0, 0.01, 0.05]),
            rng.choice([0.0, 0.01, 1.0]),
            rng.choice([0.0, 10.0, 200.0]),
        )
        maker, taker = sorted(rng.uniform(0.0, 20.0, 2))
        instrument = Instrument(float(tick), float(lot), float(smallest), float(rng.choice([0.01, 0.05])), maker, taker)
        changes[key] = RuleChange(*key, instrument)
    return dataclasses.replace(bars, rule_changes=tuple(changes[key] for key in sorted(changes)))


def assert_identical(one, two):
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(two, field.name)
        same = a.tobytes() == b.tobytes() if isinstance(a, np.ndarray) else a == b
        assert same, field.name


def rows(bars, signal):
    return ((bars.rows(t, t + 1), signal.rows(t, t + 1)) for t in range(bars.n_bars))


@pytest.mark.parametrize("seed", [500, 501])
def test_scan_replay_sweep_and_the_parity_record_are_one(case, seed):
    bars, signal, strategy = case(seed)
    bars = with_changes(bars, seed)
    scanned = Scan(CASH).run(bars, signal, strategy, limits_on=True)
    assert_identical(scanned, replay(rows(bars, signal), strategy, CASH, limits_on=True))
    assert len(scanned.orders) > 0
    record = record_of_backtest(bars, signal, strategy, scanned)  # refuses another equity
    assert len(record.fills) == len(scanned.orders)
    evidence = Scan(CASH).run(bars, signal, strategy, limits_on=False)
    swept = sweep(bars, signal, [strategy] * 2, CASH, threads=2)
    numbers = summarise(evidence, bars)
    for i in range(2):
        assert swept.daily_returns[i].tobytes() == daily_returns(evidence.equity, bars.open_time_ms, CASH).tobytes()
        assert swept.max_drawdown[i] == numbers["max_drawdown"]
        assert (swept.n_orders[i], swept.n_trades[i]) == (len(evidence.orders), numbers["trades"])
        assert swept.fees[i] == pytest.approx(numbers["fees"], rel=1e-12)


def test_positions_with_levels_are_held_over_changes_that_matter(every_case):
    bars, signal, strategy = every_case("ensemble", 502)
    dated = with_changes(bars, 502, count=40)
    result = Scan(CASH).run(dated, signal, strategy, limits_on=False)
    account = Scan(CASH).run(bars, signal, strategy, limits_on=False)
    assert result.equity.tobytes() != account.equity.tobytes()
    starts = [span.first for span in rule_spans(dated)][1:]
    assert (result.gross[np.array(starts) - 1] > 0.0).sum() > len(starts) // 2  # held into the first bar of new rules
    # Every fill pays the fee of its own bar's rules.
    orders = result.orders
    paid = orders["fees"] / (orders["size"] * orders["price"]) * 1e4
    taker = rule_in_cells(dated, "taker_fee_bps", orders["idx"], orders["col"])
    maker = rule_in_cells(dated, "maker_fee_bps", orders["idx"], orders["col"])
    assert np.all(np.isclose(paid, taker, rtol=1e-9) | np.isclose(paid, maker, rtol=1e-9, atol=1e-12))
    assert len(np.unique(taker)) > 5


def test_what_comes_after_the_last_bar_changes_nothing(every_case):
    bars, signal, strategy = every_case("targets", 503)
    later = RuleChange(int(bars.open_time_ms[-1]) + 1, bars.symbols[0], Instrument(1.0, 1.0, 1.0, 0.5, 9.0, 9.0))
    with_later = dataclasses.replace(bars, rule_changes=(later,))
    assert_identical(Scan(CASH).run(bars, signal, strategy), Scan(CASH).run(with_later, signal, strategy))
