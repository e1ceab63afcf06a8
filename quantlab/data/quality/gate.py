"""The quality gate: the one place where a hole in market data is seen and filled.

A fold over bars with explicit state, the same for history and live, because live nobody knows how
long a hole will be:

1. Before a symbol's first bar it is ``ABSENT`` (NaN).
2. A bar that is there must be sound (:mod:`quantlab.core.soundness`); it is ``TRADED``, or
   ``ZERO_VOLUME`` if nothing changed hands.
3. The first :data:`MAX_FILLED` missing bars of any hole become flat bars at the last close with zero
   volume, as venues print them: ``FILLED``, neither tradable nor labelled.
4. From then on the symbol is ``ABSENT`` until it prints again. A delisting is a hole without an end.
5. A traded bar far from everything before it is flagged, until the next ones tell (:mod:`quantlab.data.quality.holds`).

Nothing downstream fills anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array, UInt8Array, read_only
from quantlab.core.clock import iso_utc, past_open
from quantlab.core.compiled import compiled
from quantlab.core.durations import duration_text
from quantlab.core.errors import DataError
from quantlab.core.market import Bars, BarState, Funding, Instrument, RuleChange, rules_at
from quantlab.core.soundness import is_sound_bar
from quantlab.data.quality.bar_checks import fault_in_bar
from quantlab.data.quality.holds import HOLD_WINDOW, Holds, begin_holds, copy_holds, flag_row

#: Missing bars that are filled at the start of every hole. Part of the features' definition (a longer
#: hole resets their warm-up), hence a constant and not a setting.
MAX_FILLED = 12

#: Longest jump of a live stream, in bars, that is turned into missing bars; beyond it the stamp is
#: taken to be wrong (about a month of 5-minute bars).
MAX_JUMP = 10_000

_TRADED, _ZERO_VOLUME = int(BarState.TRADED), int(BarState.ZERO_VOLUME)
_FILLED, _ABSENT = int(BarState.FILLED), int(BarState.ABSENT)


@compiled
def _fold(
    ohlcv: Float64Array,
    last_close: Float64Array,
    missing: Int64Array,
    state: UInt8Array,
    holds: Holds,
    first_row: int,
    flags: UInt8Array,
) -> int:
    """Fill `ohlcv` (T, S, 5) in place, write `state` and `flags` (T, S), carry the rest; -1 or the first bad cell.

    `first_row` is the number of the first row on the grid since 1970.
    """
    n_bars, n_symbols, _ = ohlcv.shape
    for t in range(n_bars):
        for s in range(n_symbols):
            bar = ohlcv[t, s]
            if np.isnan(bar[0]) and np.isnan(bar[1]) and np.isnan(bar[2]) and np.isnan(bar[3]) and np.isnan(bar[4]):
                state[t, s] = _ABSENT
                if np.isnan(last_close[s]):
                    continue
                missing[s] += 1
                if missing[s] <= MAX_FILLED:
                    bar[:4] = last_close[s]
                    bar[4] = 0.0
                    state[t, s] = _FILLED
            elif not is_sound_bar(bar[0], bar[1], bar[2], bar[3], bar[4]):
                return int(t * n_symbols + s)
            else:
                last_close[s] = bar[3]
                missing[s] = 0
                state[t, s] = _TRADED if bar[4] > 0.0 else _ZERO_VOLUME
        flag_row(ohlcv[t], state[t], holds, (first_row + t) % HOLD_WINDOW, flags[t])
    return -1


@dataclass(frozen=True)
class GateState:
    """Everything the gate remembers between two bars.

    Parameters
    ----------
    last_close : float64 (S,)
        USD; NaN before a symbol's first bar.
    missing : int64 (S,)
        Length of the hole so far; 0 while a symbol prints.
    open_time_ms : int or None
        Open of the last bar that passed; None before the first.
    holds : Holds
        What tells suspect prints; its arrays become read-only.
    """

    last_close: Float64Array
    missing: Int64Array
    open_time_ms: int | None
    holds: Holds

    def __post_init__(self) -> None:
        last_close = read_only(self.last_close, np.float64, (None,), "gate.last_close")
        object.__setattr__(self, "last_close", last_close)
        object.__setattr__(self, "missing", read_only(self.missing, np.int64, last_close.shape, "gate.missing"))
        for array in self.holds:
            array.flags.writeable = False


@dataclass(frozen=True)
class QualityGate:
    """Turns raw bars, NaN where there is none, into :class:`Bars`; holds no state itself.

    Parameters
    ----------
    symbols : tuple of str, length S
    instruments : tuple of Instrument, length S
        Trading rules before any change.
    interval_ms : int
    rule_changes : tuple of RuleChange
        By time; bars carry the rules of their own time.
    """

    symbols: tuple[str, ...]
    instruments: tuple[Instrument, ...]
    interval_ms: int
    rule_changes: tuple[RuleChange, ...] = ()

    def begin(self) -> GateState:
        """The state before any bar."""
        n = len(self.symbols)
        return GateState(np.full(n, np.nan), np.zeros(n, dtype=np.int64), None, begin_holds(n))

    def run(
        self, state: GateState, raw: Float64Array, open_time_ms: Int64Array, funding: Funding | None = None
    ) -> tuple[GateState, Bars]:
        """Pass a block of bars that already lie on the dense grid.

        Parameters
        ----------
        state : GateState
            As the previous block left it.
        raw : float64 (T, S, 5)
            Not changed. All five NaN = no bar.
        open_time_ms : int64 (T,)
        funding : Funding, optional
            Handed through.

        Returns
        -------
        state : GateState
            After the last bar.
        bars : Bars, length T

        Raises
        ------
        DataError
            If a bar is not sound, or the block does not follow the previous one.
        """
        return self.consume(state, raw.copy(), open_time_ms, funding)

    def consume(
        self, state: GateState, raw: Float64Array, open_time_ms: Int64Array, funding: Funding | None = None
    ) -> tuple[GateState, Bars]:
        """As :meth:`run`, without its copy: `raw`, which the caller gives up, becomes the bars."""
        self._check_follows(state, int(open_time_ms[0]))
        last_close, missing, holds = state.last_close.copy(), state.missing.copy(), copy_holds(state.holds)
        cells, flags = np.empty(raw.shape[:2], dtype=np.uint8), np.empty(raw.shape[:2], dtype=np.uint8)
        bad = _fold(raw, last_close, missing, cells, holds, int(open_time_ms[0]) // self.interval_ms, flags)
        if bad >= 0:
            t, s = divmod(bad, len(self.symbols))
            raise DataError(
                f"a sound bar of {self.symbols[s]} at {iso_utc(int(open_time_ms[t]))}",
                found=fault_in_bar(raw[t, s]),
                fix="correct the data at its source, or leave that bar out",
            )
        suspect = flags if flags.any() else None
        first = int(open_time_ms[0])
        rules = rules_at(self.symbols, self.instruments, self.rule_changes, first)
        later = tuple(change for change in self.rule_changes if change.time_ms > first)
        bars = Bars(raw, open_time_ms, self.interval_ms, cells, self.symbols, rules, funding, suspect, later)
        return GateState(last_close, missing, int(open_time_ms[-1]), holds), bars

    def update(
        self, state: GateState, row: Float64Array, open_time_ms: int, funding: Funding | None = None
    ) -> tuple[GateState, Bars]:
        """Pass one live bar; bars that never arrived since the last one come out before it.

        Parameters
        ----------
        state : GateState
        row : float64 (S, 5)
            NaN for symbols without a bar.
        open_time_ms : int
        funding : Funding, optional
            Handed through.

        Returns
        -------
        state : GateState
        bars : Bars
            Of length 1, or longer if the stream jumped over some bars.

        Raises
        ------
        DataError
            If the bar is not sound, not later than the last, off the grid, or implausibly late.
        """
        last = open_time_ms - self.interval_ms if state.open_time_ms is None else state.open_time_ms
        steps, off_grid = divmod(open_time_ms - last, self.interval_ms)
        if off_grid or not 1 <= steps <= MAX_JUMP:
            raise DataError(
                f"the next bar 1 to {MAX_JUMP} steps of {duration_text(self.interval_ms)} after {iso_utc(last)}",
                found=f"a bar stamped {open_time_ms} ms, {open_time_ms - last} ms later",
                fix="check the feed's clock and unit, or start again from history",
            )
        raw = np.full((steps, *row.shape), np.nan)
        raw[-1] = row
        times = last + self.interval_ms * np.arange(1, steps + 1, dtype=np.int64)
        return self.run(state, raw, times, funding)

    def _check_follows(self, state: GateState, first_ms: int) -> None:
        if past_open(first_ms, self.interval_ms):
            raise DataError(
                f"bars that open at multiples of {duration_text(self.interval_ms)}",
                found=f"an open at {first_ms} ms",
                fix="stamp every bar with its open time",
            )
        if state.open_time_ms is not None and first_ms != state.open_time_ms + self.interval_ms:
            raise DataError(
                f"a bar opening at {iso_utc(state.open_time_ms + self.interval_ms)}",
                found=f"one opening at {first_ms} ms",
                fix="hand the gate every bar of the grid, in order",
            )
