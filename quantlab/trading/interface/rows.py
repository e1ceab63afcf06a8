"""Market and signal as compiled code reads them: a history, and one row of it."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
from numba import types
from numpy.typing import NDArray

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.compiled import compiled
from quantlab.core.errors import ContractError
from quantlab.core.market import Bars
from quantlab.core.types import Signal
from quantlab.trading.lowlevel.layout import INLINED, Row, read_only_array, tuple_type


class History(NamedTuple):
    """Bars and signal of T rows; read-only. Arrays that a signal lacks have length 0 on axis 1."""

    open_time_ms: Any  #: int64 (T,)
    ohlcv: Any  #: float64 (T, S, 5)
    state: Any  #: uint8 (T, S)
    suspect: Any  #: uint8 (T, S), or (T, 0) where no print is suspect
    funding: Any  #: float64 (N, S)
    funding_first: Any  #: int64 (T,), the rates of bar t are rows first[t]:last[t]
    funding_last: Any  #: int64 (T,)
    side: Any  #: int8 (T, S)
    proba: Any  #: float64 (T, S, 3)
    confidence: Any  #: float64 (T, S)
    consensus: Any  #: float64 (T, S)
    atr: Any  #: float64 (T, S)
    target: Any  #: float64 (T, S) or (T, 0)
    stop_distance: Any  #: float64 (T, S) or (T, 0)
    take_distance: Any  #: float64 (T, S) or (T, 0)
    trail_distance: Any  #: float64 (T, S) or (T, 0)
    break_even_distance: Any  #: float64 (T, S) or (T, 0)


_F2, _F3, _I1 = (
    read_only_array(types.float64, 2),
    read_only_array(types.float64, 3),
    read_only_array(types.int64, 1),
)

HISTORY_TYPE = tuple_type(
    History,
    _I1,
    _F3,
    read_only_array(types.uint8, 2),
    read_only_array(types.uint8, 2),
    _F2,
    _I1,
    _I1,
    read_only_array(types.int8, 2),
    _F3,
    *[_F2] * 8,
)


@compiled(**INLINED)
def row_of(history: History, t: int) -> Row:
    """Views of row `t` and of nothing else."""
    return Row(
        history.open_time_ms[t],
        history.ohlcv[t],
        history.state[t],
        history.suspect[t],
        history.funding,
        history.funding_first[t],
        history.funding_last[t],
        history.confidence[t],
        history.atr[t],
    )


def history_of(bars: Bars, signal: Signal) -> History:
    """Views of both; nothing is copied.

    Raises
    ------
    ContractError
        If the signal is not of the bars' shape.
    """
    return with_signal(market_of(bars), signal)


def market_of(bars: Bars) -> History:
    """Return what many signals of the same bars share; the fields of the signal are None until :func:`with_signal` sets them."""
    nothing: Any = dict.fromkeys(History._fields[History._fields.index("side") :])
    rate, first, last = _funding_windows(bars)
    clean = _frozen(np.empty((bars.n_bars, 0), np.uint8))
    suspect = clean if bars.suspect is None else bars.suspect
    return History(bars.open_time_ms, bars.ohlcv, bars.state, suspect, rate, first, last, **nothing)


def with_signal(market: History, signal: Signal) -> History:
    """A market's history with one signal in place of another.

    Raises
    ------
    ContractError
        If it is no signal, or not of the market's shape.
    """
    shape, given = market.state.shape, cast(object, signal)
    if not isinstance(given, Signal):
        fix = "make one with quantlab.trading.signal_of(target=...) or signal_of(side=...)"
        raise ContractError("a side or a target of every bar as a Signal", found=type(given).__name__, fix=fix)
    if signal.side.shape != shape:
        raise ContractError(
            f"a signal of shape {shape}, as the bars", found=str(signal.side.shape), fix="make it from these bars"
        )
    nothing = _frozen(np.empty((shape[0], 0)))
    return market._replace(
        side=signal.side,
        proba=signal.proba,
        confidence=signal.confidence,
        consensus=signal.consensus,
        atr=signal.atr,
        target=_or(nothing, signal.target),
        stop_distance=_or(nothing, signal.stop_distance),
        take_distance=_or(nothing, signal.take_distance),
        trail_distance=_or(nothing, signal.trail_distance),
        break_even_distance=_or(nothing, signal.break_even_distance),
    )


def _funding_windows(bars: Bars) -> tuple[Float64Array, Int64Array, Int64Array]:
    """Rates, and for each bar the rows whose stamp lies in (previous open, open]."""
    if bars.funding is None:
        none = _frozen(np.zeros(bars.n_bars, np.int64))
        return _frozen(np.empty((0, bars.n_symbols))), none, none
    stamps, opens = bars.funding.time_ms, bars.open_time_ms
    first = np.searchsorted(stamps, opens - bars.interval_ms, side="right")
    last = np.searchsorted(stamps, opens, side="right")
    return bars.funding.rate, _frozen(first.astype(np.int64)), _frozen(last.astype(np.int64))


def _or(nothing: Float64Array, array: Float64Array | None) -> Float64Array:
    return nothing if array is None else array


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """The same array, read-only, as the compiled types ask for."""
    array.flags.writeable = False
    return array
