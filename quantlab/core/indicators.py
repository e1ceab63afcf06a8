"""The one average true range."""

from __future__ import annotations

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.market import Bars
from quantlab.core.types import Features

#: Columns that hold an average true range over the close; a feature set has one of them. The second is the plain mean
#: of sets without recursions (:mod:`quantlab.features.mean_range`).
ATR_COLUMNS = ("natr_14", "mean_range_14")


def average_true_range(bars: Bars, features: Features) -> Float64Array:
    """``float64(natr_14) * close``, float64 (T, S) in USD; NaN where the features are not ready.

    Labels, stops, sizing and live decisions all use this one, so nothing trades in warm-up. A feature set without
    ``natr_14`` has ``mean_range_14`` in its place.

    Raises
    ------
    ContractError
        If there is neither.
    """
    name = (
        ATR_COLUMNS[1] if ATR_COLUMNS[1] in features.names and ATR_COLUMNS[0] not in features.names else ATR_COLUMNS[0]
    )
    natr = features.column(name).astype(np.float64)
    return np.where(features.ready, natr * bars.close, np.nan)
