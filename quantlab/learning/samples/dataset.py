"""Features, labels and what came after, on one time axis."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from quantlab.core.arrays import Float32Array
from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.market import Bars
from quantlab.core.types import NO_LABEL, Dataset, Features, Labels


def build_dataset(bars: Bars, features: Features, labels: Labels, horizon: int) -> Dataset:
    """Join everything a model may learn from; the mask holds the rows that are ready and labelled.

    Parameters
    ----------
    bars : Bars, (T, S)
    features : Features, (T, S, F)
        Of these bars; taken as they are, never copied.
    labels : Labels, (T, S)
        Of these bars.
    horizon : int
        Bars of `forward_returns`, >= 1.

    Raises
    ------
    ContractError
        If bars, features and labels differ in shape.
    ConfigError
        If `horizon` is below 1.
    """
    for name, shape in (("features", features.ready.shape), ("labels", labels.label.shape)):
        if shape != bars.state.shape:
            raise ContractError(
                f"{name} of shape {bars.state.shape}, as the bars",
                found=str(shape),
                fix=f"make the {name} from the same bars",
            )
    return Dataset(
        features=features,
        label=labels.label,
        weight=labels.weight,
        known_at_ms=labels.known_at_ms,
        forward_returns=forward_returns(bars, horizon),
        open_time_ms=bars.open_time_ms,
        mask=features.ready & (labels.label != NO_LABEL),
    )


def forward_returns(bars: Bars, horizon: int) -> Float32Array:
    """float32 (T, S, horizon): close-to-close log returns of the bars t+1 .. t+horizon.

    A read-only strided view of one (T + horizon, S) array: `horizon` costs no memory. NaN where a bar
    or its predecessor is absent, and beyond the end of the data.

    Raises
    ------
    ConfigError
        If `horizon` is below 1.
    """
    if horizon < 1:
        raise ConfigError("a horizon of at least 1 bar", found=repr(horizon), fix="set barriers.horizon")
    log_close = np.log(bars.close)
    returns = np.full((bars.n_bars + horizon, bars.n_symbols), np.nan, dtype=np.float32)
    returns[1 : bars.n_bars] = log_close[1:] - log_close[:-1]
    windows: Float32Array = sliding_window_view(returns[1:], horizon, axis=0)
    return windows
