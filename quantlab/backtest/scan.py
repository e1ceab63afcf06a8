"""The backtest: a compiled loop around the one bar step.

1. Views of bars and signal become one read-only history; nothing is copied.
2. The loop advances the account bar by bar and notes equity, gross, funding and fees.
3. When the record buffers could overflow in the next bar it stops, they are emptied, and it goes on
   where it was: the whole state is in the account's arrays. So it does where trading rules change.
"""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numba import types

from quantlab.core.arrays import Float64Array
from quantlab.core.checks import check_range
from quantlab.core.compiled import compiled
from quantlab.core.market import Bars
from quantlab.core.results import Simulation
from quantlab.core.rule_spans import rule_spans
from quantlab.core.types import Signal
from quantlab.trading.account.arrays import begin_account, record_buffers, simulation_of
from quantlab.trading.account.record_log import RecordLog
from quantlab.trading.bar.bar import advance_bar
from quantlab.trading.bar.function_table import function_table, read_function_table
from quantlab.trading.interface.policy_view import policy_view
from quantlab.trading.interface.rows import HISTORY_TYPE, History, history_of, row_of
from quantlab.trading.lowlevel.layout import (
    EQUITY,
    EVENTS_PER_BAR,
    FUNDING,
    GROSS,
    LIQUIDATION_FEE,
    N_EVENTS,
    N_ORDERS,
    ORDERS_PER_SYMBOL,
    RECORDS_TYPE,
    RULES_TYPE,
    STATE_TYPE,
    Records,
    Rules,
    State,
    writable_array,
)
from quantlab.trading.lowlevel.pointers import BUFFER, stack_pointer
from quantlab.trading.lowlevel.prefetch import prefetch_bar
from quantlab.trading.strategy.strategy import Strategy, rules_of

#: The scan's signature: one for every policy and sizer, so that it is compiled once and cached.
SCAN = types.int64(
    STATE_TYPE,
    RECORDS_TYPE,
    RULES_TYPE,
    HISTORY_TYPE,
    writable_array(types.float64, 2),
    types.int64,
    BUFFER,
)

#: Records that the buffers hold beside one bar's: as many as stay in the processor's cache.
CAPACITY = 16_384


def _scan(
    state: State,
    records: Records,
    rules: Rules,
    history: History,
    curves: Float64Array,
    start: int,
    buffer: Any,
) -> int:
    """Advance from bar `start`; return the first bar not done, for want of room in the buffers."""
    most_orders = ORDERS_PER_SYMBOL * history.ohlcv.shape[1]
    n_bars = history.ohlcv.shape[0]
    functions = read_function_table(buffer)
    view = stack_pointer(policy_view(state, rules, history))
    for t in range(start, n_bars):
        if state.counters[N_ORDERS] + most_orders > len(records.orders):
            return t
        if state.counters[N_EVENTS] + EVENTS_PER_BAR > len(records.events):
            return t
        advance_bar(state, records, rules, row_of(history, t), view, t, functions)
        if t + 1 < n_bars:
            prefetch_bar(state, history.ohlcv[t + 1])
        curves[0, t] = state.account[EQUITY]
        curves[1, t] = state.account[GROSS]
        curves[2, t] = state.account[FUNDING]
        curves[3, t] = state.account[LIQUIDATION_FEE]
    return n_bars


@cache
def scan_loop() -> Any:
    """Compile the loop, or read it from the cache, at first use."""
    return compiled(signature=SCAN, _nrt=False)(_scan)


class ScannedAccount:
    """An account that the loop advances to a bar, where it stands still until it is asked to go on.

    Parameters
    ----------
    bars : Bars, (T, S)
    signal : Signal, (T, S)
    strategy : Strategy
    initial_cash : float
        USD.
    limits_on : bool
        See :meth:`Scan.run`.
    """

    def __init__(self, bars: Bars, signal: Signal, strategy: Strategy, initial_cash: float, *, limits_on: bool) -> None:
        self.state: State = begin_account(bars.n_symbols, initial_cash, strategy.policy)
        #: float64 (4, T): equity, gross, funding paid and liquidation fees paid, USD; zeros from the bar on that is next.
        self.curves: Float64Array = np.zeros((4, bars.n_bars))
        self._records = record_buffers(CAPACITY + ORDERS_PER_SYMBOL * bars.n_symbols, CAPACITY + EVENTS_PER_BAR)
        self.log = RecordLog(self._records)
        self._history, self._table, self._done = history_of(bars, signal), function_table(strategy), 0
        self._rules = [
            (span.stop, rules_of(strategy, span.instruments, bars.interval_ms, limits_on=limits_on))
            for span in rule_spans(bars)
        ]

    def advance(self, stop: int) -> None:
        """Go on to the close of bar ``stop - 1``."""
        for end, rules in self._rules:
            last = min(end, stop)
            until = self._history._replace(ohlcv=self._history.ohlcv[:last])  # the loop ends where the rules change
            while self._done < last:
                self._done = scan_loop()(self.state, self._records, rules, until, self.curves, self._done, self._table)
                counters = self.state.counters
                self.log.append(int(counters[N_ORDERS]), int(counters[N_EVENTS]))
                counters[[N_ORDERS, N_EVENTS]] = 0


@dataclass(frozen=True)
class Scan:
    """Runs a strategy over a history.

    Parameters
    ----------
    initial_cash : float
        USD, > 0.

    Raises
    ------
    ConfigError
        If `initial_cash` is not positive.
    """

    initial_cash: float

    def __post_init__(self) -> None:
        check_range("initial_cash", self.initial_cash, low=1e-6)
        object.__setattr__(self, "initial_cash", float(self.initial_cash))

    def run(self, bars: Bars, signal: Signal, strategy: Strategy, *, limits_on: bool = True) -> Simulation:
        """Simulate one account over all of `bars`.

        Parameters
        ----------
        bars : Bars, (T, S)
        signal : Signal, (T, S)
            Row t known at the close of bar t; what it decides fills in bar t + 1.
        strategy : Strategy
            Its policy, sizer, limits and costs; its signal source is not called.
        limits_on : bool
            False switches off what halts (daily limit, breaker, loss streak, stop rate), and nothing else: the evidence run.

        Raises
        ------
        ContractError
            If the signal or the policy's memory does not fit the bars.
        """
        account = ScannedAccount(bars, signal, strategy, self.initial_cash, limits_on=limits_on)
        account.advance(bars.n_bars)
        return simulation_of(
            account.state,
            account.log.records(),
            account.curves,
            open_time_ms=bars.open_time_ms,
            interval_ms=bars.interval_ms,
            symbols=bars.symbols,
            initial_cash=self.initial_cash,
            has_funding=bars.funding is not None,
        )
