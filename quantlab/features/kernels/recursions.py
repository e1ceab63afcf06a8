"""Exponential averages that forget where they started, to the last bit.

The form ``y += a * (x - y)`` contracts towards its input, so that averages started at different bars
end on the same bits. Two things could keep them apart or slow, and both are cut off here.
"""

from __future__ import annotations

from quantlab.core.compiled import compiled
from quantlab.features.kernels.windows import Kernel

#: Wilder's smoothing over 14 bars (J. W. Wilder, "New Concepts in Technical Trading Systems", 1978).
WILDER_14 = 1.0 / 14.0
#: A price average or distance below this share of the close is rounding.
TINY = 1e-12
#: Relative distance below which an average takes its input's value.
SNAP = 1e-14


@compiled(forceinline=True)
def approach(average: Kernel, value: Kernel, rate: Kernel) -> Kernel:
    """One step of an exponential average of `value` at `rate`; see :func:`follow`."""
    average += rate * (value - average)
    return value if abs(value - average) <= SNAP * abs(value) else average


@compiled(forceinline=True)
def follow(average: Kernel, value: Kernel, rate: Kernel, floor: Kernel) -> Kernel:
    """One step of an exponential average of `value` at `rate`.

    In a flat market two averages can stop an ulp apart for ever, because a step below half an ulp
    rounds to nothing: within `SNAP` of the input the average becomes the input. And an average that
    decays towards zero would end in subnormal numbers, which are slow: below `floor` it becomes 0.
    """
    average = approach(average, value, rate)
    return 0.0 if abs(average) < floor else average


@compiled(forceinline=True)
def ema_rate(bars: Kernel) -> Kernel:
    """Rate of the exponential moving average named by `bars`: 2 / (n + 1)."""
    return 2.0 / (bars + 1.0)
