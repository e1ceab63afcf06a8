"""The bar step driven from Python, one bar and one signal row at a time.

This is the seed of a paper or live session: no array of the future is reachable here, because none
is ever handed in. A test holds its orders, equity, events and cuts equal to the backtest's, bit
for bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from quantlab.core.errors import ContractError
from quantlab.core.market import Bars, Instrument
from quantlab.core.results import Simulation
from quantlab.core.types import Signal
from quantlab.trading.account.arrays import simulation_of
from quantlab.trading.account.latches import reset_breaker
from quantlab.trading.account.record_log import RecordLog
from quantlab.trading.bar.stepper import Stepper
from quantlab.trading.lowlevel.layout import (
    EQUITY,
    FUNDING,
    GROSS,
    LIQUIDATION_FEE,
    N_ACCOUNT_SLOTS,
    N_EVENTS,
    N_ORDERS,
    Records,
    State,
)
from quantlab.trading.strategy.strategy import Strategy

_CURVES = [EQUITY, GROSS, FUNDING, LIQUIDATION_FEE]


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
        False drops what halts: daily limit, breaker, loss streak and stop rate.

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

    def __post_init__(self) -> None:
        self._stepper = Stepper(
            self.strategy,
            self.symbols,
            self.instruments,
            self.interval_ms,
            self.initial_cash,
            limits_on=self.limits_on,
        )
        self._log = RecordLog(self._stepper.records)
        self._accounts = bytearray()
        self._times: list[int | None] = []
        self._has_funding = True

    @property
    def state(self) -> State:
        """The account's arrays."""
        return self._stepper.state

    def happened(self) -> Records:
        """Fills and events of the last bar: views that the next bar overwrites."""
        return self._stepper.happened()

    def update(self, bar: Bars, signal: Signal) -> None:
        """Settle one bar, and decide for the next.

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
        stepper = self._stepper
        stepper.advance(bar, signal)
        state = stepper.state
        self._accounts += state.account.data
        self._log.append(int(state.counters[N_ORDERS]), int(state.counters[N_EVENTS]))
        self._times.append(stepper.last_ms)
        self._has_funding = self._has_funding and bar.funding is not None

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
            raise ContractError("at least one bar", found="none", fix="call update() first")
        accounts = np.frombuffer(bytes(self._accounts)).reshape(-1, N_ACCOUNT_SLOTS)
        return simulation_of(
            self.state,
            self._log.records(),
            np.ascontiguousarray(accounts[:, _CURVES].T),
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
        raise ContractError("at least one bar", found="none", fix="check the data source")
    return account.simulation()
