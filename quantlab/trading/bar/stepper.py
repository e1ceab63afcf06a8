"""One account bound to the compiled bar step, to be driven from Python bar by bar.

Handing a named tuple of arrays to compiled code costs a microsecond for every few arrays, on every
call. So everything that a bar reads and writes is written down once (:mod:`quantlab.trading.lowlevel.pointers`), and a
call is told where. What changes from bar to bar, the market and the signal, is copied into a *slot* of one row
whose arrays never move.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from numba import types

from quantlab.core.compiled import compiled
from quantlab.core.errors import ContractError
from quantlab.core.market import Bars, Instrument
from quantlab.core.types import Signal
from quantlab.trading.account.arrays import begin_account, record_buffers, written
from quantlab.trading.bar.bar import advance_bar, decide_bar, settle_bar
from quantlab.trading.bar.function_table import CALLS_TYPE, calls_of, read_calls
from quantlab.trading.bar.row_buffer import Due, Slot, brought_by
from quantlab.trading.interface.policy_view import desk_of
from quantlab.trading.interface.rows import HISTORY_TYPE, History, row_of
from quantlab.trading.lowlevel.layout import (
    EVENTS_PER_BAR,
    N_EVENTS,
    N_ORDERS,
    ORDERS_PER_SYMBOL,
    RECORDS_TYPE,
    RULES_TYPE,
    STATE_TYPE,
    Records,
    Rules,
    State,
    tuple_type,
)
from quantlab.trading.lowlevel.pointers import ROOM, lay_into, lay_out, reader, room_for
from quantlab.trading.strategy.strategy import Strategy, rules_of


class _Bound(NamedTuple):
    state: Any
    records: Any
    rules: Any
    slot: Any
    calls: Any


_PARTS = (STATE_TYPE, RECORDS_TYPE, RULES_TYPE, HISTORY_TYPE)
_BOUND: Any = tuple_type(_Bound, *_PARTS, CALLS_TYPE)
_read_bound = reader(_BOUND)


def _bind(room: Any, state: State, records: Records, rules: Rules, slot: History, calls: Any) -> None:
    lay_into(room, _Bound(state, records, rules, slot, read_calls(calls)))


def _settle(room: Any) -> None:
    bound = _read_bound(room)
    bound.state.counters[N_ORDERS] = 0
    bound.state.counters[N_EVENTS] = 0
    settle_bar(bound.state, bound.records, bound.rules, row_of(bound.slot, 0))


def _decide(room: Any) -> None:
    bound = _read_bound(room)
    desk = lay_out(desk_of(bound.state, bound.rules, bound.slot))
    decide_bar(bound.state, bound.records, bound.rules, row_of(bound.slot, 0), desk, 0, bound.calls)


def _advance(room: Any) -> None:
    bound = _read_bound(room)
    desk = lay_out(desk_of(bound.state, bound.rules, bound.slot))
    bound.state.counters[N_ORDERS] = 0
    bound.state.counters[N_EVENTS] = 0
    advance_bar(bound.state, bound.records, bound.rules, row_of(bound.slot, 0), desk, 0, bound.calls)


@cache
def _compiled() -> tuple[Any, Any, Any, Any]:
    """Compile, or read from the cache, at first use."""
    drive = types.void(ROOM)
    return (
        compiled(signature=types.void(ROOM, *_PARTS, ROOM), _nrt=False)(_bind),
        compiled(signature=drive, _nrt=False)(_advance),
        compiled(signature=drive, _nrt=False)(_settle),
        compiled(signature=drive, _nrt=False)(_decide),
    )


class Stepper:
    """An account that settles one closed bar, then decides for the next.

    Both halves are the backtest's own: :func:`~quantlab.trading.bar.bar.settle_bar` is what the market does
    to the account, :func:`~quantlab.trading.bar.bar.decide_bar` what the strategy does about it.

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
    """

    def __init__(
        self,
        strategy: Strategy,
        symbols: tuple[str, ...],
        instruments: tuple[Instrument, ...],
        interval_ms: int,
        initial_cash: float,
        *,
        limits_on: bool = True,
    ) -> None:
        self.symbols, self.interval_ms = symbols, interval_ms
        self.state: State = begin_account(len(symbols), initial_cash, strategy.policy)
        self._rules = rules_of(strategy, instruments, limits_on=limits_on)
        self._calls = calls_of(strategy)
        self._room = room_for(_BOUND)
        #: Buffers that every bar writes from their beginning.
        self.records: Records = record_buffers(ORDERS_PER_SYMBOL * len(symbols), EVENTS_PER_BAR)
        self._settled_ms: int | None = None
        self._decided_ms: int | None = None
        _, self._advance, self._settle, self._decide = _compiled()
        self._due = Due()
        self._place(Slot(len(symbols)))

    @property
    def last_ms(self) -> int | None:
        """Open of the last bar that was settled and decided on; None before the first."""
        return self._decided_ms

    def settle(self, bar: Bars) -> None:
        """Let the market act on the account: funding, fills, protective exits, mark, liquidation.

        Parameters
        ----------
        bar : Bars
            Of length 1, one interval after the last.

        Raises
        ------
        ContractError
            If the bar is not the next one of this market.
        """
        self._place_bar(bar)
        self._settle(self._room)

    def decide(self, signal: Signal) -> None:
        """Let the strategy act on the settled bar: latches, policy, sizing, the guard's rules.

        Parameters
        ----------
        signal : Signal
            One row, known at the close of the bar that was settled.

        Raises
        ------
        ContractError
            If no bar was settled since the last decision, or the signal has another shape.
        """
        if self._settled_ms == self._decided_ms:
            raise ContractError("a settled bar", found="none since the last decision", fix="call settle() first")
        self._place_signal(signal)
        self._decide(self._room)
        self._decided_ms = self._settled_ms

    def advance(self, bar: Bars, signal: Signal) -> None:
        """:meth:`settle` and :meth:`decide` in one call, where nothing has to happen between them."""
        self._place_bar(bar)
        self._place_signal(signal)
        self._advance(self._room)
        self._decided_ms = self._settled_ms

    def happened(self) -> Records:
        """Fills and events of the last bar: views that the next bar overwrites."""
        return written(self.state, self.records)

    def begin_after(self, last_ms: int | None) -> None:
        """Say that the state was restored as it stood after the bar that opened at `last_ms`."""
        self._settled_ms = self._decided_ms = last_ms

    def _place_bar(self, bar: Bars) -> None:
        open_ms = self._check_bar(bar)
        first, last = self._due.on(bar, open_ms)
        if last - first > self._slot.n_stamps:
            self._place(Slot.like(self._slot, n_stamps=last - first))
        self._slot.place_bar(bar, first, last)
        self._settled_ms = open_ms

    def _place_signal(self, signal: Signal) -> None:
        brought = brought_by(signal)
        if brought != self._slot.brought:
            self._place(Slot.like(self._slot, brought=brought))
        self._slot.place_signal(signal)

    def _place(self, slot: Slot) -> None:
        """Read from another slot from now on."""
        bind = _compiled()[0]
        self._slot = slot
        bind(self._room, self.state, self.records, self._rules, slot.history, self._calls)

    def _check_bar(self, bar: Bars) -> int:
        """The bar's open; ContractError unless it is the next one of this market."""
        # Most bars bring the very tuple: comparing a hundred names costs as much as the rest of this.
        other = bar.symbols is not self.symbols and bar.symbols != self.symbols
        if other or len(bar.open_time_ms) != 1 or bar.interval_ms != self.interval_ms:
            raise ContractError(
                f"one bar of {self.interval_ms} ms for {len(self.symbols)} symbols",
                found=f"{bar.n_bars} bars of {bar.interval_ms} ms for {bar.n_symbols} symbols",
                fix="feed the closed bars of this market one at a time",
            )
        if self._settled_ms != self._decided_ms:
            raise ContractError("a decision on the settled bar", found="another bar", fix="call decide() first")
        open_ms: int = bar.open_time_ms.item()
        if self._decided_ms is not None and open_ms != self._decided_ms + self.interval_ms:
            raise ContractError(
                f"the bar that opens at {self._decided_ms + self.interval_ms}",
                found=str(open_ms),
                fix="feed every bar of the dense grid, in order",
            )
        return open_ms
