"""Simulated trials: what a search over thresholds gets back from the job that can simulate them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

#: What every name in the space of thresholds begins with.
ENSEMBLE = "ensemble."


@dataclass(frozen=True)
class SimulatedTrial:
    """Result of one set of thresholds in a simulation.

    Parameters
    ----------
    returns : tuple of float
        Daily net returns, after costs.
    trades : int
        Closed.
    error : str
        Why it could not be simulated; empty if it was.
    """

    returns: tuple[float, ...] = ()
    trades: int = 0
    error: str = ""


#: Simulates many sets of thresholds at once; given by the job, which knows what a backtest is.
Simulate = Callable[[Sequence[dict[str, Any]]], Sequence[SimulatedTrial]]
