"""The first half of a step: one bar enters a symbol's state.

1. the bar and its predecessor,
2. the recursive averages,
3. the maxima and minima,
4. the sums, those first that later ones need (Q_288 before the bulk volume).
"""

from __future__ import annotations

import math

from quantlab.core.compiled import compiled
from quantlab.features.kernels.recursions import WILDER_14, ema_rate, follow
from quantlab.features.kernels.state import HIGH, MINUS_LOW, R2
from quantlab.features.kernels.windows import Kernel, phase, slide_latest_max, slide_max, slide_sum

#: Squared returns over 288 bars that sum to less than this are a dead market.
DEAD = 1e-20
#: A price average or distance below this share of the close is rounding.
TINY = 1e-12
#: The unit of price distances, the average true range, is at least this share of the close.
ATR_FLOOR = 1e-5
STREAK_CAP = 10.0
_BETA_WEIGHT = (math.sqrt(2.0) - 1.0) / (3.0 - 2.0 * math.sqrt(2.0))
_GAMMA_WEIGHT = 1.0 / math.sqrt(3.0 - 2.0 * math.sqrt(2.0))


@compiled(forceinline=True)
def observe(
    state: Kernel, index: Kernel, open_: Kernel, high: Kernel, low: Kernel, close: Kernel, volume: Kernel
) -> None:
    """Take in the bar with absolute number `index`; prices > 0 with L <= O, C <= H, volume >= 0."""
    first = state.bars == 0.0
    state.bars += 1.0
    _enter(state.bar, first, open_, high, low, close, volume)
    _average(state.bar, state.average, first)
    _raise_tops(state, index)
    _add_long(state, index)
    _add_48(state, index)
    _add_24(state, index)
    _add_short(state, index)


@compiled(forceinline=True)
def _enter(bar: Kernel, first: Kernel, open_: Kernel, high: Kernel, low: Kernel, close: Kernel, volume: Kernel) -> None:
    # The first bar follows itself.
    bar.open_1 = open_ if first else bar.open
    bar.high_1 = high if first else bar.high
    bar.low_1 = low if first else bar.low
    bar.close_1 = close if first else bar.close
    bar.open, bar.high, bar.low, bar.close, bar.volume = open_, high, low, close, volume
    typical = (high + low + close) / 3.0
    bar.typical_1 = typical if first else bar.typical
    bar.typical = typical
    bar.change = close - bar.close_1
    bar.tiny = TINY * close
    # Logs of ratios, not differences of logs: exact under a change of the price's unit by a power of two.
    bar.r_1, bar.hl_1 = bar.r, bar.hl
    bar.r = math.log(close / bar.close_1)
    bar.gap = math.log(open_ / bar.close_1)
    bar.top = math.log(high / bar.close_1)
    bar.bottom = math.log(low / bar.close_1)
    bar.hl = max(bar.top - bar.bottom, 0.0)
    bar.body = bar.r - bar.gap
    bar.traded = 1.0 if volume > 0.0 else 0.0
    bar.illiquidity = abs(bar.r) / (close * volume) if volume > 0.0 else 0.0
    # (C - L) - (H - C) is 2C - H - L without its cancellation, so that it never leaves [-1, 1].
    bar.clv = ((close - low) - (high - close)) / (high - low) if high > low else 0.0


@compiled(forceinline=True)
def _average(bar: Kernel, average: Kernel, first: Kernel) -> None:
    close, tiny = bar.close, bar.tiny
    # A rate of 1 starts an average at its first value.
    average.ema_9 = follow(average.ema_9, close, 1.0 if first else ema_rate(9), tiny)
    average.ema_12 = follow(average.ema_12, close, 1.0 if first else ema_rate(12), tiny)
    average.ema_21 = follow(average.ema_21, close, 1.0 if first else ema_rate(21), tiny)
    average.ema_26 = follow(average.ema_26, close, 1.0 if first else ema_rate(26), tiny)
    average.ema_50 = follow(average.ema_50, close, 1.0 if first else ema_rate(50), tiny)
    average.macd_9 = follow(average.macd_9, average.ema_12 - average.ema_26, ema_rate(9), tiny)

    wilder = 1.0 if first else WILDER_14
    average.gain = follow(average.gain, max(bar.change, 0.0), wilder, tiny)
    average.loss = follow(average.loss, max(-bar.change, 0.0), wilder, tiny)
    reach = max(bar.high - bar.low, abs(bar.high - bar.close_1), abs(bar.low - bar.close_1))
    average.atr = follow(average.atr, reach, wilder, tiny)
    average.per_atr = 1.0 / max(average.atr, ATR_FLOOR * close)
    up, down = bar.high - bar.high_1, bar.low_1 - bar.low
    average.plus = follow(average.plus, up if up > down and up > 0.0 else 0.0, wilder, tiny)
    average.minus = follow(average.minus, down if down > up and down > 0.0 else 0.0, wilder, tiny)
    directed = average.plus + average.minus
    dx = abs(average.plus - average.minus) / directed if directed > tiny else 0.0
    average.adx = follow(average.adx, dx, wilder, TINY)

    # Capped inside the state too, so that ten bars are all it remembers.
    if bar.change > 0.0:
        average.streak = min(max(average.streak, 0.0) + 1.0, STREAK_CAP)
    elif bar.change < 0.0:
        average.streak = max(min(average.streak, 0.0) - 1.0, -STREAK_CAP)
    else:
        average.streak = 0.0


@compiled(forceinline=True)
def _raise_tops(state: Kernel, index: Kernel) -> None:
    bar = state.bar
    extremes = (bar.high, -bar.low)
    slide_max(state.tops_288, phase(index, 288), (bar.high,))
    slide_max(state.tops_55, phase(index, 55), extremes)
    slide_latest_max(state.tops_26, phase(index, 26), extremes, index)
    slide_max(state.tops_14, phase(index, 14), extremes)

    bar.stoch_2, bar.stoch_1 = bar.stoch_1, bar.stoch
    lowest = -state.tops_14.top[MINUS_LOW]
    width = state.tops_14.top[HIGH] - lowest
    bar.stoch = (bar.close - lowest) / width if width > 0.0 else 0.5


@compiled(forceinline=True)
def _add_long(state: Kernel, index: Kernel) -> None:
    bar = state.bar
    p = phase(index, 288)
    # A ring's place p still holds the close of 288 bars ago; a negative index counts from the ring's end.
    bar.r_12 = math.log(bar.close / state.closes_288[p - 12])
    bar.r_48 = math.log(bar.close / state.closes_288[p - 48])
    bar.r_288 = math.log(bar.close / state.closes_288[p])
    bar.change_20 = bar.close - state.closes_288[p - 20]
    state.closes_288[p] = bar.close

    slide_sum(state.sums_288, p, (bar.volume, bar.r * bar.r, bar.illiquidity, bar.traded, bar.typical * bar.volume))
    squares = state.sums_288.total[R2]
    bar.per_sigma = 1.0 / math.sqrt(squares * (1.0 / 288.0)) if squares > DEAD else 0.0

    slide_sum(state.sums_200, phase(index, 200), (bar.close,))


@compiled(forceinline=True)
def _add_48(state: Kernel, index: Kernel) -> None:
    bar = state.bar
    square = bar.r * bar.r
    # Bulk volume classification: V (2 Phi(r / sigma) - 1) = V erf(r / (sqrt 2 sigma)).
    flow = bar.volume * math.erf(bar.r * bar.per_sigma * (1.0 / math.sqrt(2.0)))
    values = (
        bar.volume,
        square,
        bar.hl * bar.hl,
        square if bar.r < 0.0 else 0.0,
        bar.r * bar.r_1,
        bar.r_1 * bar.r_1,
        flow,
    )
    slide_sum(state.sums_48, phase(index, 48), values)


@compiled(forceinline=True)
def _add_24(state: Kernel, index: Kernel) -> None:
    bar = state.bar
    from_high, from_low = bar.top - bar.r, bar.bottom - bar.r
    p = phase(index, 24)
    rogers_satchell = from_high * (bar.top - bar.gap) + from_low * (bar.bottom - bar.gap)
    values = (
        bar.volume,
        bar.r * bar.r,
        bar.illiquidity,
        bar.traded,
        rogers_satchell,
        _corwin_schultz(bar),
        bar.gap,
        bar.body,
    )
    slide_sum(state.sums_24, p, values)
    state.gaps_24[p] = bar.gap
    state.bodies_24[p] = bar.body
    bar.from_high, bar.from_low = from_high, from_low


@compiled(forceinline=True)
def _corwin_schultz(bar: Kernel) -> Kernel:
    """Spread estimate of this and the previous bar, floored at 0."""
    beta = bar.hl * bar.hl + bar.hl_1 * bar.hl_1
    # Here from_high and from_low are still the previous bar's, relative to the close that top and bottom refer to.
    both = max(bar.top, bar.from_high) - min(bar.bottom, bar.from_low)
    # (sqrt(2 beta) - sqrt(beta)) / k - sqrt(gamma / k) with k = 3 - 2 sqrt 2 and sqrt(gamma) = both >= 0.
    alpha = _BETA_WEIGHT * math.sqrt(beta) - _GAMMA_WEIGHT * both
    grown = math.exp(alpha)
    return max(2.0 * (grown - 1.0) / (grown + 1.0), 0.0)


@compiled(forceinline=True)
def _add_short(state: Kernel, index: Kernel) -> None:
    bar = state.bar
    p = phase(index, 20)
    sign = 1.0 if bar.change > 0.0 else (-1.0 if bar.change < 0.0 else 0.0)
    values = (bar.volume, bar.close, abs(bar.change), sign * bar.volume, bar.clv * bar.volume)
    slide_sum(state.sums_20, p, values)
    state.closes_20[p] = bar.close
    state.returns_40[p] = bar.r
    state.returns_40[p + 20] = bar.r

    flow = bar.typical * bar.volume
    rising = flow if bar.typical > bar.typical_1 else 0.0
    falling = flow if bar.typical < bar.typical_1 else 0.0
    slide_sum(state.sums_14, phase(index, 14), (rising, falling))

    bar.range_10 = state.sums_10.total[0] / 10.0
    slide_sum(state.sums_10, phase(index, 10), (bar.high - bar.low,))
