"""The bar step driven from Python, one bar and one signal row at a time.

This is the seed of a paper or live session: no array of the future is reachable here, because none
is ever handed in. A test holds its orders, equity, events and cuts equal to the backtest's, bit
for bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numba import types
from numba.typed import List

from quantlab.core.compiled import compiled
from quantlab.core.errors import ContractError
from quantlab.core.results import Simulation
from quantlab.core.types import Bars, Instrument, Signal
from quantlab.trading.account import begin_account, record_buffers, simulation_of, written
from quantlab.trading.bar import advance_bar
from quantlab.trading.layout import (
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
)
from quantlab.trading.policies import STEP
from quantlab.trading.risk import reset_breaker
from quantlab.trading.rows import HISTORY_TYPE, History, history_of, row_of
from quantlab.trading.sizing import SIZE
from quantlab.trading.strategy import Strategy, rules_of

STEP_FUNCTION = types.FunctionType(STEP)
SIZE_FUNCTION = types.FunctionType(SIZE)

# Handing a function to compiled code costs 40 us each time; a typed list, built once, keeps it on
# the compiled side and costs 0.5 us.
_STEPS: Any = types.ListType(STEP_FUNCTION)  # type: ignore[no-untyped-call]
_SIZES: Any = types.ListType(SIZE_FUNCTION)  # type: ignore[no-untyped-call]
_HOLD = types.BaseTuple.from_types((_STEPS, _SIZES))(STEP_FUNCTION, SIZE_FUNCTION)  # type: ignore[no-untyped-call]
_ADVANCE = types.void(
    STATE_TYPE,
    RECORDS_TYPE,
    RULES_TYPE,
    HISTORY_TYPE,
    _STEPS,
    _SIZES,
)


def _hold(step: Any, size: Any) -> Any:
    steps = List.empty_list(STEP_FUNCTION)
    steps.append(step)
    sizes = List.empty_list(SIZE_FUNCTION)
    sizes.append(size)
    return steps, sizes


@compiled(_nrt=False)
def _advance_row(state: State, records: Records, rules: Rules, row: History, step: Any, size: Any) -> None:
    # Reference counts are off in here and on in the caller: only plain arguments may cross.
    advance_bar(state, records, rules, row_of(row, 0), step, size)


def _advance(state: State, records: Records, rules: Rules, row: History, steps: Any, sizes: Any) -> None:
    _advance_row(state, records, rules, row, steps[0], sizes[0])


@cache
def _compiled() -> tuple[Any, Any]:
    """Compile, or read from the cache, at first use."""
    return compiled(signature=_HOLD)(_hold), compiled(signature=_ADVANCE)(_advance)


_NOTHING = record_buffers(0, 0)


@dataclass
class Replay:
    """One simulated account that is fed one closed bar after another.

    Parameters
    ----------
    strategy : Strategy
        Its signal source is not called: rows are handed in.
    symbols : tuple of str
    instruments : tuple of Instrument
    interval_ms : int
    initial_cash : float
        USD.
    limits_on : bool
        False drops the daily limit and the breaker.

    Examples
    --------
    ``account.update(bar, row)`` for every bar, then ``account.simulation()``.
    """

    strategy: Strategy
    symbols: tuple[str, ...]
    instruments: tuple[Instrument, ...]
    interval_ms: int
    initial_cash: float
    limits_on: bool = True
    state: State = field(init=False, repr=False)

    def __post_init__(self) -> None:
        hold, self._advance = _compiled()
        self._functions = hold(self.strategy.policy.step, self.strategy.sizer.size)
        self._rules = rules_of(self.strategy, self.instruments, limits_on=self.limits_on)
        self._buffer = record_buffers(ORDERS_PER_SYMBOL * len(self.symbols), EVENTS_PER_BAR)
        self._kept: list[Records] = []
        self._curves: list[tuple[float, float, float, float]] = []
        self._times: list[int] = []
        self._has_funding = True
        self.state = begin_account(len(self.symbols), self.initial_cash, self.strategy.policy)

    def update(self, bar: Bars, signal: Signal) -> Records:
        """Settle one bar, decide for the next, and return what happened in it.

        Parameters
        ----------
        bar : Bars
            Of length 1, one interval after the last.
        signal : Signal
            One row, known at the close of `bar`.

        Raises
        ------
        ContractError
            If the bar is not the next one of this market.
        """
        self._check(bar)
        self.state.counters[N_ORDERS] = 0
        self.state.counters[N_EVENTS] = 0
        self._advance(self.state, self._buffer, self._rules, history_of(bar, signal), *self._functions)
        account = self.state.account
        self._curves.append((account[EQUITY], account[GROSS], account[FUNDING], account[LIQUIDATION_FEE]))
        self._times.append(int(bar.open_time_ms[0]))
        self._has_funding = self._has_funding and bar.funding is not None
        happened = written(self.state, self._buffer)
        if len(happened.orders) == 0 and len(happened.events) == 0:
            return _NOTHING
        # The buffer is written again in the next bar.
        happened = Records(*(part.copy() for part in happened))
        self._kept.append(happened)
        return happened

    def _check(self, bar: Bars) -> None:
        if bar.n_bars != 1 or bar.symbols != self.symbols or bar.interval_ms != self.interval_ms:
            raise ContractError(
                f"one bar of {self.interval_ms} ms for {len(self.symbols)} symbols",
                found=f"{bar.n_bars} bars of {bar.interval_ms} ms for {bar.n_symbols} symbols",
                mend="feed the closed bars of this market one at a time",
            )
        if self._times and int(bar.open_time_ms[0]) != self._times[-1] + self.interval_ms:
            raise ContractError(
                f"the bar that opens at {self._times[-1] + self.interval_ms}",
                found=str(int(bar.open_time_ms[0])),
                mend="feed every bar of the dense grid, in order",
            )

    def reset_breaker(self) -> None:
        """Release the circuit breaker by hand."""
        reset_breaker(self.state)

    def simulation(self) -> Simulation:
        """Everything so far, in the form that the backtest returns.

        Raises
        ------
        ContractError
            If no bar was fed yet.
        """
        if not self._times:
            raise ContractError("at least one bar", found="none", mend="call update() first")
        parts = zip(_NOTHING, *self._kept, strict=True)
        return simulation_of(
            self.state,
            Records(*(np.concatenate(part) for part in parts)),
            np.ascontiguousarray(np.array(self._curves).T),
            open_time_ms=np.array(self._times, dtype=np.int64),
            interval_ms=self.interval_ms,
            symbols=self.symbols,
            initial_cash=self.initial_cash,
            has_funding=self._has_funding,
        )


def replay(
    rows: Iterable[tuple[Bars, Signal]], strategy: Strategy, initial_cash: float, *, limits_on: bool = True
) -> Simulation:
    """Feed every (bar, signal row) of `rows`, both of length 1, to a :class:`Replay`.

    Raises
    ------
    ContractError
        If there is no row, or one does not follow the row before it.
    """
    account: Replay | None = None
    for bar, signal in rows:
        if account is None:
            account = Replay(strategy, bar.symbols, bar.instruments, bar.interval_ms, initial_cash, limits_on)
        account.update(bar, signal)
    if account is None:
        raise ContractError("at least one bar", found="none", mend="check the data source")
    return account.simulation()
