"""One account bound to the compiled bar step, to be driven from Python bar by bar.

Handing a named tuple of arrays to compiled code costs a microsecond for every few arrays, on every
call. So pointers to everything that a bar reads and writes are written into one table
(:mod:`quantlab.trading.lowlevel.pointers`), and a call takes that table. What changes from bar to bar, the market and
the signal, is copied into a *row buffer* whose arrays never move.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from numba import types

from quantlab.core.compiled import compiled
from quantlab.core.errors import ContractError
from quantlab.core.market import Bars, Instrument
from quantlab.core.types import Signal
from quantlab.trading.account.arrays import begin_account, filled_records, record_buffers
from quantlab.trading.account.venue_facts import join_fills
from quantlab.trading.bar.bar import advance_bar, decide_bar, settle_bar
from quantlab.trading.bar.function_table import FUNCTION_TABLE_TYPE, function_table, read_function_table
from quantlab.trading.bar.row_buffer import FundingSchedule, RowBuffer, optional_arrays
from quantlab.trading.bar.venue_settlement import settle_venue
from quantlab.trading.interface.policy_view import policy_view
from quantlab.trading.interface.rows import HISTORY_TYPE, History, row_of
from quantlab.trading.lowlevel.layout import (
    EVENTS_PER_BAR,
    FACTS_TYPE,
    JOINED_FILLS,
    N_EVENTS,
    N_ORDERS,
    ORDERS_PER_SYMBOL,
    RECORDS_TYPE,
    RULES_TYPE,
    STATE_TYPE,
    Facts,
    Records,
    Rules,
    State,
    tuple_type,
)
from quantlab.trading.lowlevel.pointers import BUFFER, buffer_for, stack_pointer, tuple_reader, write_tuple
from quantlab.trading.strategy.strategy import Strategy, rules_of


class _PointerTable(NamedTuple):
    """Everything that one bar reads and writes."""

    state: Any
    records: Any
    rules: Any
    row: Any
    functions: Any


_PARTS = (STATE_TYPE, RECORDS_TYPE, RULES_TYPE, HISTORY_TYPE)
_POINTER_TABLE_TYPE: Any = tuple_type(_PointerTable, *_PARTS, FUNCTION_TABLE_TYPE)
_read_table = tuple_reader(_POINTER_TABLE_TYPE)


def _write_table(buffer: Any, state: State, records: Records, rules: Rules, row: History, functions: Any) -> None:
    write_tuple(buffer, _PointerTable(state, records, rules, row, read_function_table(functions)))


def _settle(buffer: Any) -> None:
    table = _read_table(buffer)
    table.state.counters[N_ORDERS] = 0
    table.state.counters[N_EVENTS] = 0
    settle_bar(table.state, table.records, table.rules, row_of(table.row, 0))


def _settle_facts(buffer: Any, facts: Facts) -> None:
    table = _read_table(buffer)
    table.state.counters[N_ORDERS] = 0
    table.state.counters[N_EVENTS] = 0
    settle_venue(table.state, table.records, table.rules, row_of(table.row, 0), facts)


def _decide(buffer: Any) -> None:
    table = _read_table(buffer)
    view = stack_pointer(policy_view(table.state, table.rules, table.row))
    decide_bar(table.state, table.records, table.rules, row_of(table.row, 0), view, 0, table.functions)


def _advance(buffer: Any) -> None:
    table = _read_table(buffer)
    view = stack_pointer(policy_view(table.state, table.rules, table.row))
    table.state.counters[N_ORDERS] = 0
    table.state.counters[N_EVENTS] = 0
    advance_bar(table.state, table.records, table.rules, row_of(table.row, 0), view, 0, table.functions)


@cache
def _compiled() -> tuple[Any, Any, Any, Any]:
    """Compile, or read from the cache, at first use."""
    drive = types.void(BUFFER)
    return (
        compiled(signature=types.void(BUFFER, *_PARTS, BUFFER), _nrt=False)(_write_table),
        compiled(signature=drive, _nrt=False)(_advance),
        compiled(signature=drive, _nrt=False)(_settle),
        compiled(signature=drive, _nrt=False)(_decide),
    )


@cache
def _compiled_fold() -> Any:
    """Compile the fold of a venue's facts, or read it from the cache; who trades on paper never waits for it."""
    return compiled(signature=types.void(BUFFER, FACTS_TYPE), _nrt=False)(_settle_facts)


class Stepper:
    """An account that settles one closed bar, then decides for the next.

    Both halves are the backtest's own: :func:`~quantlab.trading.bar.bar.settle_bar` is what the market does
    to the account, :func:`~quantlab.trading.bar.bar.decide_bar` what the strategy does about it. On a venue
    :meth:`settle_facts` takes the place of the first, and nothing else changes.

    Parameters
    ----------
    strategy : Strategy
        Its signal source is not called: rows are handed in.
    symbols : tuple of str
    instruments : tuple of Instrument
        Trading rules before the first bar; every bar brings its own.
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
        self._strategy, self._instruments, self._limits_on = strategy, instruments, limits_on
        self.state: State = begin_account(len(symbols), initial_cash, strategy.policy)
        self._rules = rules_of(strategy, instruments, interval_ms, limits_on=limits_on)
        self._functions = function_table(strategy)
        self._buffer = buffer_for(_POINTER_TABLE_TYPE)
        #: Buffers that every bar writes from their beginning; a bar of very many fills brings larger ones.
        self.records: Records = record_buffers(ORDERS_PER_SYMBOL * len(symbols), EVENTS_PER_BAR)
        self._settled_ms: int | None = None
        self._decided_ms: int | None = None
        _, self._advance, self._settle, self._decide = _compiled()
        self._funding = FundingSchedule()
        self._bind_row(RowBuffer(len(symbols)))

    @property
    def last_ms(self) -> int | None:
        """Open of the last bar that was settled and decided on; None before the first."""
        return self._decided_ms

    def settle(self, bar: Bars) -> None:
        """Let the market act on the account: funding, fills, protective exits, delistings, mark, liquidation.

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
        self._settle(self._buffer)

    def settle_facts(self, bar: Bars, facts: Facts) -> None:
        """Let what a venue reports act on the account, in place of :meth:`settle`: payments, fills, mark.

        Parameters
        ----------
        bar : Bars
            Of length 1, one interval after the last.
        facts : Facts
            Everything that happened in this bar: :func:`~quantlab.trading.account.venue_facts.facts_in_lots`. Fills of one
            order are joined at their mean price, and counted, in a symbol with more than ``FILLS_PER_SYMBOL`` of them.

        Raises
        ------
        ContractError
            If the bar is not the next one of this market, or a fill is of no symbol of it.
        """
        if facts.symbol.max(initial=0) >= len(self.symbols):
            fix = "map the venue's symbols to this market's columns"
            raise ContractError(f"fills in {len(self.symbols)} symbols", found=f"column {facts.symbol.max()}", fix=fix)
        self._place_bar(bar)
        told, facts = len(facts.symbol), join_fills(facts)
        self.state.counters[JOINED_FILLS] += told - len(facts.symbol)
        if (most := 2 * len(facts.symbol)) > len(self.records.orders):
            self.records = record_buffers(most, EVENTS_PER_BAR)
            self._bind_row(self._row)
        _compiled_fold()(self._buffer, facts)

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
        self._decide(self._buffer)
        self._decided_ms = self._settled_ms

    def advance(self, bar: Bars, signal: Signal) -> None:
        """:meth:`settle` and :meth:`decide` in one call, where nothing has to happen between them."""
        self._place_bar(bar)
        self._place_signal(signal)
        self._advance(self._buffer)
        self._decided_ms = self._settled_ms

    def happened(self) -> Records:
        """Fills and events of the last bar: views that the next bar overwrites."""
        return filled_records(self.state, self.records)

    def begin_after(self, last_ms: int | None) -> None:
        """Say that the state was restored as it stood after the bar that opened at `last_ms`."""
        self._settled_ms = self._decided_ms = last_ms

    def _place_bar(self, bar: Bars) -> None:
        open_ms = self._check_bar(bar)
        if bar.instruments is not self._instruments:
            self._follow_rules(bar.instruments)
        first, last = self._funding.rows_due(bar, open_ms)
        if last - first > self._row.n_stamps:
            self._bind_row(RowBuffer.resized(self._row, n_stamps=last - first))
        self._row.place_bar(bar, first, last)
        self._settled_ms = open_ms

    def _follow_rules(self, instruments: tuple[Instrument, ...]) -> None:
        """Trade by these rules from now on."""
        changed = instruments != self._instruments
        self._instruments = instruments
        if changed:
            self._rules = rules_of(self._strategy, instruments, self.interval_ms, limits_on=self._limits_on)
            self._bind_row(self._row)

    def _place_signal(self, signal: Signal) -> None:
        optional_names = optional_arrays(signal)
        if optional_names != self._row.optional_names:
            self._bind_row(RowBuffer.resized(self._row, optional_names=optional_names))
        self._row.place_signal(signal)

    def _bind_row(self, row: RowBuffer) -> None:
        """Read from another slot from now on."""
        write_table = _compiled()[0]
        self._row = row
        write_table(self._buffer, self.state, self.records, self._rules, row.history, self._functions)

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
