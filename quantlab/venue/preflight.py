"""Judgement on an account before a session begins: refusals by name, and nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from quantlab.core.checks import check_flag, check_range
from quantlab.core.market import Instrument
from quantlab.core.venue.answers import VenueBooks
from quantlab.core.venue.facts import ListedSymbol, VenueFacts

#: Shares are compared to this relative difference: a bundle has them as floats.
_SAME = Decimal("1e-9")
_BASIS_POINT = Decimal("0.0001")


@dataclass(frozen=True)
class PreflightRules:
    """Settings of the judgement.

    Parameters
    ----------
    adopt : bool
        Orders and positions of others may be there.
    clock_ms : float
        Most that the venue's clock may differ after correction.
    transfers : bool
        The key may move money inside the venue.
    """

    adopt: bool
    clock_ms: float
    transfers: bool

    def __post_init__(self) -> None:
        check_flag("execution.venue.preflight.adopt", self.adopt)
        check_flag("execution.venue.preflight.transfers", self.transfers)
        check_range("execution.venue.preflight.clock_ms", self.clock_ms, low=1.0)


@dataclass(frozen=True)
class Wanted:
    """Needs of a session.

    Parameters
    ----------
    instruments : mapping of str to Instrument
        The bundle's, by symbol; a tick, lot or smallest order of 0 is unknown there, and not compared.
    leverage : float
        Gross leverage that the limits allow.
    capital : Decimal
        USD that the strategy sees.
    lots : mapping of str to int
        Positions that the session's journal knows.
    is_ours : callable
        Tells whether a client id is one of the session's.
    """

    instruments: Mapping[str, Instrument]
    leverage: float
    capital: Decimal
    lots: Mapping[str, int]
    is_ours: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason against a session, or one thing that its owner should know.

    Parameters
    ----------
    name : str
        E.g. ``hedge_mode``.
    expected, found, fix : str
        As in every error of the house.
    """

    name: str
    expected: str
    found: str
    fix: str


@dataclass(frozen=True, slots=True)
class Preflight:
    """The judgement.

    Parameters
    ----------
    refusals, warnings : tuple of Finding
        With one refusal the session must not begin.
    """

    refusals: tuple[Finding, ...]
    warnings: tuple[Finding, ...]


def judge(facts: VenueFacts, books: VenueBooks, wanted: Wanted, rules: PreflightRules) -> Preflight:
    """Hold an account against the needs of a session.

    Parameters
    ----------
    facts : VenueFacts
    books : VenueBooks
    wanted : Wanted
    rules : PreflightRules
    """
    refusals = [*_modes(facts), *_key(facts, rules), *_clock(facts, rules), *_money(facts, wanted)]
    for symbol, instrument in wanted.instruments.items():
        listed = facts.symbols.get(symbol)
        if listed is None:
            refusals.append(Finding("not_listed", f"{symbol} at {facts.name}", "no such perpetual", "leave it out"))
        else:
            refusals += [*_symbol(listed, wanted), *_rules(listed, instrument)]
    refusals += () if rules.adopt else _foreign(books, wanted)
    return Preflight(tuple(refusals), tuple(_warnings(facts, books, wanted, rules)))


def _modes(facts: VenueFacts) -> Iterator[Finding]:
    switch = "switch it at the venue"
    if facts.one_way is not True:
        yield Finding("hedge_mode", "one-way mode", _said(facts.one_way, "hedge mode"), switch)
    if facts.single_asset is not True:
        yield Finding("multi_asset", "single-asset mode", _said(facts.single_asset, "several margin assets"), switch)
    if facts.fees_in_margin_asset is not True:
        found = _said(facts.fees_in_margin_asset, "fees in another asset")
        yield Finding("fee_asset", "fees paid in the margin asset", found, "switch feeBurn off at the venue")


def _key(facts: VenueFacts, rules: PreflightRules) -> Iterator[Finding]:
    new = "make another key at the venue"
    if facts.can_trade is not True:
        yield Finding("cannot_trade", "a key that may trade", _said(facts.can_trade, "none that may"), new)
    if facts.can_withdraw is not False:
        found = _said(facts.can_withdraw, "one that may withdraw")
        yield Finding("withdrawals", "a key that may not withdraw", found, new)
    if facts.can_transfer is not False and not rules.transfers:
        found = _said(facts.can_transfer, "one that may transfer")
        yield Finding("transfers", "a key that may not transfer", found, new)


def _clock(facts: VenueFacts, rules: PreflightRules) -> Iterator[Finding]:
    if not abs(facts.clock_offset_ms) <= rules.clock_ms:
        expected = f"the venue's clock within {rules.clock_ms:g} ms after correction"
        yield Finding("clock", expected, f"{facts.clock_offset_ms:.0f} ms", "mend this machine's clock and network")


def _money(facts: VenueFacts, wanted: Wanted) -> Iterator[Finding]:
    if not wanted.capital <= facts.wallet:
        expected = f"a wallet of at least the capital, {wanted.capital} USD"
        yield Finding("capital", expected, f"{facts.wallet} USD", "lower execution.broker.capital")
    free, need = facts.free_conditional_orders, len(wanted.instruments)
    if free is None or free < need:
        found = _said(free, f"{free}")
        yield Finding("conditional_orders", f"{need} free conditional orders, a stop a symbol", found, "cancel some")


def _symbol(listed: ListedSymbol, wanted: Wanted) -> Iterator[Finding]:
    name = listed.symbol
    if not listed.is_trading:
        yield Finding("not_trading", f"{name} open for trading", "closed", "leave it out")
    if listed.is_cross is not True:
        found = _said(listed.is_cross, "isolated margin")
        yield Finding("isolated_margin", f"cross margin of {name}", found, "switch it at the venue")
    if listed.leverage is None or listed.leverage < wanted.leverage:
        found = _said(listed.leverage, f"{listed.leverage}")
        yield Finding("leverage", f"leverage of {name} of {wanted.leverage:g} or more", found, "raise it at the venue")


def _rules(listed: ListedSymbol, instrument: Instrument) -> Iterator[Finding]:
    grid, new = listed.grid, "begin with a bundle of the present rules"
    pairs = (
        ("tick", instrument.tick or None, grid.tick),
        ("lot", instrument.lot or None, grid.lot),
        ("min_notional", instrument.min_notional or None, listed.min_notional),
        ("maker_fee", _share(instrument.maker_fee_bps), listed.maker_fee),
        ("taker_fee", _share(instrument.taker_fee_bps), listed.taker_fee),
        ("maintenance", instrument.maintenance_margin_rate, listed.maintenance),
    )
    for name, ours, theirs in pairs:
        if ours is not None and (theirs is None or not _equal(ours, theirs)):
            yield Finding(name, f"{name} of {listed.symbol} of {ours}, the bundle's", _said(theirs, f"{theirs}"), new)


def _foreign(books: VenueBooks, wanted: Wanted) -> Iterator[Finding]:
    orders = [order for order in books.orders if not wanted.is_ours(order.client_id)]
    if orders:
        found = ", ".join(f"{o.symbol} {o.client_id}" for o in orders[:5])
        fix = "cancel them, or set execution.venue.preflight.adopt=true"
        yield Finding("foreign_orders", "no orders of others", f"{len(orders)}: {found}", fix)
    held = {position.symbol: position.lots for position in books.positions}
    wrong = [s for s in sorted({*held, *wanted.lots}) if held.get(s, 0) != wanted.lots.get(s, 0)]
    if wrong:
        found = ", ".join(f"{s} {held.get(s, 0)} lots in place of {wanted.lots.get(s, 0)}" for s in wrong[:5])
        fix = "close them, or set execution.venue.preflight.adopt=true"
        yield Finding("foreign_positions", "the positions that the journal knows", found, fix)


def _warnings(facts: VenueFacts, books: VenueBooks, wanted: Wanted, rules: PreflightRules) -> Iterator[Finding]:
    if facts.is_ip_restricted is not True:
        found = _said(facts.is_ip_restricted, "one for every address")
        yield Finding("ip_restriction", "a key for this machine's address alone", found, "restrict it at the venue")
    if rules.adopt:
        yield from _foreign(books, wanted)
    for symbol, instrument in wanted.instruments.items():
        if not (instrument.tick and instrument.lot):
            yield Finding(
                "unknown_grid", f"tick and lot of {symbol} in the bundle", "none", "collect the market's rules"
            )


def _said(value: object, words: str) -> str:
    return "no answer of the venue" if value is None else words


def _share(bps: float) -> Decimal:
    return Decimal(repr(float(bps))) * _BASIS_POINT


def _equal(ours: float | Decimal, theirs: Decimal) -> bool:
    exact = ours if isinstance(ours, Decimal) else Decimal(repr(float(ours)))
    return abs(exact - theirs) <= _SAME * max(abs(exact), abs(theirs))
