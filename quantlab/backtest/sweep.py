"""A sweep: many strategies over one history, each by the very bar step of the backtest.

1. Bars and signal become one read-only history, shared by all threads; nothing is copied.
2. Every strategy gets an account of its own and runs through :mod:`quantlab.backtest.sweep_loop`, without
   Python's lock, so that threads really share the processors.
3. What stays of it is one row of a :class:`SweepResult`: a fixed summary and its daily returns.

A row does not depend on the other strategies, on their order or on the number of threads, and its equity is
the backtest's bit for bit.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.backtest import sweep_loop as loop
from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.checks import check_whole
from quantlab.core.errors import ContractError
from quantlab.core.market import Bars
from quantlab.core.results import RiskEvent
from quantlab.core.rule_spans import rule_spans
from quantlab.core.types import Signal
from quantlab.evaluation.statistics.metrics import day_ends, per_day, returns_between
from quantlab.trading.account.arrays import begin_account, record_buffers
from quantlab.trading.bar.function_table import function_table
from quantlab.trading.interface.rows import History, market_of, with_signal
from quantlab.trading.lowlevel.layout import EVENTS_PER_BAR, ORDERS_PER_SYMBOL, Rules
from quantlab.trading.strategy.strategy import Strategy, rules_of_venue, with_strategy


@dataclass(frozen=True)
class SweepResult:
    """One row per strategy, in the order in which they were given.

    Parameters
    ----------
    daily_returns : float64 (N, D)
        Per UTC day, as :func:`quantlab.evaluation.statistics.metrics.daily_returns` makes them of the equity.
    final_equity, max_drawdown : float64 (N,)
        USD; a positive fraction.
    exposure : float64 (N,)
        Average gross position value over equity, at the closes of bars with positive equity; NaN without one.
    fees, slippage, funding, liquidation_fees, notional : float64 (N,)
        USD over the whole run; `funding` and the fees are what was paid, `notional` is what was traded, and
        `slippage` is valued as in :func:`quantlab.evaluation.statistics.summary.summarise`.
    n_orders, n_trades : int64 (N,)
        Fills, and round trips that ended.
    n_events : int64 (N, K)
        How often each of the K kinds of :class:`~quantlab.core.results.RiskEvent` was recorded.
    """

    daily_returns: Float64Array
    final_equity: Float64Array
    max_drawdown: Float64Array
    exposure: Float64Array
    fees: Float64Array
    slippage: Float64Array
    funding: Float64Array
    liquidation_fees: Float64Array
    notional: Float64Array
    n_orders: Int64Array
    n_trades: Int64Array
    n_events: Int64Array

    def __len__(self) -> int:
        return len(self.final_equity)

    @property
    def costs(self) -> Float64Array:
        """float64 (N,): fees, slippage, funding and liquidation fees, USD."""
        costs: Float64Array = self.fees + self.slippage + self.funding + self.liquidation_fees
        return costs


def join_results(parts: Sequence[SweepResult]) -> SweepResult:
    """Results of the same bars, one after the other.

    Raises
    ------
    ContractError
        If there is none.
    """
    if not parts:
        raise ContractError("at least one result to join", found="none", fix="sweep something first")
    names = [field.name for field in dataclasses.fields(SweepResult)]
    return SweepResult(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def sweep(
    bars: Bars,
    signals: Signal | Sequence[Signal],
    strategies: Sequence[Strategy],
    initial_cash: float,
    *,
    threads: int,
    limits_on: bool = False,
) -> SweepResult:
    """Simulate every strategy on the same bars.

    Parameters
    ----------
    bars : Bars, (T, S)
    signals : Signal or sequence of Signal, (T, S)
        One for all strategies, or one for each. A sequence may make its signals when it is asked for them: it
        is asked once per strategy, from the thread that runs it, and what it gave is dropped after that run.
    strategies : sequence of Strategy
        Their signal sources are not called. Other *values* of policy and sizer never recompile anything.
    initial_cash : float
        USD, > 0.
    threads : int
        Strategies that run at the same time; results do not depend on it.
    limits_on : bool
        False switches the daily limit and the breaker off: what a search is judged by.

    Raises
    ------
    ConfigError
        If `initial_cash` or `threads` is not positive.
    ContractError
        If there is no strategy, their number is not the signals', or a signal does not fit the bars.
    """
    check_whole("threads", threads, low=1)
    if not strategies:
        raise ContractError("at least one strategy to sweep", found="none", fix="give the space an axis")
    if not isinstance(signals, Signal) and len(signals) != len(strategies):
        raise ContractError(
            f"one signal, or {len(strategies)}, as many as strategies", found=str(len(signals)), fix="pair them"
        )
    ends, market = day_ends(bars.open_time_ms), market_of(bars)
    venues = [(span.first, span.stop, rules_of_venue(span.instruments)) for span in rule_spans(bars)]

    def run(i: int) -> _Account:
        signal = signals if isinstance(signals, Signal) else signals[i]
        spans = [
            (first, stop, with_strategy(venue, strategies[i], bars.interval_ms, limits_on=limits_on))
            for first, stop, venue in venues
        ]
        return _simulate(with_signal(market, signal), spans, strategies[i], initial_cash, ends)

    return _result(_run_all(run, len(strategies), threads), initial_cash, bars.open_time_ms)


@dataclass(frozen=True)
class _Account:
    """Result of one strategy: the sums of `sweep_loop`, and the equity at the end of every UTC day."""

    sums: Float64Array
    marks: Float64Array


def _run_all(run: Callable[[int], _Account], count: int, threads: int) -> list[_Account]:
    """``run(i)`` of every ``i``, from threads that take the next number until there is none."""
    done: dict[int, _Account] = {}
    remaining = iter(range(count))

    def work() -> None:
        for i in remaining:
            done[i] = run(i)

    # Tasks of a pool would cost more than what a short strategy spends in Python at all.
    with ThreadPoolExecutor(threads, thread_name_prefix="sweep") as pool:
        workers = [pool.submit(work) for _ in range(threads)]
        try:
            wait(workers, return_when=FIRST_EXCEPTION)
        finally:
            deque(remaining, maxlen=0)  # after a failure or a Ctrl-C nobody takes another
    for worker in workers:
        worker.result()
    return [done[i] for i in range(count)]


def _simulate(
    history: History, spans: list[tuple[int, int, Rules]], strategy: Strategy, initial_cash: float, ends: Int64Array
) -> _Account:
    """One account over all of `history`; `spans` are first row, stop and rules of each stretch with the same rules."""
    n_symbols = history.state.shape[1]
    marks, sums = np.zeros(len(ends)), np.zeros(loop.N_SUMS)
    sums[loop.PEAK] = sums[loop.TROUGH] = initial_cash
    state = begin_account(n_symbols, initial_cash, strategy.policy)
    records = record_buffers(ORDERS_PER_SYMBOL * n_symbols, EVENTS_PER_BAR)
    trades, table, summarise = np.zeros((2, n_symbols)), function_table(strategy), loop.summary_loop()
    for first, stop, rules in spans:
        until = history._replace(ohlcv=history.ohlcv[:stop])
        summarise(state, records, rules, until, ends, marks, sums, trades, first, table)
    return _Account(sums, marks)


def _result(accounts: Sequence[_Account], initial_cash: float, open_time_ms: Int64Array) -> SweepResult:
    sums = np.stack([account.sums for account in accounts], axis=1)
    marks = np.stack([account.marks for account in accounts])
    counts = sums.astype(np.int64)
    return SweepResult(
        daily_returns=per_day(returns_between(marks, initial_cash), open_time_ms),
        final_equity=marks[:, -1].copy(),
        max_drawdown=sums[loop.MAX_DRAWDOWN],
        exposure=_ratio(sums[loop.EXPOSURE], sums[loop.EXPOSED_BARS], otherwise=np.nan),
        fees=sums[loop.FEES],
        slippage=_slippage(sums),
        funding=sums[loop.FUNDING_PAID],
        liquidation_fees=sums[loop.LIQUIDATION_FEES],
        notional=sums[loop.NOTIONAL],
        n_orders=counts[loop.FILLS],
        n_trades=counts[loop.TRADES],
        n_events=np.ascontiguousarray(counts[loop.EVENTS : loop.EVENTS + len(RiskEvent)].T),
    )


def _slippage(sums: Float64Array) -> Float64Array:
    """Exact at opens; stops at the average rate of the fills at opens, since their records hold no level."""
    rate = _ratio(sums[loop.AT_OPEN_PAID], sums[loop.AT_OPEN_NOTIONAL], otherwise=0.0)
    slippage: Float64Array = sums[loop.AT_OPEN_PAID] + rate * sums[loop.STOP_NOTIONAL]
    return slippage


def _ratio(above: Float64Array, below: Float64Array, *, otherwise: float) -> Float64Array:
    ratio: Any = np.full(len(above), otherwise)
    np.divide(above, below, out=ratio, where=below > 0.0)
    quotient: Float64Array = ratio
    return quotient
