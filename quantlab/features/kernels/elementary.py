"""Logarithm, exponential and their like from additions, products and one division: no call, no branch.

The mathematical library of the machine has faster and slower, and differently rounded, versions of
these; a call to it also keeps a loop from being worked on several cells at once. Written out, they round
alike on every machine, and a loop over cells becomes vector instructions.
"""

from __future__ import annotations

import math

import numpy as np

from quantlab.core.compiled import compiled
from quantlab.features.kernels.windows import Kernel

_MANTISSA_BITS = 52
_EXPONENT_BIAS = 1023
_HALF_EXPONENT = 1 << (_MANTISSA_BITS - 1)
# Added to a float64 of moderate size it leaves the nearest whole number in the lowest bits.
_ROUND = 1.5 * 2.0**_MANTISSA_BITS
_ROUND_BITS = int(np.float64(_ROUND).view(np.int64))
# ln 2 in two parts; the first ends in zeros, so that its product with an exponent is exact.
_LN2_HIGH = float.fromhex("0x1.62e42fee00000p-1")
_LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
_PER_LN2 = 1.0 / math.log(2.0)


@compiled(forceinline=True)
def _power_of_2(exponent: Kernel) -> Kernel:
    """2 to a whole number between -1022 and 1023."""
    return np.int64((exponent + _EXPONENT_BIAS) << _MANTISSA_BITS).view(np.float64)


@compiled(forceinline=True)
def log_ratio(a: Kernel, b: Kernel) -> Kernel:
    """Natural logarithm of ``a / b`` for positive normal numbers; 0 where they are equal.

    ``ln(a / b) = k ln 2 + 2 artanh((a 2^-k - b) / (a 2^-k + b))`` with the whole k that brings the two
    together. The difference of near numbers is exact, so that a small return keeps all its digits,
    which it loses when the rounded quotient is logged.
    """
    # A float's bits, read as an integer, are nearly its logarithm to base 2.
    k = (np.float64(a).view(np.int64) - np.float64(b).view(np.int64) + _HALF_EXPONENT) >> _MANTISSA_BITS
    scaled = a * _power_of_2(-k)
    x = (scaled - b) / (scaled + b)  # within +-0.201
    z = x * x
    series = 2.0 / 19.0 + z * (2.0 / 21.0)
    series = 2.0 / 17.0 + z * series
    series = 2.0 / 15.0 + z * series
    series = 2.0 / 13.0 + z * series
    series = 2.0 / 11.0 + z * series
    series = 2.0 / 9.0 + z * series
    series = 2.0 / 7.0 + z * series
    series = 2.0 / 5.0 + z * series
    series = 2.0 / 3.0 + z * series
    near = 2.0 * x + x * z * series
    whole = np.int64(k + _ROUND_BITS).view(np.float64) - _ROUND
    return whole * _LN2_HIGH + (whole * _LN2_LOW + near)


@compiled(forceinline=True)
def exp_minus_1(x: Kernel) -> Kernel:
    """``exp(x) - 1`` for ``abs(x) <= 700``, exact to the last digits near 0 too."""
    shifted = x * _PER_LN2 + _ROUND
    whole = shifted - _ROUND
    y = (x - whole * _LN2_HIGH) - whole * _LN2_LOW  # within +-0.347
    series = 1.0 / 6227020800.0
    series = 1.0 / 479001600.0 + y * series
    series = 1.0 / 39916800.0 + y * series
    series = 1.0 / 3628800.0 + y * series
    series = 1.0 / 362880.0 + y * series
    series = 1.0 / 40320.0 + y * series
    series = 1.0 / 5040.0 + y * series
    series = 1.0 / 720.0 + y * series
    series = 1.0 / 120.0 + y * series
    series = 1.0 / 24.0 + y * series
    series = 1.0 / 6.0 + y * series
    series = 0.5 + y * series
    scale = _power_of_2(np.float64(shifted).view(np.int64) - _ROUND_BITS)
    return scale * (y + y * y * series) + (scale - 1.0)


@compiled(forceinline=True)
def erf(x: Kernel) -> Kernel:
    """Error function, to 3e-16; odd, and 0 at 0.

    ``x P(x^2)`` below 1 and ``1 - exp(-x^2) R((x - 3) / (x + 3))`` from there on: the polynomials through
    ``erf(x) / x`` and ``exp(x^2) erfc(x)`` at the Chebyshev points of [0, 1] and of [1, 6].
    """
    a = min(abs(x), 6.0)  # erf(6) is 1
    z = a * a
    inner = 1.3720064546777686e-08 + z * -7.795898827002142e-10
    inner = -1.6208483801871705e-07 + z * inner
    inner = 1.6447424703317362e-06 + z * inner
    inner = -1.492473690741966e-05 + z * inner
    inner = 0.00012055294904839707 + z * inner
    inner = -0.0008548325975389692 + z * inner
    inner = 0.0052239776071164225 + z * inner
    inner = -0.02686617064323777 + z * inner
    inner = 0.11283791670945006 + z * inner
    inner = -0.37612638903183543 + z * inner
    inner = 1.1283791670955126 + z * inner
    t = (a - 3.0) / (a + 3.0)
    outer = -1.2383892608514314e-05 + t * -8.668536150153648e-06
    outer = 6.436074396760298e-05 + t * outer
    outer = 4.523670628663236e-05 + t * outer
    outer = -0.0005971019299440755 + t * outer
    outer = 0.0007077436205791401 + t * outer
    outer = 0.004269138643318906 + t * outer
    outer = -0.02439249905225781 + t * outer
    outer = 0.07166583713850745 + t * outer
    outer = -0.1501159365078385 + t * outer
    outer = 0.24560380171289325 + t * outer
    outer = -0.32623356004299003 + t * outer
    outer = 0.17900115118138907 + t * outer
    value = a * inner if a < 1.0 else 1.0 - (exp_minus_1(-z) + 1.0) * outer
    return value if x >= 0.0 else -value
