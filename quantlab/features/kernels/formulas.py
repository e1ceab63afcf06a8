"""The second half of a step: the 49 values of one bar, group by group, in the order of the catalogue.

A step waits for the processor's divider more than for anything else: constants divide as products with
their reciprocals, and a divisor that several features share is inverted once.
"""

from __future__ import annotations

import math

from quantlab.core.compiled import compiled
from quantlab.features.kernels.observe import DEAD, STREAK_CAP
from quantlab.features.kernels.state import (
    BODY,
    CLOSE,
    CLV_VOLUME,
    DOWNSIDE,
    FALLING,
    FLOW,
    GAP,
    HIGH,
    ILLIQUIDITY,
    LAG_PRODUCT,
    LAG_R2,
    MINUS_LOW,
    MOVE,
    R2,
    RANGE2,
    RISING,
    ROGERS_SATCHELL,
    SIGNED_VOLUME,
    SPREAD,
    TRADED,
    TYPICAL_VALUE,
    VOLUME,
)
from quantlab.features.kernels.windows import Kernel, phase

#: Number of features.
COUNT = 49
#: Distances in units of the average true range are cut here.
CLIP = 50.0
#: Sums of squared returns up to this are zero.
NOTHING = 1e-20
_YANG_ZHANG_K = 0.34 / (1.34 + 25.0 / 23.0)
_PARKINSON = 1.0 / (4.0 * math.log(2.0))


@compiled(forceinline=True)
def clip(value: Kernel, low: Kernel, high: Kernel) -> Kernel:
    """`value` inside ``[low, high]``; where the mathematics says so already, it cuts rounding."""
    return min(max(value, low), high)


@compiled(forceinline=True)
def ratio(part: Kernel, whole: Kernel, least: Kernel, neutral: Kernel) -> Kernel:
    """``part / whole``, or `neutral` where ``whole <= least``."""
    return part / whole if whole > least else neutral


@compiled(forceinline=True)
def write_features(state: Kernel, index: Kernel, out: Kernel) -> None:
    """Write the 49 values of the bar taken in last, number `index`, to ``out[0:49]``."""
    _price(state, out)
    _momentum(state, out)
    _trend(state, index, out)
    _volatility(state, out)
    _volume(state, out)
    _patterns(state, out)
    _microstructure(state, out)


@compiled(forceinline=True)
def _price(state: Kernel, out: Kernel) -> None:
    bar = state.bar
    out[0] = bar.r
    out[1] = bar.hl
    out[2] = math.log(bar.close / state.tops_288.top[HIGH])
    out[3] = max(bar.top - max(bar.gap, bar.r), 0.0)
    out[4] = max(min(bar.gap, bar.r) - bar.bottom, 0.0)
    total = state.sums_288.total
    out[5] = bar.close * total[VOLUME] / total[TYPICAL_VALUE] - 1.0 if total[VOLUME] > 0.0 else 0.0


@compiled(forceinline=True)
def _momentum(state: Kernel, out: Kernel) -> None:
    bar, average = state.bar, state.average
    per_atr = average.per_atr
    macd = average.ema_12 - average.ema_26
    out[6] = ratio(average.gain, average.gain + average.loss, bar.tiny, 0.5)
    out[7] = clip(macd * per_atr, -CLIP, CLIP)
    out[8] = clip((macd - average.macd_9) * per_atr, -CLIP, CLIP)
    out[9] = bar.stoch
    out[10] = (bar.stoch + bar.stoch_1 + bar.stoch_2) * (1.0 / 3.0)
    out[11] = bar.r_12 * bar.per_sigma * (1.0 / math.sqrt(12.0))
    out[12] = bar.r_48 * bar.per_sigma * (1.0 / math.sqrt(48.0))


@compiled(forceinline=True)
def _trend(state: Kernel, index: Kernel, out: Kernel) -> None:
    bar, average = state.bar, state.average
    per_atr = average.per_atr
    out[13] = clip((bar.close - average.ema_9) * per_atr, -CLIP, CLIP)
    out[14] = clip((bar.close - average.ema_21) * per_atr, -CLIP, CLIP)
    out[15] = clip((bar.close - average.ema_50) * per_atr, -CLIP, CLIP)
    distance = bar.close - state.sums_200.total[0] * (1.0 / 200.0)
    out[16] = clip(distance * per_atr, -CLIP, CLIP) if abs(distance) > bar.tiny else 0.0
    out[17] = average.adx
    out[18] = min(ratio(average.plus, average.atr, bar.tiny, 0.0), 1.0)
    out[19] = min(ratio(average.minus, average.atr, bar.tiny, 0.0), 1.0)
    out[20] = (state.tops_26.when[HIGH] - state.tops_26.when[MINUS_LOW]) / 25.0
    _regression(state, index, out)
    out[23] = min(ratio(abs(bar.change_20), state.sums_20.total[MOVE], bar.tiny, 0.0), 1.0)
    out[24] = bar.r_288 * bar.per_sigma * (1.0 / math.sqrt(288.0))
    lowest = -state.tops_55.top[MINUS_LOW]
    out[25] = ratio(bar.close - lowest, state.tops_55.top[HIGH] - lowest, 0.0, 0.5)


@compiled(forceinline=True)
def _regression(state: Kernel, index: Kernel, out: Kernel) -> None:
    """Least-squares line through the last 20 log closes, measured from the oldest of them."""
    oldest = phase(index, 20) + 1
    x, total, squares, cross = 0.0, 0.0, 0.0, 0.0
    for i in range(1, 20):
        x += state.returns_40[oldest + i]
        total += x
        squares += x * x
        cross += (i - 9.5) * x
    # The oldest point is 0, so that the centred sum is at least 1/21 of this one: no digit to speak of is lost.
    squares -= total * total * (1.0 / 20.0)
    out[21] = cross * (1.0 / 665.0) * state.bar.per_sigma  # 665 = sum of (i - 9.5)^2
    out[22] = min(ratio(cross * cross, 665.0 * squares, 665.0 * NOTHING, 0.0), 1.0)


@compiled(forceinline=True)
def _volatility(state: Kernel, out: Kernel) -> None:
    bar = state.bar
    out[26] = state.average.atr / bar.close
    _bollinger(state, out)
    _yang_zhang(state, out)
    out[30] = math.sqrt(state.sums_288.total[R2] * (1.0 / 288.0))
    q24, q48, q288 = state.sums_24.total[R2], state.sums_48.total[R2], state.sums_288.total[R2]
    out[31] = math.sqrt(ratio(12.0 * q24, q288, DEAD, 1.0))
    parkinson = state.sums_48.total[RANGE2] * _PARKINSON
    out[32] = ratio(parkinson, parkinson + q48, NOTHING, 0.5)
    out[33] = ratio(state.sums_48.total[DOWNSIDE], q48, NOTHING, 0.5)


@compiled(forceinline=True)
def _bollinger(state: Kernel, out: Kernel) -> None:
    bar = state.bar
    mean = state.sums_20.total[CLOSE] * (1.0 / 20.0)
    deviation = math.sqrt(_squared_deviations(state.closes_20, mean) * (1.0 / 20.0))
    flat = deviation <= bar.tiny
    out[27] = 0.0 if flat else 4.0 * deviation / mean
    out[28] = 0.5 if flat else (bar.close - mean) / (4.0 * deviation) + 0.5


@compiled(forceinline=True)
def _squared_deviations(values: Kernel, mean: Kernel) -> Kernel:
    """Sum of (x - mean)^2 over ``values`` (n,), n a multiple of 4."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0  # four chains of additions run side by side
    for i in range(0, values.shape[0], 4):
        a += (values[i] - mean) ** 2
        b += (values[i + 1] - mean) ** 2
        c += (values[i + 2] - mean) ** 2
        d += (values[i + 3] - mean) ** 2
    return (a + c) + (b + d)


@compiled(forceinline=True)
def _yang_zhang(state: Kernel, out: Kernel) -> None:
    total = state.sums_24.total
    gap_mean, body_mean = total[GAP] * (1.0 / 24.0), total[BODY] * (1.0 / 24.0)
    gaps = _squared_deviations(state.gaps_24, gap_mean)
    bodies = _squared_deviations(state.bodies_24, body_mean)
    inside = max(total[ROGERS_SATCHELL], 0.0) * (1.0 / 24.0)
    out[29] = math.sqrt(gaps * (1.0 / 23.0) + _YANG_ZHANG_K * (bodies * (1.0 / 23.0)) + (1.0 - _YANG_ZHANG_K) * inside)


@compiled(forceinline=True)
def _volume(state: Kernel, out: Kernel) -> None:
    total = state.sums_20.total
    out[34] = math.log(1.0 + ratio(state.bar.volume, total[VOLUME] * (1.0 / 20.0), 0.0, 0.0))
    out[35] = math.log(
        1.0 + ratio(state.sums_24.total[VOLUME] * (1.0 / 24.0), state.sums_288.total[VOLUME] * (1.0 / 288.0), 0.0, 1.0)
    )
    out[36] = ratio(total[SIGNED_VOLUME], total[VOLUME], 0.0, 0.0)
    out[37] = ratio(total[CLV_VOLUME], total[VOLUME], 0.0, 0.0)
    rising, falling = state.sums_14.total[RISING], state.sums_14.total[FALLING]
    out[38] = ratio(rising, rising + falling, 0.0, 0.5)


@compiled(forceinline=True)
def _patterns(state: Kernel, out: Kernel) -> None:
    bar = state.bar
    top, bottom = max(bar.open, bar.close), min(bar.open, bar.close)
    out[39] = 1.0 if top - bottom <= 0.1 * bar.range_10 else 0.0
    out[40] = ratio((bottom - bar.low) - (bar.high - top), bar.high - bar.low, 0.0, 0.0)
    out[41] = _engulfing(bar)
    outside = bar.high > bar.high_1 and bar.low < bar.low_1
    inside = bar.high < bar.high_1 and bar.low > bar.low_1
    out[42] = 1.0 if outside else (-1.0 if inside else 0.0)
    out[43] = state.average.streak / STREAK_CAP


@compiled(forceinline=True)
def _engulfing(bar: Kernel) -> Kernel:
    """The body covers the previous one of the other colour; at one end it may end with it."""
    white, white_1 = bar.close >= bar.open, bar.close_1 >= bar.open_1
    if white == white_1:
        return 0.0
    top, bottom = max(bar.open, bar.close), min(bar.open, bar.close)
    top_1, bottom_1 = max(bar.open_1, bar.close_1), min(bar.open_1, bar.close_1)
    if (top >= top_1 and bottom < bottom_1) or (top > top_1 and bottom <= bottom_1):
        return 1.0 if white else -1.0
    return 0.0


@compiled(forceinline=True)
def _microstructure(state: Kernel, out: Kernel) -> None:
    short, day = state.sums_24.total, state.sums_288.total
    out[44] = state.bar.clv
    recent = ratio(short[ILLIQUIDITY], short[TRADED], 0.0, 0.0)
    usual = ratio(day[ILLIQUIDITY], day[TRADED], 0.0, 0.0)
    out[45] = ratio(recent, recent + usual, 0.0, 0.5) if short[TRADED] > 0.0 else 0.5
    total = state.sums_48.total
    root = math.sqrt(total[R2] * total[LAG_R2])
    out[46] = clip(ratio(total[LAG_PRODUCT], root, NOTHING, 0.0), -1.0, 1.0)
    out[47] = short[SPREAD] * (1.0 / 24.0)
    out[48] = ratio(total[FLOW], total[VOLUME], 0.0, 0.0)
