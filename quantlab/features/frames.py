"""Bars of a longer time frame made of bars of a shorter one, causally: one step for a history and for a stream.

1. Buckets begin at multiples of the frame's length in UTC, days at 00:00, weeks on Monday.
2. A bucket takes the open of its first bar, the maximum of the highs, the minimum of the lows and the close of its
   last bar; volumes are added oldest first, from 0.
3. It is known at the close of its last bar, and not before.
4. Only whole buckets count: one in which the symbol has an absent bar, or which began before its first bar, gives
   nothing. Filled bars are bars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.blobs import pack_arrays, unpack_arrays
from quantlab.core.clock import MS_PER_DAY, MS_PER_WEEK, past_open
from quantlab.core.durations import duration_text
from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.market import CLOSE, HIGH, LOW, VOLUME, Bars

_MARK = b"quantlab big bars 1\n"


@dataclass(frozen=True)
class Frame:
    """A longer time frame over bars of a shorter one.

    Parameters
    ----------
    frame_ms : int
        A length that divides a day, or a week.
    interval_ms : int
        Of the bars; divides `frame_ms`.

    Raises
    ------
    ConfigError
        If it is no such length, or no multiple of the bars'.
    """

    frame_ms: int
    interval_ms: int

    def __post_init__(self) -> None:
        if self.frame_ms != MS_PER_WEEK and MS_PER_DAY % self.frame_ms:
            raise ConfigError(
                "a time frame that divides a day, or 1w", found=duration_text(self.frame_ms), fix="choose another"
            )
        if self.frame_ms % self.interval_ms:
            raise ConfigError(
                f"a time frame that is a multiple of the {duration_text(self.interval_ms)} bars",
                found=duration_text(self.frame_ms),
                fix="choose a longer one, or load shorter bars",
            )

    @property
    def bars(self) -> int:
        """Bars of a whole bucket."""
        return self.frame_ms // self.interval_ms

    def places(self, open_time_ms: Int64Array) -> Int64Array:
        """int64 (T,): place of each bar in its bucket, 0 .. bars - 1.

        Raises
        ------
        ContractError
            If a bar does not open on a multiple of the bars' length from the bucket's begin.
        """
        place, off = np.divmod(past_open(open_time_ms, self.frame_ms), self.interval_ms)
        if off.any():
            raise ContractError(
                f"bars that open at whole {duration_text(self.interval_ms)} from the begin of a UTC "
                f"{duration_text(self.frame_ms)}",
                found=f"{int(off[np.argmax(off != 0)])} ms after one",
                fix="take bars on the UTC grid",
            )
        return place.astype(np.int64)


def empty_buckets(symbols: int) -> tuple[Float64Array, Int64Array]:
    """Buckets before the first bar: float64 (S, 5) values, and int64 (S,) bars in a row since the bucket began."""
    return np.full((symbols, 5), np.nan), np.zeros(symbols, dtype=np.int64)


def take_bar(values: Float64Array, taken: Int64Array, place: int, bar: Float64Array) -> tuple[Float64Array, Int64Array]:
    """The one step: the buckets after one more bar of every symbol.

    Parameters
    ----------
    values : float64 (S, 5)
        Open, high, low, close, volume of the buckets under way.
    taken : int64 (S,)
        Bars of the bucket that are in `values`; fewer than `place` for a bucket that can no longer be whole.
    place : int
        Of the bar in its bucket, from 0.
    bar : float64 (S, 5)
        NaN where a symbol has none.

    Returns
    -------
    values : float64 (S, 5)
    taken : int64 (S,)
    """
    begun = bar.copy()
    begun[:, VOLUME] += 0.0  # from 0: a volume of -0.0 becomes 0.0
    if place == 0:
        grown, whole = begun, np.ones(len(taken), dtype=np.bool_)
    else:
        grown, whole = values.copy(), taken == place
        grown[:, HIGH] = np.maximum(values[:, HIGH], bar[:, HIGH])
        grown[:, LOW] = np.minimum(values[:, LOW], bar[:, LOW])
        grown[:, CLOSE] = bar[:, CLOSE]
        grown[:, VOLUME] = values[:, VOLUME] + bar[:, VOLUME]
    there = whole & ~np.isnan(bar[:, CLOSE])
    return np.where(there[:, np.newaxis], grown, np.nan), np.where(there, place + 1, 0).astype(np.int64)


def big_bars_of(bars: Bars, frame_ms: int) -> tuple[Float64Array, Int64Array]:
    """Every bucket that ends within a history.

    Parameters
    ----------
    bars : Bars, (T, S)
    frame_ms : int

    Returns
    -------
    ohlcv : float64 (N, S, 5)
        NaN where a symbol's bucket is not whole.
    known_at_ms : int64 (N,)
        Closes of the buckets, each the close of the bar that is the first to see it.

    Raises
    ------
    ConfigError, ContractError
        As :class:`Frame`.
    """
    frame = Frame(frame_ms, bars.interval_ms)
    ends = np.flatnonzero(frame.places(bars.open_time_ms) == frame.bars - 1)
    out = np.full((len(ends), bars.n_symbols, 5), np.nan)
    whole = ends >= frame.bars - 1  # a history that begins within a bucket does not have all of it
    first = ends[whole] - (frame.bars - 1)
    values, taken = empty_buckets(len(first) * bars.n_symbols)
    for place in range(frame.bars):  # all buckets side by side, each in the order of its bars
        values, taken = take_bar(values, taken, place, bars.ohlcv[first + place].reshape(-1, 5))
    out[whole] = np.where((taken == frame.bars)[:, np.newaxis], values, np.nan).reshape(-1, bars.n_symbols, 5)
    return out, bars.close_time_ms[ends]


class BigBarStream:
    """The same buckets, one bar at a time.

    Parameters
    ----------
    symbols : tuple of str
        In the order of every bar.
    interval_ms, frame_ms : int

    Raises
    ------
    ConfigError
        As :class:`Frame`.
    """

    def __init__(self, symbols: tuple[str, ...], interval_ms: int, frame_ms: int) -> None:
        self._symbols = tuple(symbols)
        self._frame = Frame(frame_ms, interval_ms)
        self._values, self._taken = empty_buckets(len(self._symbols))
        self._last_ms: int | None = None

    def update(self, bar: Bars) -> Float64Array | None:
        """Take in one bar of every symbol; return the buckets that it completes.

        Returns
        -------
        float64 (S, 5) or None
            NaN where a symbol's bucket is not whole; None where no bucket ends with this bar.

        Raises
        ------
        ContractError
            If it is not the next bar of the same symbols; the state is then unchanged.
        """
        frame = self._frame
        now = int(bar.open_time_ms[0])
        following = self._last_ms is None or now == self._last_ms + frame.interval_ms
        if bar.n_bars != 1 or bar.symbols != self._symbols or bar.interval_ms != frame.interval_ms or not following:
            raise ContractError(
                f"the next bar of {frame.interval_ms} ms of {', '.join(self._symbols)}",
                found=f"{bar.n_bars} of {bar.interval_ms} ms at {now} ms for {', '.join(bar.symbols)}",
                fix="pass every bar of the grid once, in order, NaN where there is none",
            )
        place = int(frame.places(bar.open_time_ms)[0])
        self._values, self._taken = take_bar(self._values, self._taken, place, bar.ohlcv[0])
        self._last_ms = now
        if place < frame.bars - 1:
            return None
        whole = (self._taken == frame.bars)[:, np.newaxis]
        complete: Float64Array = np.where(whole, self._values, np.nan)
        return complete

    def state(self) -> bytes:
        """Everything that the next update depends on."""
        arrays = {"values": self._values, "taken": self._taken}
        return pack_arrays(_MARK, {**self._identity(), "last_ms": self._last_ms}, arrays)

    def restore(self, state: bytes) -> None:
        """Continue from what :meth:`state` returned, here or in another process.

        Raises
        ------
        ArtifactError
            If `state` is damaged or no such state.
        ContractError
            If it belongs to other symbols, bars or another time frame.
        """
        header, arrays = unpack_arrays(_MARK, state, "state of big bars")
        ours = self._identity()
        theirs = {name: header.get(name) for name in ours}
        if theirs != ours:
            raise ContractError(f"a state of {ours}", found=str(theirs), fix="restore it where it was taken from")
        self._values, self._taken, self._last_ms = arrays["values"], arrays["taken"], header["last_ms"]

    def _identity(self) -> dict[str, object]:
        frame = self._frame
        return {"symbols": list(self._symbols), "interval_ms": frame.interval_ms, "frame_ms": frame.frame_ms}
