"""Whether a comparison met enough of what can go wrong to mean something."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantlab.core.checks import check_whole
from quantlab.core.market import Bars, BarState
from quantlab.core.results import RiskEvent
from quantlab.jobs.parity.account_record import Books

#: Events that halt; a liquidation closes the book and halts nothing.
_HALTS = {event.name.lower() for event in RiskEvent if event is not RiskEvent.LIQUIDATION}


def met(books: Books, history: Bars, first: int, last: int) -> dict[str, int]:
    """What was met in the rows ``first:last`` of `history`, by name."""
    return {
        "fills": len(books.fills),
        "stops": sum(fill[-1] == "STOP" for fill in books.fills),
        "halts": sum(event[1] in _HALTS for event in books.risk_events),
        "holes": holes(history, first, last),
        "late_listings": late_listings(history, first, last),
    }


def validity(found: dict[str, int], needed: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Name -> found and needed.

    Raises
    ------
    ConfigError
        If a minimum is not a whole number.
    """
    for name in found:
        check_whole(f"job.needed.{name}", needed[name], low=0)
    return {name: {"found": count, "needed": int(needed[name])} for name, count in found.items()}


def holes(history: Bars, first: int, last: int) -> int:
    """Runs of missing bars that begin in the rows ``first:last``, with a bar before and a bar after them."""
    missing = history.state >= BarState.FILLED
    begins = np.zeros_like(missing)
    begins[1:] = missing[1:] & ~missing[:-1]
    later = ~missing
    resumes = np.logical_or.accumulate(later[::-1], axis=0)[::-1]
    return int((begins & resumes)[first:last].sum())


def late_listings(history: Bars, first: int, last: int) -> int:
    """Symbols whose first bar ever lies in the rows ``first:last``."""
    there = history.state < BarState.FILLED
    listed = np.argmax(there, axis=0)
    return int((there.any(axis=0) & (listed > max(first, 0)) & (listed < last)).sum())
