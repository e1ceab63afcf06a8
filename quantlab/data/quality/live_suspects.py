"""Suspect bars in a live feed: the same checks as for histories, over the bars of the last two days.

Nearly every bar is dismissed by a comparison with what no rule can call suspicious; only then is a symbol's
window checked, by the very function that checks histories.
"""

from __future__ import annotations

import numpy as np

from quantlab.core.arrays import BoolArray, Float64Array
from quantlab.core.market import CLOSE, HIGH, LOW, OPEN, VOLUME, Bars
from quantlab.data.quality.suspects import (
    FAR_MOVE,
    FAR_VOLUME,
    FAR_WICK,
    FROZEN_BARS,
    Suspect,
    far_moves,
    log_moves,
    run_checks,
)

#: Bars that are remembered.
_WINDOW = 576
#: What :class:`LiveSuspects` can find.
LIVE_KINDS = ("jump", "spike", "wick", "volume", "frozen")


class LiveSuspects:
    """The last bars of every symbol, and the suspects among the newest.

    After a restart it knows the bars since then only, and judges sizes by those; nothing else depends on it.

    Parameters
    ----------
    symbols : tuple of str, length S
    """

    def __init__(self, symbols: tuple[str, ...]) -> None:
        self._symbols = symbols
        # Twice as long as the window, so that it slides without a copy of everything at every bar.
        self._rows = np.full((2 * _WINDOW, len(symbols), 5), np.nan)
        self._was_traded = np.zeros((2 * _WINDOW, len(symbols)), dtype=np.bool_)
        self._end = 0

    @property
    def _ohlcv(self) -> Float64Array:
        return self._rows[max(0, self._end - _WINDOW) : self._end]

    @property
    def _traded(self) -> BoolArray:
        return self._was_traded[max(0, self._end - _WINDOW) : self._end]

    def remember(self, bars: Bars) -> None:
        """Take in bars that passed the gate, without judging them."""
        ohlcv, traded = bars.ohlcv[-_WINDOW:], bars.tradable[-_WINDOW:]
        if self._end + len(ohlcv) > 2 * _WINDOW:
            kept = len(self._ohlcv)
            self._rows[:kept], self._was_traded[:kept] = self._ohlcv.copy(), self._traded.copy()
            self._end = kept
        self._rows[self._end : self._end + len(ohlcv)] = ohlcv
        self._was_traded[self._end : self._end + len(ohlcv)] = traded
        self._end += len(ohlcv)

    def update(self, bar: Bars) -> tuple[Suspect, ...]:
        """Take in one bar; return the suspects among it and, now that it is known, the bar before it."""
        self.remember(bar)
        if len(self._traded) < 2:
            return ()
        found: list[Suspect] = []
        for s in np.flatnonzero(self._candidates()).tolist():
            found += self._check_symbol(s, int(bar.open_time_ms[0]), bar.interval_ms)
        return tuple(found)

    def _candidates(self) -> BoolArray:
        """bool (S,): symbols that any rule could call suspicious now."""
        new, traded = self._ohlcv[-1], self._traded[-1]
        with np.errstate(invalid="ignore", divide="ignore"):
            moves = np.abs(np.diff(np.log(self._ohlcv[-3:, :, CLOSE]), axis=0)) > FAR_MOVE
            body_high, body_low = np.maximum(new[:, OPEN], new[:, CLOSE]), np.minimum(new[:, OPEN], new[:, CLOSE])
            wick = np.maximum(np.log(new[:, HIGH] / body_high), np.log(body_low / new[:, LOW])) > FAR_WICK
        before = np.where(self._traded[:-1], self._ohlcv[:-1, :, VOLUME], 0.0).max(axis=0)
        recent = self._ohlcv[-FROZEN_BARS:]
        flat = ((recent[:, :, HIGH] == recent[:, :, LOW]) & self._traded[-FROZEN_BARS:]).all(axis=0)
        found: BoolArray = moves.any(axis=0) | (traded & (wick | (new[:, VOLUME] > FAR_VOLUME * before) | flat))
        return found

    def _check_symbol(self, s: int, open_ms: int, interval_ms: int) -> list[Suspect]:
        traded, column = self._traded[:, s], np.ascontiguousarray(self._ohlcv[:, s])
        if int(traded.sum()) < 2:
            return []
        moves: Float64Array = log_moves(column[:, CLOSE])
        symbol, found = self._symbols[s], []
        if traded[-1] and far_moves(traded, moves)[-1]:
            found.append(Suspect("jump", symbol, open_ms, 1, float(abs(moves[-1]))))
        for kind, at, size in run_checks(column, traded, moves):
            # A spike is known one bar later: it is the bar before that was one.
            row, time_ms = (-2, open_ms - interval_ms) if kind == "spike" else (-1, open_ms)
            if at[row]:
                found.append(Suspect(kind, symbol, time_ms, 1, float(size[row])))
        return found
