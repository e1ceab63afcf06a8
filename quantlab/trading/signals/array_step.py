"""The step of a signal's arrays: they carry no stamps, yet their values change on the bars, and these have times.

An hourly table filled forward by hand onto 5-minute bars changes on the bar that *opens* with the hour, 55 minutes before
its value is known; one that was placed by when it is known changes on the bar that *closes* with it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from quantlab.core.errors import ContractError
from quantlab.core.market import Bars
from quantlab.core.types import Signal
from quantlab.trading.signals.arrays import DISTANCES
from quantlab.trading.signals.step_words import arrays_undeclared
from quantlab.trading.signals.table_step import Column, coarse_steps


def check_arrays(signal: Signal, bars: Bars) -> None:
    """Refuse a signal that changes on a longer step than the bars', and not on the bars that close as such a step ends.

    Parameters
    ----------
    signal : Signal, (T, S)
    bars : Bars, (T, S)

    Raises
    ------
    ContractError
        Naming array, symbol and step; :mod:`quantlab.trading.signals.table_step` has the rule.
    """
    early = [step for step in coarse_steps(_columns(signal, bars), bars.interval_ms) if not step.known]
    if early:
        longest = max(early, key=lambda step: step.step_ms)
        expected, found, fix = arrays_undeclared(longest, bars.interval_ms)
        raise ContractError(expected, found=found, fix=fix)


def _columns(signal: Signal, bars: Bars) -> Iterator[Column]:
    """Arrays that may decide, symbol by symbol, each once."""
    sides = "side" if signal.target is None else "target"
    for name in (sides, "confidence", *DISTANCES):
        array = getattr(signal, name)
        if array is None or array.size == 0:
            continue
        for s, symbol in enumerate(bars.symbols):
            yield f"{name} of {symbol}", bars.open_time_ms, array[:, s].astype(np.float64)
