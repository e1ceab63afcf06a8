"""Fills and payments that a venue reports for one bar, as the arrays that the account is told.

Sizes and prices come in whole lots and ticks, as decimal text becomes whole numbers without rounding. An account
that is told another account's own floats, as a test or a session in one process is, takes them as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from quantlab.core.errors import ContractError
from quantlab.core.market import Instrument
from quantlab.core.results import OrderReason
from quantlab.trading.lowlevel.layout import FILLS_PER_SYMBOL, Facts


class VenueFill(NamedTuple):
    """One trade of the account at a venue.

    Examples
    --------
    >>> VenueFill(column=0, lots=-12, ticks=841713, fee=0.04545, reason=OrderReason.STOP, order=7).lots
    -12
    """

    column: int  #: of the symbol in the market
    lots: int  #: signed, not 0: bought > 0
    ticks: float  #: > 0; whole, but for a price that no trade made: a settlement may lie between two ticks
    fee: float  #: USD paid; negative for a rebate
    reason: OrderReason
    order: int  #: the same number for all trades of one order in this bar, any number


class FloatFill(NamedTuple):
    """One fill of an account that books floats."""

    column: int
    units: float  #: signed, not 0
    price: float  #: USD, > 0
    fee: float  #: USD paid
    reason: OrderReason
    order: int


def facts_in_lots(
    fills: Sequence[VenueFill],
    instruments: tuple[Instrument, ...],
    *,
    funding: Sequence[float] = (),
    moved: Sequence[float] = (),
    missing_funding: int = 0,
) -> Facts:
    """Return a bar's facts whose positions stay whole lots.

    Parameters
    ----------
    fills : sequence of VenueFill
        In the order of the venue's ledger: by time, then by trade id.
    instruments : tuple of Instrument, length S
        The rules of this bar, by which lots and ticks were counted.
    funding : sequence of float
        USD received, one for each payment; negative where the account paid.
    moved : sequence of float
        USD that came into the account beside its trading; negative where it was withdrawn.
    missing_funding : int
        Payments that were due on a held position and never came.

    Raises
    ------
    ContractError
        If a fill names no symbol, has no size, price or reason, or its symbol's lot or tick is not known.
    """

    def unit(fill: VenueFill) -> tuple[float, float]:
        rules = instruments[fill.column]
        if not (rules.lot > 0.0 and rules.tick > 0.0):
            raise ContractError(
                "a lot and a tick above 0 of every symbol that a venue fills",
                found=f"lot {rules.lot}, tick {rules.tick} in column {fill.column}",
                fix="take the trading rules from the venue",
            )
        return fill.lots * rules.lot, fill.ticks * rules.tick

    return _facts(fills, unit, len(instruments), funding, moved, missing_funding, whole_lots=True)


def facts_in_floats(
    fills: Sequence[FloatFill],
    n_symbols: int,
    *,
    funding: Sequence[float] = (),
    moved: Sequence[float] = (),
    missing_funding: int = 0,
) -> Facts:
    """Return a bar's facts of which every size is booked as it is; see :func:`facts_in_lots`.

    An account that is told what a simulated one did is then the same to the last bit. Decimal text must not be
    told this way: sums of floats leave positions of 1e-17 units.

    Raises
    ------
    ContractError
        If a fill names no symbol, or has no size, price or reason.
    """
    return _facts(fills, lambda fill: (fill.units, fill.price), n_symbols, funding, moved, missing_funding, False)


def _facts(
    fills: Sequence[Any],
    size_and_price: Callable[[Any], tuple[float, float]],
    n_symbols: int,
    funding: Sequence[float],
    moved: Sequence[float],
    missing_funding: int,
    whole_lots: bool,
) -> Facts:
    n = len(fills)
    symbol, whole = np.empty(n, np.uint64), np.empty((2, n), np.int64)
    units, price, fee = np.empty((3, n))
    known = {int(reason) for reason in OrderReason}
    for i, fill in enumerate(fills):
        if not 0 <= fill.column < n_symbols:
            fix = "map the venue's symbols to the market's columns"
            raise ContractError(f"a fill in one of {n_symbols} symbols", found=f"column {fill.column}", fix=fix)
        symbol[i], fee[i] = fill.column, fill.fee
        units[i], price[i] = size_and_price(fill)
        whole[:, i] = fill.reason, fill.order
        sound = units[i] != 0.0 and price[i] > 0.0 and np.isfinite([units[i], price[i], fee[i]]).all()
        if not sound or whole[0, i] not in known:
            fix = "refuse it where the venue's answer is read"
            raise ContractError("a fill with a size, a price > 0, a fee and a reason", found=str(fill), fix=fix)
    amounts = [np.array(amount, np.float64).reshape(-1) for amount in (funding, moved)]
    if not all(np.isfinite(amount).all() for amount in amounts):
        found = f"funding {list(funding)}, moved {list(moved)}"
        raise ContractError("payments that are finite numbers", found=found, fix="refuse them where they are read")
    arrays: tuple[Any, ...] = (symbol, units, price, fee, whole[0], whole[1], *amounts)
    named = {name: _read_only(array) for name, array in zip(Facts._fields[: len(arrays)], arrays, strict=True)}
    return Facts(**named, missing_funding=int(missing_funding), whole_lots=whole_lots)


def join_fills(facts: Facts, most: int = FILLS_PER_SYMBOL) -> Facts:
    """Return the same facts with the fills of each order joined in every symbol that has more than `most` of them.

    A joined fill stands where its order's first stood, with all units, their mean price and all fees. Fills of one
    order on both sides of the market, which no venue has, stay apart.
    """
    crowded = np.bincount(facts.symbol.astype(np.int64), minlength=1) > most
    if not crowded.any():
        return facts
    places: dict[tuple[int, ...], list[int]] = {}
    for i, symbol in enumerate(facts.symbol.tolist()):
        order = (facts.order[i], facts.reason[i], facts.units[i] > 0.0) if crowded[symbol] else (i,)
        places.setdefault((symbol, *(int(part) for part in order)), []).append(i)
    first = np.array([rows[0] for rows in places.values()])
    units, fee = (np.array([column[rows].sum() for rows in places.values()]) for column in (facts.units, facts.fee))
    value = np.array([(facts.units[rows] * facts.price[rows]).sum() for rows in places.values()])
    single = np.array([len(rows) == 1 for rows in places.values()])
    joined = facts._replace(
        symbol=facts.symbol[first],
        units=units,
        price=np.where(single, facts.price[first], value / units),
        fee=fee,
        reason=facts.reason[first],
        order=facts.order[first],
    )
    return joined._replace(**{name: _read_only(getattr(joined, name)) for name in Facts._fields[:6]})


def _read_only(array: Any) -> Any:
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
