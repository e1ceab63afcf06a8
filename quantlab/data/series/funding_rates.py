"""Funding rates of one symbol: unsound ones are left out, counted and named."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from quantlab.core.soundness import is_sound_rate
from quantlab.data.series.alignment import Series


def drop_unsound_rates(series: Series, largest: float) -> tuple[Series, int]:
    """Leave out rates that are missing, infinite or too large.

    Parameters
    ----------
    series : (time_ms int64 (N,), rates float64 (N,) or (N, 1))
    largest : float
        Largest size of a sound rate, fraction of notional.

    Returns
    -------
    series : Series
        The sound rows, in the order given.
    refused : int
        The number of rows left out.

    Examples
    --------
    >>> (stamps, rates), refused = drop_unsound_rates((np.array([0, 1, 2]), np.array([0.001, -1000.0, np.nan])), 0.05)
    >>> stamps.tolist(), rates.tolist(), refused
    ([0], [0.001], 2)
    """
    time_ms, rates = series
    sound = is_sound_rate(rates, largest).reshape(len(time_ms))
    refused = int((~sound).sum())
    return (series, 0) if not refused else ((time_ms[sound], np.ascontiguousarray(rates[sound])), refused)


def refused_rates_note(refused: Mapping[str, int], largest: float) -> tuple[str, ...]:
    """One sentence on the rates that were left out, by symbol; empty if there were none."""
    counts = {symbol: count for symbol, count in refused.items() if count}
    if not counts:
        return ()
    shown = ", ".join(f"{symbol} {count}" for symbol, count in list(counts.items())[:5])
    more = f" and {len(counts) - 5} more symbols" if len(counts) > 5 else ""
    return (
        f"{sum(counts.values())} funding rates are refused and count as missing: "
        f"not finite, or larger than {largest:g} ({shown}{more})",
    )
