"""The one average true range."""

from __future__ import annotations

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.market import Bars
from quantlab.core.types import Features


def average_true_range(bars: Bars, features: Features) -> Float64Array:
    """``float64(natr_14) * close``, float64 (T, S) in USD; NaN where the features are not ready.

    Labels, stops, sizing and live decisions all use this one, so nothing trades in warm-up.
    """
    natr = features.column("natr_14").astype(np.float64)
    return np.where(features.ready, natr * bars.close, np.nan)
