"""The 49 values of each cell, group by group as in the catalogue: loops over cells without memory.

Constants divide as products with their reciprocals, and a divisor that several features share is inverted once.
"""

from __future__ import annotations

import math

from quantlab.core.compiled import compiled
from quantlab.features.kernels.cells import COUNT
from quantlab.features.kernels.derive import ratio
from quantlab.features.kernels.elementary import log_ratio
from quantlab.features.kernels.fold import STREAK_CAP
from quantlab.features.kernels.state import (
    CLV_VOLUME,
    DOWNSIDE,
    FALLING,
    FLOW,
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
from quantlab.features.kernels.windows import Kernel

__all__ = ["CLIP", "COUNT", "NOTHING", "write_features"]

#: Distances in units of the average true range are cut here.
CLIP = 50.0
#: The unit of price distances, the average true range, is at least this share of the close.
ATR_FLOOR = 1e-5
#: Sums of squared returns up to this are zero.
NOTHING = 1e-20
_YANG_ZHANG_K = 0.34 / (1.34 + 25.0 / 23.0)
_PARKINSON = 1.0 / (4.0 * math.log(2.0))


@compiled(forceinline=True)
def clip(value: Kernel, low: Kernel, high: Kernel) -> Kernel:
    """`value` inside ``[low, high]``; where the mathematics says so already, it cuts rounding."""
    return min(max(value, low), high)


@compiled(inline="always")
def write_features(cells: Kernel, n: Kernel) -> None:
    """Leave the 49 values of the first `n` cells in ``cells.features``."""
    _price(cells, n)
    _momentum(cells, n)
    _trend(cells, n)
    _volatility(cells, n)
    _volume(cells, n)
    _patterns(cells, n)
    _microstructure(cells, n)


@compiled(forceinline=True)
def _price(cells: Kernel, n: Kernel) -> None:
    features = cells.features
    for i in range(n):
        gap, r = cells.gap[i], cells.r[i]
        features[0, i] = r
        features[1, i] = cells.hl[i]
        features[2, i] = log_ratio(cells.close[i], cells.tops_288[HIGH, i])
        features[3, i] = max(cells.top[i] - max(gap, r), 0.0)
        features[4, i] = max(min(gap, r) - cells.bottom[i], 0.0)
        volume = cells.sums_288[VOLUME, i]
        features[5, i] = cells.close[i] * volume / cells.sums_288[TYPICAL_VALUE, i] - 1.0 if volume > 0.0 else 0.0


@compiled(forceinline=True)
def _momentum(cells: Kernel, n: Kernel) -> None:
    features = cells.features
    for i in range(n):
        close, per_sigma = cells.close[i], cells.per_sigma[i]
        features[11, i] = log_ratio(close, cells.close_12[i]) * per_sigma * (1.0 / math.sqrt(12.0))
        features[12, i] = log_ratio(close, cells.close_48[i]) * per_sigma * (1.0 / math.sqrt(48.0))
        features[24, i] = log_ratio(close, cells.close_288[i]) * per_sigma * (1.0 / math.sqrt(288.0))
        gain = cells.gain[i]
        features[6, i] = ratio(gain, gain + cells.loss[i], cells.tiny[i], 0.5)
        stoch = cells.stoch[i]
        features[9, i] = stoch
        features[10, i] = (stoch + cells.stoch_1[i] + cells.stoch_2[i]) * (1.0 / 3.0)


@compiled(forceinline=True)
def _trend(cells: Kernel, n: Kernel) -> None:
    features = cells.features
    for i in range(n):
        close, atr, tiny = cells.close[i], cells.atr[i], cells.tiny[i]
        per_range, per_close = 1.0 / atr, 1.0 / close
        per_atr = min(per_range, per_close * (1.0 / ATR_FLOOR))
        # Momentum and volatility use these divisors too.
        macd = cells.ema_12[i] - cells.ema_26[i]
        features[7, i] = clip(macd * per_atr, -CLIP, CLIP)
        features[8, i] = clip((macd - cells.macd_9[i]) * per_atr, -CLIP, CLIP)
        features[26, i] = atr * per_close
        features[13, i] = clip((close - cells.ema_9[i]) * per_atr, -CLIP, CLIP)
        features[14, i] = clip((close - cells.ema_21[i]) * per_atr, -CLIP, CLIP)
        features[15, i] = clip((close - cells.ema_50[i]) * per_atr, -CLIP, CLIP)
        distance = close - cells.sums_200[0, i] * (1.0 / 200.0)
        features[16, i] = clip(distance * per_atr, -CLIP, CLIP) if abs(distance) > tiny else 0.0
        features[17, i] = cells.adx[i]
        features[18, i] = min(cells.plus[i] * per_range, 1.0) if atr > tiny else 0.0
        features[19, i] = min(cells.minus[i] * per_range, 1.0) if atr > tiny else 0.0

        features[20, i] = (cells.when_26[HIGH, i] - cells.when_26[MINUS_LOW, i]) * (1.0 / 25.0)
        total, squares, cross = cells.line_20[0, i], cells.line_20[1, i], cells.line_20[2, i]
        centred = squares - total * total * (1.0 / 20.0)
        features[21, i] = cross * (1.0 / 665.0) * cells.per_sigma[i]  # 665 = sum of (i - 9.5)^2
        features[22, i] = min(ratio(cross * cross, 665.0 * centred, 665.0 * NOTHING, 0.0), 1.0)
        features[23, i] = min(ratio(abs(close - cells.close_20[i]), cells.sums_20[MOVE, i], tiny, 0.0), 1.0)
        lowest = -cells.tops_55[MINUS_LOW, i]
        features[25, i] = ratio(close - lowest, cells.tops_55[HIGH, i] - lowest, 0.0, 0.5)


@compiled(forceinline=True)
def _squared_deviations(total: Kernel, squares: Kernel, per_bars: Kernel) -> Kernel:
    """Sum of squared deviations from the mean, of ``1 / per_bars`` values with this sum and sum of squares."""
    return max(squares - total * total * per_bars, 0.0)


@compiled(forceinline=True)
def _volatility(cells: Kernel, n: Kernel) -> None:
    features = cells.features
    for i in range(n):
        sigma, per_sigma, q48 = cells.sigma[i], cells.per_sigma[i], cells.sums_48[R2, i]
        features[30, i] = sigma
        short = math.sqrt(cells.sums_24[R2, i] * (1.0 / 24.0))
        features[31, i] = short * per_sigma if per_sigma > 0.0 else 1.0
        parkinson = cells.sums_48[RANGE2, i] * _PARKINSON
        features[32, i] = ratio(parkinson, parkinson + q48, NOTHING, 0.5)
        features[33, i] = ratio(cells.sums_48[DOWNSIDE, i], q48, NOTHING, 0.5)

        close = cells.close[i]
        total = cells.closes_20[1, i]
        deviation = math.sqrt(_squared_deviations(total, cells.closes_20[2, i], 1.0 / 20.0) * (1.0 / 20.0))
        from_mean = cells.closes_20[0, i] - total * (1.0 / 20.0)
        flat = deviation <= cells.tiny[i]
        features[27, i] = 0.0 if flat else 4.0 * deviation / (close - from_mean)
        features[28, i] = 0.5 if flat else from_mean / (4.0 * deviation) + 0.5
        gaps = _squared_deviations(cells.gaps_24[1, i], cells.gaps_24[2, i], 1.0 / 24.0) * (1.0 / 23.0)
        bodies = _squared_deviations(cells.bodies_24[1, i], cells.bodies_24[2, i], 1.0 / 24.0) * (1.0 / 23.0)
        inside = max(cells.sums_24[ROGERS_SATCHELL, i], 0.0) * (1.0 / 24.0)
        features[29, i] = math.sqrt(gaps + _YANG_ZHANG_K * bodies + (1.0 - _YANG_ZHANG_K) * inside)


@compiled(forceinline=True)
def _volume(cells: Kernel, n: Kernel) -> None:
    features = cells.features
    for i in range(n):
        volume = cells.sums_20[VOLUME, i]
        # ln(1 + a / b) = ln((b + a) / b).
        usual = volume * (1.0 / 20.0)
        features[34, i] = log_ratio(usual + cells.volume[i], usual) if usual > 0.0 else 0.0
        usual = cells.sums_288[VOLUME, i] * (1.0 / 288.0)
        recent = cells.sums_24[VOLUME, i] * (1.0 / 24.0)
        features[35, i] = log_ratio(usual + recent, usual) if usual > 0.0 else math.log(2.0)
        per_volume = ratio(1.0, volume, 0.0, 0.0)
        features[36, i] = clip(cells.sums_20[SIGNED_VOLUME, i] * per_volume, -1.0, 1.0)
        features[37, i] = clip(cells.sums_20[CLV_VOLUME, i] * per_volume, -1.0, 1.0)
        rising = cells.sums_14[RISING, i]
        features[38, i] = ratio(rising, rising + cells.sums_14[FALLING, i], 0.0, 0.5)


@compiled(forceinline=True)
def _patterns(cells: Kernel, n: Kernel) -> None:
    features = cells.features
    for i in range(n):
        open_, close = cells.open[i], cells.close[i]
        open_1, close_1 = cells.open_1[i], cells.close_1[i]
        high, low = cells.high[i], cells.low[i]
        high_1, low_1 = cells.high_1[i], cells.low_1[i]
        top, bottom = max(open_, close), min(open_, close)
        top_1, bottom_1 = max(open_1, close_1), min(open_1, close_1)
        features[39, i] = 1.0 if top - bottom <= 0.1 * (cells.range_10[i] / 10.0) else 0.0
        features[40, i] = ratio((bottom - low) - (high - top), high - low, 0.0, 0.0)
        # The body covers the previous one of the other colour; at one end it may end with it.
        white, white_1 = close >= open_, close_1 >= open_1
        covers = (top >= top_1) & (bottom <= bottom_1) & ((top > top_1) | (bottom < bottom_1)) & (white != white_1)
        features[41, i] = (1.0 if white else -1.0) if covers else 0.0
        outside = (high > high_1) & (low < low_1)
        inside = (high < high_1) & (low > low_1)
        features[42, i] = 1.0 if outside else (-1.0 if inside else 0.0)
        features[43, i] = cells.streak[i] * (1.0 / STREAK_CAP)


@compiled(forceinline=True)
def _microstructure(cells: Kernel, n: Kernel) -> None:
    features = cells.features
    for i in range(n):
        features[44, i] = cells.clv[i]
        traded = cells.sums_24[TRADED, i]
        # (a / m) / (a / m + b / n) = a n / (a n + b m)
        recent = cells.sums_24[ILLIQUIDITY, i] * cells.sums_288[TRADED, i]
        share = ratio(recent, recent + cells.sums_288[ILLIQUIDITY, i] * traded, 0.0, 0.5)
        features[45, i] = share if traded > 0.0 else 0.5
        root = math.sqrt(cells.sums_48[R2, i] * cells.sums_48[LAG_R2, i])
        features[46, i] = clip(ratio(cells.sums_48[LAG_PRODUCT, i], root, NOTHING, 0.0), -1.0, 1.0)
        features[47, i] = cells.sums_24[SPREAD, i] * (1.0 / 24.0)
        features[48, i] = ratio(cells.sums_48[FLOW, i], cells.sums_48[VOLUME, i], 0.0, 0.0)
