"""The venue of a live session: the adapter of the configuration, the judgement on its account, and the entry about both."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import math
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from omegaconf import DictConfig

from quantlab.core.errors import ConfigError
from quantlab.core.events import Event
from quantlab.core.market import Bars, rules_at
from quantlab.core.ports import BarFeed, Journal, Venue
from quantlab.core.results import OrderReason
from quantlab.core.venue.answers import VenueBooks
from quantlab.core.venue.facts import VenueFacts
from quantlab.execution.feeds.lockstep import LockstepFeed
from quantlab.execution.live.known_facts import KnownFacts
from quantlab.execution.live.market_time import MarketTime
from quantlab.execution.live.polling import new_fills
from quantlab.execution.live.settings import BrokerSettings
from quantlab.execution.orders.client_ids import parse_client_id, session_mark
from quantlab.jobs.config.composition import build
from quantlab.venue.preflight import Finding, PreflightRules, Wanted, judge

ENTRY = "venue"
_CHOICES = "execution/venue=binanceusdm or execution/venue=simulated"


@dataclass(frozen=True)
class Admission:
    """An account on which the session may begin.

    Parameters
    ----------
    session : str
        The session's own id: part of every client id.
    began_ms : int
        Venue time from which on facts are asked for.
    facts : VenueFacts
    warnings : tuple of Finding
    """

    session: str
    began_ms: int
    facts: VenueFacts
    warnings: tuple[Finding, ...]

    def entry(self, capital: float) -> Event:
        """The journal's entry; it holds no key."""
        facts = self.facts
        names = ("one_way", "single_asset", "fees_in_margin_asset")
        rights = ("can_trade", "can_withdraw", "can_transfer", "is_ip_restricted")
        told = {symbol: dataclasses.asdict(listed) for symbol, listed in sorted(facts.symbols.items())}
        return Event(
            ENTRY,
            {
                "name": facts.name,
                "host": facts.host,
                "session": self.session,
                "began_ms": self.began_ms,
                "modes": {name: getattr(facts, name) for name in names},
                "permissions": {name: getattr(facts, name) for name in rights},
                "fees": {s: [_text(one.maker_fee), _text(one.taker_fee)] for s, one in sorted(facts.symbols.items())},
                "instruments": hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest(),
                "capital": repr(capital),
                "offset_ms": facts.clock_offset_ms,
            },
        )


def require_venue(cfg: DictConfig) -> None:
    """Return if a venue is chosen, with a feed and a broker for one.

    Raises
    ------
    ConfigError
        Naming the choices.
    """
    if cfg.execution.get("venue") is None:
        raise ConfigError(f"a venue, {_CHOICES}", found="none", fix="choose one; the simulated one is job=exchange")
    if "capital" not in cfg.execution.broker:
        raise ConfigError("execution/broker=live", found="another broker", fix="leave execution/broker out")
    if "start" in cfg.execution.feed:
        expected = "execution/feed=live, or execution/feed=lockstep beside execution/venue=simulated"
        raise ConfigError(expected, found="a replay: a venue does not wait for it", fix="choose one of them")


@contextmanager
def open_venue(cfg: DictConfig, symbols: Sequence[str], feed: BarFeed) -> Iterator[tuple[Venue, asyncio.Runner]]:
    """Open the configured venue, and the one loop in which it is asked; both are closed in every case.

    Raises
    ------
    ConfigError
        If a variable with a key is missing, or a setting is refused.
    """
    venue: Venue = build(cfg.execution.venue.adapter)(symbols)
    if isinstance(feed, LockstepFeed):
        venue = MarketTime(venue, feed.clock)
    with asyncio.Runner() as runner:
        try:
            yield venue, runner
        finally:
            runner.run(venue.close())


async def admit(
    venue: Venue, journal: Journal, history: Bars, strategy: Any, broker: BrokerSettings, rules: PreflightRules
) -> Admission:
    """Judge the account.

    Raises
    ------
    ConfigError
        Naming every refusal.
    DataError
        If the venue has no whole answer.
    """
    facts, books = await venue.facts(), await venue.books()
    before = journal.latest(ENTRY)
    session = secrets.token_hex(8) if before is None else str(before.facts["session"])
    began_ms = venue.now_ms() + 1 if before is None else int(before.facts["began_ms"])
    mark = session_mark(session)

    def is_ours(client_id: str) -> bool:
        parts = parse_client_id(client_id)
        return parts is not None and parts.session_mark == mark

    def reason(client_id: str) -> OrderReason | None:
        return OrderReason.SIGNAL if is_ours(client_id) else None

    known = KnownFacts(began_ms, broker.settings.overlap_ms)
    for event in journal.replay(0):
        known.take(event)
    lots = await _lots(venue, known, books, set(facts.symbols), reason)
    instruments = rules_at(history.symbols, history.instruments, history.rule_changes, venue.now_ms())
    wanted = Wanted(
        instruments=dict(zip(history.symbols, instruments, strict=True)),
        leverage=math.inf if strategy.limits.max_gross_leverage is None else strategy.limits.max_gross_leverage,
        # A session that goes on sees what its trades have left of it.
        capital=Decimal(repr(float(broker.capital))) if before is None else Decimal(0),
        lots=lots,
        is_ours=is_ours,
    )
    judged = judge(facts, books, wanted, rules)
    # Sizes of an unknown lot are no whole lots: the first order would end the session.
    unknown = [one for one in judged.warnings if one.name == "unknown_grid"]
    _refuse([*judged.refusals, *unknown])
    return Admission(session, began_ms, facts, judged.warnings)


async def _lots(venue: Venue, known: KnownFacts, books: VenueBooks, listed: set[str], reason: Any) -> dict[str, int]:
    """Return positions by the journal, and by what orders of ours did there since its end; a stranger's trades are left out."""
    lots, held = dict(known.lots), {position.symbol: position.lots for position in books.positions}
    differing = sorted(s for s in {*lots, *held} & listed if lots.get(s, 0) != held.get(s, 0))
    for fill in await new_fills(venue, known, differing, _unknown_id, reason):
        if fill.reason != OrderReason.EXTERNAL.name:
            lots[fill.symbol] = lots.get(fill.symbol, 0) + fill.side * fill.lots
    return lots


def _unknown_id(_symbol: str, _venue_id: str) -> None:
    """No answer is at hand: the venue is asked for an order's client id."""


def _refuse(refusals: Sequence[Finding]) -> None:
    if refusals:
        raise ConfigError(
            "; ".join(f"{one.expected} ({one.name})" for one in refusals),
            found="; ".join(one.found for one in refusals),
            fix="; ".join(dict.fromkeys(one.fix for one in refusals)),
        )


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)
