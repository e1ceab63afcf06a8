"""An exchange from bars and settings, and one that runs in a thread of its own beside a test or a notebook."""

from __future__ import annotations

import asyncio
import re
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from quantlab.core.checks import check_flag, check_range, check_whole
from quantlab.core.clock import SystemClock
from quantlab.core.errors import ConfigError, HistoryError, InstallationError
from quantlab.core.market import Bars
from quantlab.simulator.engine.market import Market
from quantlab.simulator.engine.rules import VenueRules
from quantlab.simulator.engine.venue import Venue
from quantlab.simulator.server.app import LOOPBACK, ExchangeServer, serve_until
from quantlab.simulator.surface.exchange import Exchange
from quantlab.simulator.wire.faults import FaultScript
from quantlab.simulator.wire.limits import LimitRules
from quantlab.simulator.wire.signing import ApiKey
from quantlab.trading.strategy.strategy import Costs

#: The shape of a real venue's keys and secrets.
_REAL_KEY = re.compile(r"[A-Za-z0-9]{64}")
#: The name of the one account.
ACCOUNT = "main"
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Settings:
    """Settings of an exchange.

    Parameters
    ----------
    rules : VenueRules
    key, secret : str
        Invented ones.
    cash : float
        USD that the account begins with.
    can_trade, can_withdraw : bool
        Permissions of the key.
    pace : float
        Market seconds in one second, in wall mode.
    history_bars : int
        Bars before the one that runs when the exchange opens.
    seed : int
        Of paths inside bars and of listen keys.
    faults : list, dict or None
        A script; see :mod:`quantlab.simulator.wire.faults`.
    limits : LimitRules

    Raises
    ------
    ConfigError
        If a number is out of range, or a key looks like a real one.
    """

    rules: VenueRules
    key: str = "demo-key"
    secret: str = "demo-secret"  # noqa: S105
    cash: float = 10_000.0
    can_trade: bool = True
    can_withdraw: bool = False
    pace: float = 1.0
    history_bars: int = 0
    seed: int = 0
    faults: Sequence[Any] | Mapping[str, Any] | None = None
    limits: LimitRules = field(default_factory=LimitRules)

    def __post_init__(self) -> None:
        check_range("job.account.cash", self.cash, low=0.01)
        check_range("job.pace", self.pace, low=0.001, high=100_000.0)
        check_whole("job.history_bars", self.history_bars, low=0)
        check_whole("job.seed", self.seed, low=0)
        check_flag("job.account.can_trade", self.can_trade)
        check_flag("job.account.withdrawals", self.can_withdraw)
        FaultScript.parse(self.faults)
        for name, value in (("key", self.key), ("secret", self.secret)):
            if not isinstance(value, str) or not value:
                raise ConfigError(
                    f"job.account.{name} as a text that you invented",
                    found=f"a value of type {type(value).__name__}" if value else "none",
                    fix=f"set job.account.{name} to any text that is no number",
                )
            if _REAL_KEY.fullmatch(value):
                raise ConfigError(
                    f"job.account.{name} that you invented",
                    found="one in the shape of a real venue's: 64 letters and digits",
                    fix="invent another one: a real key belongs nowhere but at its venue",
                )


def open_exchange(bars: Bars, costs: Costs, settings: Settings, now_ms: int) -> Exchange:
    """An exchange on these bars, not yet on a socket.

    Parameters
    ----------
    bars : Bars
    costs : Costs
        Slippage, participation, liquidation fee.
    settings : Settings
    now_ms : int
        The machine's clock: in wall mode the market opens then.

    Raises
    ------
    HistoryError
        If no bar is left after the history.
    """
    if settings.history_bars >= bars.n_bars:
        raise HistoryError(
            "a bar to trade in after job.history_bars",
            found=f"{settings.history_bars} of {bars.n_bars} bars",
            fix="lower job.history_bars, or give more data",
        )
    wall = settings.rules.mode == "wall"
    market = Market(
        bars,
        costs,
        first_row=settings.history_bars,
        begin_ms=now_ms if wall else None,
        bar_ms=max(round(bars.interval_ms / settings.pace), 1) if wall else None,
        seed=settings.seed,
    )
    venue = Venue(market, settings.rules, {ACCOUNT: Decimal(repr(float(settings.cash)))})
    key = ApiKey(settings.key, settings.secret, ACCOUNT, settings.can_trade, settings.can_withdraw)
    return Exchange(venue, {key.key: key}, settings.limits, FaultScript.parse(settings.faults), settings.seed)


@dataclass(frozen=True)
class RunningExchange:
    """An exchange in a thread of its own.

    Parameters
    ----------
    url : str
        ``http://127.0.0.1:PORT``.
    exchange : Exchange
        To be read while no request is on its way.
    """

    url: str
    exchange: Exchange


@contextmanager
def running_exchange(
    bars: Bars, costs: Costs, settings: Settings, port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[RunningExchange]:
    """An exchange that listens as long as the block runs.

    Parameters
    ----------
    bars : Bars
    costs : Costs
    settings : Settings
    port : int
        0 for a free one.
    tls : ssl.SSLContext or None
        Serves https with this certificate.
    """
    clock = SystemClock()
    exchange = open_exchange(bars, costs, settings, clock.now_ms())
    listening, ports, failures = threading.Event(), [], []
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    def ready(number: int) -> None:
        ports.append(number)
        listening.set()

    def work() -> None:
        try:
            loop.run_until_complete(serve_until(ExchangeServer(exchange, clock.now_ms), port, ready, stop, tls))
        except InstallationError as error:
            failures.append(error)
        finally:
            loop.close()
            listening.set()

    thread = threading.Thread(target=work, name="exchange", daemon=True)
    thread.start()
    listening.wait(_PATIENCE_SECONDS)
    if failures:
        raise failures[0]
    try:
        yield RunningExchange(f"http{'s' if tls else ''}://{LOOPBACK}:{ports[0]}", exchange)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(_PATIENCE_SECONDS)
