"""The first difference of a comparison: time, symbol, field, and the values of both sides.

Counts say how much differs; where it began says why. Lines without an equal on the other side are looked at in the
order of their bars. Of the first such bar, lines of one symbol are held against each other field by field; a line that
has nothing to be held against differs as a whole.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from quantlab.core.arrays import BoolArray
from quantlab.core.clock import iso_utc
from quantlab.core.market import Bars
from quantlab.core.types import Signal
from quantlab.jobs.parity.account_record import ORDER_FIELDS, AccountRecord, Line

#: Fields of the lines of an account's record after the open of their bar, by kind.
LINE_FIELDS: dict[str, tuple[str, ...]] = {
    "orders": ORDER_FIELDS,
    "fills": ("id", "symbol", "side", "units", "price", "fee", "reason"),
    "risk_events": ("kind", "equity", "level"),
    "equity_marks": ("equity", "cash", "gross", "funding", "liquidation_fee", "highest_equity", "positions"),
}
_POSITION_FIELDS = ("units", "entry", "mark", "stop", "take", "break_even", "trail", "bars_held")
#: Kinds in the order in which one causes the next.
_CAUSES = ("features", "probabilities", "decisions", "orders", "fills", "risk_events", "equity_marks")


@dataclass(frozen=True)
class Difference:
    """One value that a session and a backtest do not share.

    Parameters
    ----------
    open_ms : int
        Open of its bar, epoch ms.
    symbol : str or None
        None where it is the account's.
    field : str
        ``line`` where one side has no such line at all.
    session, backtest : object
        Strict JSON; None where a side has nothing.
    """

    open_ms: int
    symbol: str | None
    field: str
    session: Any
    backtest: Any

    def as_dict(self) -> dict[str, Any]:
        """Strict JSON, with the open of the bar as ISO 8601."""
        shown = asdict(self)
        return {"time": iso_utc(shown.pop("open_ms")), **shown}

    def text(self) -> str:
        """Time, symbol, field and both values, for people."""
        where = f"{iso_utc(self.open_ms)}, {self.symbol or 'account'}"
        return f"{where}: {self.field} {self.session!r} in the session, {self.backtest!r} in the backtest"


def first_differences(ours: AccountRecord, theirs: AccountRecord) -> dict[str, Difference]:
    """The first difference of every kind of line that differs.

    Parameters
    ----------
    ours, theirs : AccountRecord
        Of the session and of the backtest.
    """
    found = {f.name: _first_of_lines(f.name, getattr(ours, f.name), getattr(theirs, f.name)) for f in fields(ours)}
    return {kind: one for kind, one in found.items() if one is not None}


def first_other_decision(bars: Bars, ours: Signal, theirs: Signal) -> Difference | None:
    """The first cell in which BUY, SELL or HOLD is another one; None if there is none."""
    return _first_cell(bars, ours.side != theirs.side, "side", ours.side, theirs.side)


def first_other_probability(bars: Bars, ours: Signal, theirs: Signal, tolerance: float) -> Difference | None:
    """The first cell of which a probability is further off than `tolerance`, or known to one side alone."""
    known, known_too = (np.isfinite(one.proba).all(axis=2) for one in (ours, theirs))
    far = np.abs(ours.proba - theirs.proba).max(axis=2) > tolerance
    return _first_cell(bars, (known ^ known_too) | (far & known & known_too), "proba", ours.proba, theirs.proba)


def earliest(found: dict[str, Difference]) -> tuple[str, Difference] | None:
    """Kind and difference of the earliest bar; of several in one bar the one that causes the others."""
    return min(found.items(), key=lambda item: (item[1].open_ms, _CAUSES.index(item[0])), default=None)


def _first_cell(bars: Bars, different: BoolArray, field: str, ours: Any, theirs: Any) -> Difference | None:
    if not different.any():
        return None
    t, s = (int(i) for i in np.argwhere(different)[0])
    return Difference(int(bars.open_time_ms[t]), bars.symbols[s], field, _plain(ours[t, s]), _plain(theirs[t, s]))


def _plain(value: Any) -> Any:
    """Numbers as strict JSON; what is not finite as None."""
    if np.ndim(value):
        return [_plain(one) for one in value]
    return value.item() if np.isfinite(value) else None


def _first_of_lines(kind: str, ours: list[Line], theirs: list[Line]) -> Difference | None:
    here, there = _without_equals(ours, theirs), _without_equals(theirs, ours)
    if not here and not there:
        return None
    at = min(line[0] for line in (*here, *there))
    names = LINE_FIELDS[kind]
    mine, yours = ([line[1:] for line in lines if line[0] == at] for lines in (here, there))
    place = names.index("symbol") if "symbol" in names else None
    symbol = None if place is None else (mine or yours)[0][place]
    this, that = (
        next((one for one in lines if place is None or one[place] == symbol), None) for lines in (mine, yours)
    )
    if this is None or that is None:
        return Difference(at, symbol, "line", *(None if one is None else list(one) for one in (this, that)))
    name, a, b = next((n, a, b) for n, a, b in zip(names, this, that, strict=True) if repr(a) != repr(b))
    return _first_of_positions(at, a, b) if name == "positions" else Difference(at, symbol, name, a, b)


def _first_of_positions(at: int, ours: tuple[Line, ...], theirs: tuple[Line, ...]) -> Difference:
    here, there = ({line[0]: line[1:] for line in lines} for lines in (ours, theirs))
    symbol = next(name for name in sorted({*here, *there}) if repr(here.get(name)) != repr(there.get(name)))
    a, b = here.get(symbol), there.get(symbol)
    if a is None or b is None:
        return Difference(at, symbol, "position", *(None if one is None else list(one) for one in (a, b)))
    i = next(i for i, (x, y) in enumerate(zip(a, b, strict=True)) if repr(x) != repr(y))
    return Difference(at, symbol, _POSITION_FIELDS[i], a[i], b[i])


def _without_equals(ours: list[Line], theirs: list[Line]) -> list[Line]:
    """The lines of one side that have no equal on the other, in their order."""
    # repr of a float is exact, and tells 0.0 from -0.0.
    left = Counter(map(repr, ours)) - Counter(map(repr, theirs))
    found = []
    for line in ours:
        if left[repr(line)] > 0:
            left[repr(line)] -= 1
            found.append(line)
    return found
