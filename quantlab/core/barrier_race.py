"""The race of the triple barrier: which of its levels does an entry's price meet first, long and short alike?

Labels and the yardstick of blind entries run this one race, so a stop means the same in both:

1. an entry at a price has a target and a stop, each some distance away; a short's lie mirrored;
2. a stop is reached at or beyond its level, a target is passed only strictly beyond it;
3. where one bar does both, the stop came first: exactly what the simulation does with a position.
"""

from __future__ import annotations

from quantlab.core.arrays import Float64Array, UInt8Array
from quantlab.core.compiled import compiled
from quantlab.core.market import HIGH, LOW

#: What a bar does to the races that are open in it: nothing, it may settle them, or it ends them unsettled.
PASSES, SETTLES, ENDS = 0, 1, 2
#: How a race stands after its last bar.
STOPPED, UNSETTLED, WON = -1, 0, 1


@compiled
def run_races(
    ohlcv: Float64Array,
    kind: UInt8Array,
    s: int,
    first: int,
    stop_before: int,
    entry: float,
    target: float,
    stop: float,
) -> tuple[int, int, int]:
    """Run the long and the short race of one entry until both are settled.

    Parameters
    ----------
    ohlcv : float64 (T, S, 5)
    kind : uint8 (T, S)
        ``PASSES``, ``SETTLES`` or ``ENDS``.
    s : int
        Symbol.
    first, stop_before : int
        Bars ``first:stop_before``, the entry's own bar first.
    entry : float
        USD.
    target, stop : float
        Distances of the levels from `entry`, USD.

    Returns
    -------
    (int, int, int)
        ``STOPPED``, ``UNSETTLED`` or ``WON`` for the long and for the short, and the last bar in which one of them
        was open; ``first - 1`` if there was none.
    """
    long_target, long_stop = entry + target, entry - stop
    short_target, short_stop = entry - target, entry + stop
    long, short = UNSETTLED, UNSETTLED
    for j in range(first, stop_before):
        if kind[j, s] == ENDS:
            return long, short, j - 1
        if kind[j, s] == SETTLES:
            high, low = ohlcv[j, s, HIGH], ohlcv[j, s, LOW]
            # The stop is asked first: within one bar it wins over the target.
            if long == UNSETTLED:
                long = STOPPED if low <= long_stop else WON if high > long_target else UNSETTLED
            if short == UNSETTLED:
                short = STOPPED if high >= short_stop else WON if low < short_target else UNSETTLED
        if long != UNSETTLED and short != UNSETTLED:
            return long, short, j
    return long, short, stop_before - 1
