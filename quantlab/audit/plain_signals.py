"""Plain signals, which nothing was learned for: one computed column, looked at as thoroughly as a feature is."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from quantlab.audit.counterfactuals import another_future, delisted, ragged_rows
from quantlab.audit.differences import differs
from quantlab.audit.findings import AuditLog, LeakFinding
from quantlab.audit.studies import signal_differences
from quantlab.core.errors import QuantlabError
from quantlab.core.market import Bars
from quantlab.core.types import Signal

#: Places of a kind (first bars, holes, last bars) that are looked at.
_PLACES = 3
#: Errors of a source of somebody's own that was not made for a history that ends early, or for one of dying symbols.
_REFUSALS = (QuantlabError, ArithmeticError, LookupError, ValueError)


def _cut_off(bars: Bars, row: int, seed: int) -> Bars:
    """The bars before `row` alone; no seed changes them."""
    del seed
    return bars.rows(0, row)


_FUTURES: dict[str, Callable[[Bars, int, int], Bars]] = {
    "replaced": another_future,
    "cut off": _cut_off,
    "of half of the symbols gone": delisted,
}


def check_plain_signal(log: AuditLog, source: Any, bars: Bars, signal: Signal, rows: list[int], seed: int) -> None:
    """A whole signal under other futures: replaced, cut off, or without half of the symbols.

    They begin at `rows`, around the first row on which anything is known of symbols, late ones too, and in every kind
    of ragged place.

    Parameters
    ----------
    source : SignalSource
        Not learned.
    bars : Bars, (T, S)
    signal : Signal, (T, S)
        Of `bars`.
    rows : list of int
    seed : int
    """
    found: list[LeakFinding] = []
    moved, compared = False, 0
    places = sorted({*rows, *_first_known(signal, bars.n_bars), *ragged_rows(bars, _PLACES)})
    for row in places:
        for change, future in _FUTURES.items():
            other = _asked(log, source, future(bars, row, seed), change, note_refusal=row in rows)
            if other is None:
                continue
            if change == "replaced" and row in rows:
                moved = moved or bool(differs(signal.side[row:], other.side[row:]).any())
            found += list(signal_differences(bars, signal, other, 0, row, learned=False))[:1]
            compared += row
    log.check("feature", "a plain signal's past under another future", compared, found[:1])
    if not moved:
        log.note("signal: its sides do not depend on the bars, so where they come from could not be looked at")


def _asked(log: AuditLog, source: Any, bars: Bars, change: str, *, note_refusal: bool) -> Signal | None:
    """The source may refuse a history that ends early; it does not refuse a mirrored one."""
    if change == "replaced":
        return source.signal(bars)  # type: ignore[no-any-return]
    try:
        with warnings.catch_warnings():
            # Symbols that die: what numpy finds empty there says nothing about the source.
            warnings.simplefilter("ignore", RuntimeWarning)
            return source.signal(bars)  # type: ignore[no-any-return]
    except _REFUSALS as error:
        if note_refusal:  # a very short history may rightly be refused
            log.note(f"signal: refused where later bars were {change} ({type(error).__name__})")
        return None


def _first_known(signal: Signal, n_bars: int) -> set[int]:
    """Around the first row on which anything is known of a symbol."""
    known = signal.live_members > 0
    firsts = sorted({int(first) for first in known.argmax(axis=0)[known.any(axis=0)]})
    chosen = firsts[:: max(1, len(firsts) // _PLACES)][:_PLACES]
    return {row for first in chosen for row in (first - 2, first + 1, first + 3) if 0 < row < n_bars}
