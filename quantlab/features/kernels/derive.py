"""Values of a bar and its predecessor: loops over cells without memory."""

from __future__ import annotations

import math

from quantlab.core.compiled import compiled
from quantlab.features.kernels.elementary import erf, exp_minus_1, log_ratio
from quantlab.features.kernels.recursions import TINY
from quantlab.features.kernels.state import HIGH, MINUS_LOW, R2
from quantlab.features.kernels.windows import Kernel

#: Squared returns over 288 bars that sum to less than this are a dead market.
DEAD = 1e-20
_BETA_WEIGHT = (math.sqrt(2.0) - 1.0) / (3.0 - 2.0 * math.sqrt(2.0))
_GAMMA_WEIGHT = 1.0 / math.sqrt(3.0 - 2.0 * math.sqrt(2.0))
# Beyond it 2 tanh(alpha / 2) is 2.
_LARGEST_ALPHA = 40.0


@compiled(forceinline=True)
def ratio(part: Kernel, whole: Kernel, least: Kernel, neutral: Kernel) -> Kernel:
    """``part / whole``, or `neutral` where ``whole <= least``."""
    return part / whole if whole > least else neutral


@compiled(forceinline=True)
def derive_returns(cells: Kernel, n: Kernel) -> None:
    """Log returns and ranges of each bar, all relative to the close before it."""
    for i in range(n):
        # Logs of ratios, not differences of logs: exact under a change of the price's unit by a power of two.
        close_1 = cells.close_1[i]
        r = log_ratio(cells.close[i], close_1)
        gap = log_ratio(cells.open[i], close_1)
        top = log_ratio(cells.high[i], close_1)
        bottom = log_ratio(cells.low[i], close_1)
        hl = max(top - bottom, 0.0)
        cells.r[i] = r
        cells.gap[i] = gap
        cells.top[i] = top
        cells.bottom[i] = bottom
        cells.hl[i] = hl
        cells.body[i] = r - gap
        cells.from_high[i] = top - r
        cells.from_low[i] = bottom - r
        cells.rogers_satchell[i] = (top - r) * (top - gap) + (bottom - r) * (bottom - gap)
        cells.square[i] = r * r
        cells.hl_square[i] = hl * hl
        cells.drop_square[i] = r * r if r < 0.0 else 0.0


@compiled(forceinline=True)
def derive_prices(cells: Kernel, n: Kernel) -> None:
    """Differences of prices, of this bar and from the one before it."""
    for i in range(n):
        high, low, close = cells.high[i], cells.low[i], cells.close[i]
        high_1, low_1, close_1 = cells.high_1[i], cells.low_1[i], cells.close_1[i]
        change = close - close_1
        cells.tiny[i] = TINY * close
        cells.direction[i] = 1.0 if change > 0.0 else (-1.0 if change < 0.0 else 0.0)
        cells.move[i] = abs(change)
        cells.gain_1[i] = max(change, 0.0)
        cells.loss_1[i] = max(-change, 0.0)
        cells.range[i] = high - low
        cells.reach[i] = max(high - low, abs(high - close_1), abs(low - close_1))
        up, down = high - high_1, low_1 - low
        cells.plus_1[i] = max(up, 0.0) if up > down else 0.0
        cells.minus_1[i] = max(down, 0.0) if down > up else 0.0


@compiled(forceinline=True)
def derive_volumes(cells: Kernel, n: Kernel) -> None:
    """The bar's volume by direction, place of the close, value and effect."""
    for i in range(n):
        high, low, close = cells.high[i], cells.low[i], cells.close[i]
        volume = cells.volume[i]
        typical = (high + low + close) / 3.0
        typical_1 = (cells.high_1[i] + cells.low_1[i] + cells.close_1[i]) / 3.0
        value = typical * volume
        cells.value[i] = value
        cells.rising[i] = value if typical > typical_1 else 0.0
        cells.falling[i] = value if typical < typical_1 else 0.0
        # (C - L) - (H - C) is 2C - H - L without its cancellation, so that it never leaves [-1, 1].
        clv = ratio((close - low) - (high - close), high - low, 0.0, 0.0)
        cells.clv[i] = clv
        cells.clv_volume[i] = clv * volume
        cells.signed_volume[i] = cells.direction[i] * volume
        cells.traded[i] = 1.0 if volume > 0.0 else 0.0
        cells.illiquidity[i] = ratio(abs(cells.r[i]), close * volume, 0.0, 0.0)


@compiled(forceinline=True)
def derive_pairs(cells: Kernel, n: Kernel) -> None:
    """Derive what needs the previous bar or first sums: products, direction, place in the range, spread, bulk volume."""
    for i in range(n):
        r, r_1 = cells.r[i], cells.r_1[i]
        cells.lag_product[i] = r * r_1
        cells.lag_square[i] = r_1 * r_1
        plus, minus = cells.plus[i], cells.minus[i]
        cells.dx[i] = ratio(abs(plus - minus), plus + minus, cells.tiny[i], 0.0)
        lowest = -cells.tops_14[MINUS_LOW, i]
        cells.stoch[i] = ratio(cells.close[i] - lowest, cells.tops_14[HIGH, i] - lowest, 0.0, 0.5)

        beta = cells.hl_square[i] + cells.hl_1[i] * cells.hl_1[i]
        both = max(cells.top[i], cells.from_high_1[i]) - min(cells.bottom[i], cells.from_low_1[i])
        # (sqrt(2 beta) - sqrt(beta)) / k - sqrt(gamma / k) with k = 3 - 2 sqrt 2 and sqrt(gamma) = both >= 0.
        alpha = _BETA_WEIGHT * math.sqrt(beta) - _GAMMA_WEIGHT * both
        grown = exp_minus_1(min(max(alpha, 0.0), _LARGEST_ALPHA))
        cells.spread[i] = 2.0 * grown / (grown + 2.0)

        squares = cells.sums_288[R2, i]
        sigma = math.sqrt(squares * (1.0 / 288.0))
        per_sigma = 1.0 / sigma if squares > DEAD else 0.0
        cells.sigma[i], cells.per_sigma[i] = sigma, per_sigma
        # Bulk volume classification: V (2 Phi(r / sigma) - 1) = V erf(r / (sqrt 2 sigma)).
        cells.flow[i] = cells.volume[i] * erf(r * per_sigma * (1.0 / math.sqrt(2.0)))
