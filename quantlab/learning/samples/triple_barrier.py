"""Triple-barrier labels with the time at which each became known (Lopez de Prado 2018, ch. 3-4).

For every bar t and symbol, two races start at the open of t+1, with ``A`` the ATR at the close of t:

1. the long race is won when a high passes ``entry + take_profit_atr * A``, and lost when a low
   reaches ``entry - stop_atr * A``;
2. the short race mirrors it;
3. how a bar settles a race stands in :mod:`quantlab.core.barrier_race`.

BUY: the long race is won within ``horizon`` bars. SELL: the short race is. HOLD: neither. Levels are
unrounded and there is no slippage: a label is about the market, not about an account.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantlab.core.arrays import BoolArray, Float32Array, Float64Array, Int8Array, Int64Array, UInt8Array, read_only
from quantlab.core.barrier_race import ENDS, PASSES, SETTLES, STOPPED, WON, run_races
from quantlab.core.checks import check_range, check_whole
from quantlab.core.compiled import compiled
from quantlab.core.errors import ConfigError
from quantlab.core.market import OPEN, VOLUME, Bars, BarState
from quantlab.core.types import BUY, HOLD, NO_LABEL, SELL, Labels

#: ``known_at_ms`` of a row without a label: later than any bar, so that no split can let it in.
NEVER_MS = int(np.iinfo(np.int64).max)

_TRADED = int(BarState.TRADED)
_FILLED = int(BarState.FILLED)
_ABSENT = int(BarState.ABSENT)
_NO_RACE = -1


@dataclass(frozen=True)
class TripleBarrier:
    """Labels by the barrier that the price meets first.

    Parameters
    ----------
    take_profit_atr, stop_atr : float
        Distances of the barriers from the entry in multiples of ATR, ``0 < stop_atr <=
        take_profit_atr``: only then do BUY and SELL exclude each other.
    horizon : int
        Bars after the decision within which a race must be won, >= 1.

    Raises
    ------
    ConfigError
        If a value is outside those ranges.

    Notes
    -----
    A row has no label where its bar is filled or absent, where ATR is not positive (warm-up, dead
    market), where the entry bar did not trade, where an absent bar comes before the races are
    settled, and where the data end first. Bars without volume count towards the horizon but settle
    nothing, because nothing could have been filled in them.

    The weight of a row is the mean over its span, entry bar to settling bar, of ``1 / number of races
    open in that bar`` for the same symbol (ch. 4.4). Races that a hole or the data end cuts short
    count while they are open: so label, weight and ``known_at_ms`` of a row depend on no bar after
    ``known_at_ms``, whatever comes later.
    """

    take_profit_atr: float
    stop_atr: float
    horizon: int

    def __post_init__(self) -> None:
        check_range("labels.stop_atr", self.stop_atr, low=0.0)
        check_range("labels.take_profit_atr", self.take_profit_atr, low=self.stop_atr)
        check_whole("labels.horizon", self.horizon, low=1)
        if self.stop_atr == 0.0:
            raise ConfigError("labels.stop_atr above 0", found=repr(self.stop_atr), fix="set barriers.stop_atr")

    def label(self, bars: Bars, atr: Float64Array) -> Labels:
        """Label every bar; linear in bars and symbols.

        Parameters
        ----------
        bars : Bars, (T, S)
        atr : float64 (T, S)
            Average true range in USD at each close, NaN in warm-up.

        Raises
        ------
        ContractError
            If `atr` is not a C-contiguous float64 array of the bars' shape.
        """
        atr = read_only(atr, np.float64, bars.state.shape, "atr")
        label = np.full(bars.state.shape, NO_LABEL, dtype=np.int8)
        last = np.full(bars.state.shape, _NO_RACE, dtype=np.int64)
        kind = np.where(bars.ohlcv[:, :, VOLUME] > 0.0, SETTLES, PASSES).astype(np.uint8)
        kind[bars.state == _ABSENT] = ENDS
        barriers = self.take_profit_atr, self.stop_atr, int(self.horizon)
        _label_rows(bars.ohlcv, bars.state, kind, atr, *barriers, label, last)
        labelled = label != NO_LABEL
        return Labels(
            label=label,
            weight=_average_uniqueness(last, labelled, _races_open(last)),
            known_at_ms=np.where(labelled, bars.close_time_ms[last], NEVER_MS),
        )


@compiled
def _label_rows(
    ohlcv: Float64Array,
    state: UInt8Array,
    kind: UInt8Array,
    atr: Float64Array,
    take_profit_atr: float,
    stop_atr: float,
    horizon: int,
    label: Int8Array,
    last: Int64Array,
) -> None:
    """Write each row's label, and the last bar in which one of its races was open."""
    n_bars, n_symbols = state.shape
    for t in range(n_bars - 1):
        for s in range(n_symbols):
            distance = atr[t, s]
            if not distance > 0.0 or state[t, s] == _FILLED or state[t, s] == _ABSENT:
                continue
            if state[t + 1, s] != _TRADED or not ohlcv[t + 1, s, VOLUME] > 0.0:
                continue
            entry = ohlcv[t + 1, s, OPEN]
            target, stop = take_profit_atr * distance, stop_atr * distance
            end = min(t + horizon, n_bars - 1) + 1
            long, short, last[t, s] = run_races(ohlcv, kind, s, t + 1, end, entry, target, stop)
            # A stop is no farther than its target, so a race that is won finds the other one stopped.
            if long == WON:
                label[t, s] = BUY
            elif short == WON:
                label[t, s] = SELL
            elif last[t, s] == t + horizon or (long == STOPPED and short == STOPPED):
                label[t, s] = HOLD


@compiled
def _races_open(last: Int64Array) -> NDArray[np.int32]:
    """int32 (T, S): how many rows' races are open in each bar, by differences of starts and ends."""
    n_bars, n_symbols = last.shape
    change = np.zeros((n_bars + 1, n_symbols), dtype=np.int32)
    for t in range(n_bars):
        for s in range(n_symbols):
            if last[t, s] != _NO_RACE:
                change[t + 1, s] += 1
                change[last[t, s] + 1, s] -= 1
    for t in range(1, n_bars):
        for s in range(n_symbols):
            change[t, s] += change[t - 1, s]
    return change[:n_bars]


@compiled
def _average_uniqueness(last: Int64Array, labelled: BoolArray, races_open: NDArray[np.int32]) -> Float32Array:
    """float32 (T, S): mean of ``1 / races_open`` over each labelled row's span."""
    weight = np.zeros(last.shape, dtype=np.float32)
    for t in range(last.shape[0]):
        for s in range(last.shape[1]):
            if labelled[t, s]:
                total = 0.0
                for j in range(t + 1, last[t, s] + 1):
                    total += 1.0 / races_open[j, s]
                weight[t, s] = total / (last[t, s] - t)
    return weight
