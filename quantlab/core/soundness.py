"""Sound bars and sound funding rates: one definition each, for files, exchanges, live feeds and kernels.

A bar is sound when

1. its prices lie between :data:`SMALLEST` and :data:`LARGEST`,
2. its volume is zero or lies between the same bounds,
3. its low and high enclose its open and close.

NaN and infinity satisfy none of these. The bounds keep every product and quotient that a feature forms within
float64. A funding rate is sound when it is finite and not larger than what a venue could pay
(:func:`is_sound_rate`); an unsound one is as good as missing.
"""

from __future__ import annotations

import numpy as np

from quantlab.core.arrays import BoolArray, Float64Array
from quantlab.core.compiled import compiled
from quantlab.core.market import Funding

#: Bounds of prices, and of a volume that is not zero: a product or quotient of three such numbers fits into float64.
SMALLEST, LARGEST = 1e-100, 1e100

#: Faults of one bar, as bits of one code; a bar with a missing value has no other fault.
NOT_FINITE, PRICE, VOLUME, ORDER, SIZE = 1, 2, 4, 8, 16


@compiled(forceinline=True)
def is_sound_bar(open_: float, high: float, low: float, close: float, volume: float) -> bool:
    """True for a sound bar: the fast form of :func:`bar_faults`, for the inner loops."""
    # Comparisons with NaN are false, so that a single NaN is never sound.
    ordered = low >= SMALLEST and low <= open_ and low <= close and open_ <= high and close <= high and high <= LARGEST
    return ordered and (volume == 0.0 or (volume >= SMALLEST and volume <= LARGEST))


@compiled(forceinline=True)
def bar_faults(open_: float, high: float, low: float, close: float, volume: float) -> int:
    """Fault bits of one bar; 0 exactly where :func:`is_sound_bar` holds."""
    if is_sound_bar(open_, high, low, close, volume):
        return 0
    finite = (
        np.isfinite(open_) and np.isfinite(high) and np.isfinite(low) and np.isfinite(close) and np.isfinite(volume)
    )
    if not finite:
        return NOT_FINITE
    smallest, largest = min(open_, high, low, close), max(open_, high, low, close)
    faults = 0
    if smallest <= 0.0:
        faults |= PRICE
    if volume < 0.0:
        faults |= VOLUME
    if 0.0 < smallest < SMALLEST or largest > LARGEST or 0.0 < volume < SMALLEST or volume > LARGEST:
        faults |= SIZE
    if high < max(open_, close) or low > min(open_, close):
        faults |= ORDER
    return faults


def is_sound_rate(rate: Float64Array, largest: float) -> BoolArray:
    """bool, of `rate`'s shape: finite funding rates of at most `largest` (fraction of notional) in size."""
    sound: BoolArray = np.abs(rate) <= largest  # false for NaN, and for infinity where `largest` is finite
    return sound


def refuse_rates(funding: Funding, largest: float) -> tuple[Funding, int]:
    """Take the unsound rates out of `funding`.

    Parameters
    ----------
    funding : Funding
        NaN where the venue has no rate.
    largest : float
        Largest size of a sound rate, fraction of notional.

    Returns
    -------
    funding : Funding
        NaN in place of every unsound rate; the same object if there is none.
    refused : int
        Rates that were there and are not sound.

    Examples
    --------
    >>> bad = Funding(np.array([0]), np.array([[0.0001, -1000.0, np.inf, np.nan]]))
    >>> funding, refused = refuse_rates(bad, 0.05)
    >>> funding.rate.tolist(), refused
    ([[0.0001, nan, nan, nan]], 2)
    """
    unsound = ~np.isnan(funding.rate) & ~is_sound_rate(funding.rate, largest)
    refused = int(unsound.sum())
    if not refused:
        return funding, 0
    return Funding(funding.time_ms, np.where(unsound, np.nan, funding.rate)), refused
