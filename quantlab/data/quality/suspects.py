"""Bars that are sound one by one and yet look wrong: reported, never changed, never refused.

A real crash and a false print can look alike (OM fell by 72 % in hours, and that was real), so a person
decides. What is looked for:

- ``spike``: a close far from the one before, of which the next bar takes most back;
- ``wick``: a high or low far beyond open and close;
- ``volume``: a volume far beyond everything that the symbol trades, as after a change of units;
- ``frozen``: many bars in a row with volume and one single price;
- ``shifted``: a symbol that moves one bar after (or before) all others, as bars stamped by their close do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import BoolArray, Float64Array
from quantlab.core.clock import iso_utc
from quantlab.core.market import HIGH, LOW, OPEN, VOLUME, Bars

#: A move is far if it is this large and this many times the symbol's median absolute move.
FAR_MOVE, _MOVE_MEDIANS = 0.08, 25.0
#: Share of a spike that the next bar takes back.
_TAKEN_BACK = 0.8
FAR_WICK = 0.25
#: Times the symbol's own 99.9 % quantile of traded volume.
FAR_VOLUME = 100.0
FROZEN_BARS = 24
#: Bars that a comparison with the market needs, symbols that make a market, and the correlation that tells.
_SHIFT_BARS, _SHIFT_SYMBOLS, _SHIFT_CORRELATION = 500, 3, 0.3


@dataclass(frozen=True)
class Suspect:
    """Something that a person should look at.

    Parameters
    ----------
    kind : {"spike", "wick", "volume", "frozen", "shifted", "jump"}
        ``jump`` is what a live bar is that may turn out a spike: whether it is taken back shows a bar later.
    symbol : str
    time_ms : int
        Open of the first bar.
    count : int
        Bars of this kind in all.
    worst : float
        The largest move (log), wick (log), volume (multiples of the usual), run (bars) or correlation.
    """

    kind: str
    symbol: str
    time_ms: int
    count: int
    worst: float

    def sentence(self) -> str:
        """One sentence for a reader."""
        since = iso_utc(self.time_ms)
        match self.kind:
            case "spike":
                return f"{self.count} bars whose move the next bar took back, up to {self.worst:.1%}, the first {since}"
            case "jump":
                return f"a move of {self.worst:.1%} in one bar, {since}"
            case "wick":
                return (
                    f"{self.count} bars with a high or low up to {self.worst:.1%} beyond open and close, first {since}"
                )
            case "volume":
                return f"{self.count} bars of up to {self.worst:,.0f} times the usual top volume, the first {since}"
            case "frozen":
                return f"one single price for up to {self.worst:.0f} bars that traded, from {since}"
        side = "after" if self.worst > 0 else "before"
        return f"moves one bar {side} the other symbols (correlation {abs(self.worst):.2f}): are its stamps closes?"


def find_suspects(bars: Bars) -> tuple[Suspect, ...]:
    """Everything suspicious in `bars`, by symbol, then kind."""
    found: list[Suspect] = []
    moves = log_moves(bars.close)
    shifts = _shifts(moves)
    for s, symbol in enumerate(bars.symbols):
        traded = bars.tradable[:, s]
        if int(traded.sum()) < 2:
            continue
        column = np.ascontiguousarray(bars.ohlcv[:, s])
        for kind, at, size in run_checks(column, traded, np.ascontiguousarray(moves[:, s])):
            if at.any():
                first, worst = int(np.argmax(at)), float(size[at].max())
                found.append(Suspect(kind, symbol, int(bars.open_time_ms[first]), int(at.sum()), worst))
        if shifts[s]:
            found.append(Suspect("shifted", symbol, int(bars.open_time_ms[np.argmax(traded)]), 1, float(shifts[s])))
    return tuple(found)


def log_moves(close: Float64Array) -> Float64Array:
    """float64 of `close`'s shape (T, ...): log moves from close to close, NaN where either is missing."""
    logs = np.log(close)
    moves = np.full(logs.shape, np.nan)
    np.subtract(logs[1:], logs[:-1], out=moves[1:])
    return moves


def far_moves(traded: BoolArray, moves: Float64Array) -> BoolArray:
    """bool (T,): moves of one symbol that are large by themselves and for this symbol."""
    size = np.abs(np.nan_to_num(moves))
    far: BoolArray = (size > FAR_MOVE) & (size > _MOVE_MEDIANS * float(np.median(size[traded])))
    return far


def run_checks(
    column: Float64Array, traded: BoolArray, moves: Float64Array
) -> Iterator[tuple[str, BoolArray, Float64Array]]:
    """Kind, rows (T,) and sizes (T,) of every check of one symbol's bars (T, 5), of which some must be traded."""
    size, after = np.abs(np.nan_to_num(moves)), np.append(np.nan_to_num(moves)[1:], 0.0)
    yield "spike", far_moves(traded, moves) & (-np.sign(moves) * after > _TAKEN_BACK * size), size
    with np.errstate(invalid="ignore", divide="ignore"):
        body_high, body_low = np.maximum(column[:, OPEN], column[:, 3]), np.minimum(column[:, OPEN], column[:, 3])
        wick = np.maximum(np.log(column[:, HIGH] / body_high), np.log(body_low / column[:, LOW]))
    yield "wick", traded & (wick > FAR_WICK), wick
    volume = np.where(traded, column[:, VOLUME], 0.0)
    times = volume / float(np.quantile(volume[traded], 0.999, method="lower"))
    yield "volume", times > FAR_VOLUME, times
    still = traded & (column[:, HIGH] == column[:, LOW]) & (np.nan_to_num(moves, nan=1.0) == 0.0)
    length = _run_lengths(still)
    yield "frozen", length == FROZEN_BARS, np.full(len(still), float(length.max()))


def _run_lengths(mask: BoolArray) -> Float64Array:
    """At every row, how many rows in a row up to here are True."""
    rows = np.arange(len(mask))
    last_false = np.maximum.accumulate(np.where(mask, -1, rows))
    lengths: Float64Array = (rows - last_false).astype(np.float64)
    return lengths


def _shifts(moves: Float64Array) -> Float64Array:
    """float64 (S,): the correlation with the market one bar earlier (or minus the one a bar later), 0 if usual."""
    n_symbols = moves.shape[1]
    out = np.zeros(n_symbols)
    if n_symbols < _SHIFT_SYMBOLS:
        return out
    clean = np.nan_to_num(np.clip(moves, -0.05, 0.05))
    known = np.isfinite(moves)
    total, count = clean.sum(axis=1), known.sum(axis=1)
    for s in range(n_symbols):
        rest = count - known[:, s]
        use = known[:, s] & (rest >= _SHIFT_SYMBOLS - 1)
        if int(use.sum()) < _SHIFT_BARS:
            continue
        market = (total - clean[:, s]) / np.maximum(rest, 1)
        same, after, before = (
            _correlation(clean[a, s], market[b], use[a])
            for a, b in (
                (slice(None), slice(None)),
                (slice(1, None), slice(None, -1)),
                (slice(None, -1), slice(1, None)),
            )
        )
        if max(after, before) > max(_SHIFT_CORRELATION, 2.0 * same):
            out[s] = after if after >= before else -before
    return out


def _correlation(ours: Float64Array, market: Float64Array, use: BoolArray) -> float:
    a, b = ours[use], market[use]
    if len(a) < 2 or a.std() == 0.0 or b.std() == 0.0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
