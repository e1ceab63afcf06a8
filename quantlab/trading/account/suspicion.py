"""Suspect prints as the bar step sees them: the flag of a cell, and the worse of two prices."""

# mypy: disable-error-code="no-any-return"
# Elements of arrays are Any to mypy; the compiler checks their types.

from __future__ import annotations

from quantlab.core.compiled import compiled
from quantlab.core.market import PrintFlag
from quantlab.core.results import CUT_RULES
from quantlab.trading.lowlevel.layout import INLINED, Row

CLEAN, STANDS = int(PrintFlag.CLEAN), int(PrintFlag.STANDS)
SUSPECT = CUT_RULES.index("suspect")


@compiled(**INLINED)
def print_flag(row: Row, s: int) -> int:
    """Return the :class:`~quantlab.core.market.PrintFlag` of symbol `s` in this bar."""
    if len(row.suspect) == 0:
        return CLEAN
    return row.suspect[s]


@compiled(**INLINED)
def is_suspect(row: Row, s: int) -> bool:
    """Tell whether a print of symbol `s` in this bar, or the suspicion at its close, is not to be trusted."""
    return print_flag(row, s) != CLEAN


@compiled(**INLINED)
def is_doubted(row: Row, s: int) -> bool:
    """Tell whether a suspicion stands at the close of this bar."""
    return print_flag(row, s) == STANDS


@compiled(**INLINED)
def worse(side: float, one: float, other: float) -> float:
    """Return the price that is worse for what is held on `side`: the lower for a long."""
    return min(one, other) if side > 0.0 else max(one, other)
