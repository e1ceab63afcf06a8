"""ccxt's client of one account: no retries, no pacing, no redirects, no logs, the venue's time in every request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import ccxt.async_support as ccxt

from quantlab.core.errors import ConfigError
from quantlab.data.exchange.answers import BoundedResponse, UnsoundAnswer, bounded
from quantlab.venue.answers import KeptAnswers
from quantlab.venue.keys import Keys

#: Settings of ccxt that would break a promise of the port, show a secret, or hand signed requests to a stranger.
_SECRETS = ("apiKey", "secret", "password", "token", "privateKey")
_REFUSED = (
    *_SECRETS,
    "verbose",
    "enableRateLimit",
    "session",
    "logger",
    "urls",
    "proxy",
    "proxyUrl",
    "proxy_url",
    "socksProxy",
    "socks_proxy",
)
_REFUSED_OPTIONS = ("maxRetriesOnFailure", "maxRetriesOnFailureDelay", "adjustForTimeDifference", "recvWindow")
#: ccxt logs headers and bodies of requests, with key and signature, to whoever turns DEBUG on.
_SILENT = logging.getLogger("ccxt of an account")
_SILENT.disabled = True


class AccountClient(KeptAnswers):
    """Mixin before one of ccxt's exchanges."""

    venue_now: Callable[[], int]
    session: aiohttp.ClientSession | None

    def nonce(self) -> int:
        """The venue's time, ms: the stamp of a signed request."""
        return self.venue_now()

    def open(self, lazy: bool = False) -> None:
        """Open the session; one that sends every request once."""
        opened = self.session
        super().open(lazy)
        if self.session is not None and self.session is not opened:
            self.session = _asking_once(self.session)


def new_client(exchange: str, keys: Keys, settings: Mapping[str, Any], venue_now: Callable[[], int]) -> Any:
    """Make a client, inside a running event loop.

    Parameters
    ----------
    exchange : str
        ccxt's name of it.
    keys : Keys
    settings : mapping
        Handed to ccxt's constructor: timeout, proxies, options.
    venue_now : callable
        Gives the venue's time, ms.
    """
    kind = type(exchange, (AccountClient, bounded(exchange)), {})
    client = kind({**settings, "apiKey": keys.key, "secret": keys.secret, "enableRateLimit": False})
    client.venue_now, client.logger = venue_now, _SILENT
    return client


def check_settings(exchange: str, settings: Mapping[str, Any]) -> None:
    """Refuse settings that retry, pace, log, or hold a secret.

    Raises
    ------
    ConfigError
        If there are any, or ccxt knows no such exchange.
    """
    if exchange not in ccxt.exchanges:
        raise ConfigError("an exchange that ccxt knows", found=repr(exchange), fix="see ccxt's list, e.g. binanceusdm")
    options = settings.get("options") or {}
    refused = [name for name in _REFUSED if name in settings] + [
        f"options.{n}" for n in _REFUSED_OPTIONS if n in options
    ]
    if refused:
        raise ConfigError(
            "execution.venue.adapter.settings without retries, pacing, urls, secrets, verbose, proxyUrl and socksProxy",
            found=", ".join(refused),
            fix="take it out: orders are sent once, by our own budget and clock, with keys of the environment",
        )


def no_redirects() -> aiohttp.TraceConfig:
    """A trace of a session that ends every request which is led elsewhere, with UnsoundAnswer."""
    tracing = aiohttp.TraceConfig()
    tracing.on_request_redirect.append(_refuse_redirect)
    return tracing


async def _refuse_redirect(*_: Any) -> None:
    raise UnsoundAnswer("a redirect, which is not followed")


def _asking_once(session: aiohttp.ClientSession) -> aiohttp.ClientSession:
    """A session over the same connections, which `session` gives up, without redirects and repetitions.

    A redirect would send a POST twice, and the key to elsewhere. A GET or DELETE on a connection that breaks would be
    repeated by aiohttp, which has no public switch for that.
    """
    connector, trust_env = session.connector, session.trust_env
    session.detach()
    asking = aiohttp.ClientSession(
        connector=connector, trust_env=trust_env, response_class=BoundedResponse, trace_configs=[no_redirects()]
    )
    asking._retry_connection = False
    return asking
