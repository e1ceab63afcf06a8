"""Folds of bars into the state of a symbol, one bar after the other.

The cells of one symbol lie in order of time; whose memory a cell enters is in ``cells.place``. Each loop
feeds one part of the memory.
"""

from __future__ import annotations

import numpy as np

from quantlab.core.compiled import compiled
from quantlab.features.kernels.recursions import TINY, WILDER_14, approach, ema_rate, follow
from quantlab.features.kernels.windows import (
    Kernel,
    phase,
    slide_latest_max,
    slide_line,
    slide_max,
    slide_spread,
    slide_sum,
)

STREAK_CAP = 10.0


@compiled(forceinline=True)
def fold_averages(state: Kernel, cells: Kernel, n: Kernel) -> None:
    """Recursive averages of prices and of moves; the run of rising or falling closes."""
    for i in range(n):
        memory, close, tiny = state[cells.place[i]], cells.close[i], cells.tiny[i]
        if cells.bars[i] == 1.0:
            _start(memory, cells, i)
        # An average of prices never decays to nothing.
        ema_9 = approach(memory.ema_9, close, ema_rate(9.0))
        ema_12 = approach(memory.ema_12, close, ema_rate(12.0))
        ema_21 = approach(memory.ema_21, close, ema_rate(21.0))
        ema_26 = approach(memory.ema_26, close, ema_rate(26.0))
        ema_50 = approach(memory.ema_50, close, ema_rate(50.0))
        macd_9 = follow(memory.macd_9, ema_12 - ema_26, ema_rate(9.0), tiny)
        memory.ema_9, memory.ema_12, memory.ema_21 = ema_9, ema_12, ema_21
        memory.ema_26, memory.ema_50, memory.macd_9 = ema_26, ema_50, macd_9
        cells.ema_9[i], cells.ema_12[i], cells.ema_21[i] = ema_9, ema_12, ema_21
        cells.ema_26[i], cells.ema_50[i], cells.macd_9[i] = ema_26, ema_50, macd_9

        gain = follow(memory.gain, cells.gain_1[i], WILDER_14, tiny)
        loss = follow(memory.loss, cells.loss_1[i], WILDER_14, tiny)
        atr = follow(memory.atr, cells.reach[i], WILDER_14, tiny)
        plus = follow(memory.plus, cells.plus_1[i], WILDER_14, tiny)
        minus = follow(memory.minus, cells.minus_1[i], WILDER_14, tiny)
        memory.gain, memory.loss, memory.atr = gain, loss, atr
        memory.plus, memory.minus = plus, minus
        cells.gain[i], cells.loss[i], cells.atr[i] = gain, loss, atr
        cells.plus[i], cells.minus[i] = plus, minus

        # Capped inside the memory too, so that ten bars are all it holds.
        direction, streak = cells.direction[i], memory.streak
        streak = direction + (streak if streak * direction > 0.0 else 0.0)
        streak = min(max(streak, -STREAK_CAP), STREAK_CAP)
        memory.streak = streak
        cells.streak[i] = streak


@compiled(forceinline=True)
def _start(memory: Kernel, cells: Kernel, i: Kernel) -> None:
    """Averages start at their first value."""
    close = cells.close[i]
    memory.ema_9 = memory.ema_12 = memory.ema_21 = memory.ema_26 = memory.ema_50 = close
    memory.gain, memory.loss, memory.atr = cells.gain_1[i], cells.loss_1[i], cells.reach[i]
    memory.plus, memory.minus = cells.plus_1[i], cells.minus_1[i]


@compiled(forceinline=True)
def fold_lags(state: Kernel, cells: Kernel, n: Kernel) -> None:
    """Fold lagged values: the bar before, and earlier closes."""
    for i in range(n):
        memory = state[cells.place[i]]
        cells.r_1[i], cells.hl_1[i] = memory.r, memory.hl
        cells.from_high_1[i], cells.from_low_1[i] = memory.from_high, memory.from_low
        memory.r, memory.hl = cells.r[i], cells.hl[i]
        memory.from_high, memory.from_low = cells.from_high[i], cells.from_low[i]
        p, closes = phase(cells.index[i], np.uint64(288)), memory.closes_288
        # A ring's place p still holds the close of 288 bars ago; a negative index counts from the ring's end.
        cells.close_12[i], cells.close_20[i] = closes[p - 12], closes[p - 20]
        cells.close_48[i], cells.close_288[i] = closes[p - 48], closes[p]
        closes[p] = cells.close[i]


@compiled(forceinline=True)
def fold_tops(state: Kernel, cells: Kernel, n: Kernel) -> None:
    """Highest highs and lowest lows."""
    for i in range(n):
        memory, index, high = state[cells.place[i]], cells.index[i], cells.high[i]
        extremes = (high, -cells.low[i])
        slide_max(memory.tops_288, phase(index, np.uint64(288)), (high,), cells.tops_288, i)
        slide_max(memory.tops_55, phase(index, np.uint64(55)), extremes, cells.tops_55, i)
        slide_latest_max(memory.tops_26, phase(index, np.uint64(26)), extremes, index, cells.when_26, i)
        slide_max(memory.tops_14, phase(index, np.uint64(14)), extremes, cells.tops_14, i)


@compiled(forceinline=True)
def fold_long_sums(state: Kernel, cells: Kernel, n: Kernel) -> None:
    """Sums over 200 and 288 bars."""
    for i in range(n):
        memory, index = state[cells.place[i]], cells.index[i]
        values = (cells.volume[i], cells.square[i], cells.illiquidity[i], cells.traded[i], cells.value[i])
        slide_sum(memory.sums_288, phase(index, np.uint64(288)), values, cells.sums_288, i)
        slide_sum(memory.sums_200, phase(index, np.uint64(200)), (cells.close[i],), cells.sums_200, i)


@compiled(forceinline=True)
def fold_short_sums(state: Kernel, cells: Kernel, n: Kernel) -> None:
    """Sums, spread and line over 10 to 20 bars."""
    for i in range(n):
        memory, index = state[cells.place[i]], cells.index[i]
        p = phase(index, np.uint64(20))
        flows = (cells.volume[i], cells.move[i], cells.signed_volume[i], cells.clv_volume[i])
        slide_sum(memory.sums_20, p, flows, cells.sums_20, i)
        slide_spread(memory.closes_20, p, cells.close[i], cells.closes_20, i)
        slide_line(memory.line_20, p, cells.r[i], cells.line_20, i)
        slide_sum(memory.sums_14, phase(index, np.uint64(14)), (cells.rising[i], cells.falling[i]), cells.sums_14, i)
        slide_sum(memory.sums_10, phase(index, np.uint64(10)), (cells.range[i],), cells.sums_10, i)
        cells.range_10[i] = memory.range_10
        memory.range_10 = cells.sums_10[0, i]


@compiled(forceinline=True)
def fold_derived(state: Kernel, cells: Kernel, n: Kernel) -> None:
    """Fold values that earlier folds give: direction, place in the range, sums over 24 and 48 bars."""
    for i in range(n):
        memory, index = state[cells.place[i]], cells.index[i]
        cells.stoch_1[i], cells.stoch_2[i] = memory.stoch, memory.stoch_1
        memory.stoch_1, memory.stoch = memory.stoch, cells.stoch[i]
        adx = follow(memory.adx, cells.dx[i], WILDER_14, TINY)
        memory.adx = adx
        cells.adx[i] = adx

        volume, square = cells.volume[i], cells.square[i]
        lag_product, lag_square, flow = cells.lag_product[i], cells.lag_square[i], cells.flow[i]
        values = (volume, square, cells.hl_square[i], cells.drop_square[i], lag_product, lag_square, flow)
        slide_sum(memory.sums_48, phase(index, np.uint64(48)), values, cells.sums_48, i)
        p = phase(index, np.uint64(24))
        short = (volume, square, cells.illiquidity[i], cells.traded[i], cells.rogers_satchell[i], cells.spread[i])
        slide_sum(memory.sums_24, p, short, cells.sums_24, i)
        slide_spread(memory.gaps_24, p, cells.gap[i], cells.gaps_24, i)
        slide_spread(memory.bodies_24, p, cells.body[i], cells.bodies_24, i)
