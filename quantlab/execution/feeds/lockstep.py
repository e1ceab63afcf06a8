"""The lockstep feed: a simulated exchange ends a bar when it is told to, and the session gets that bar of the same data."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

from quantlab.core.checks import check_range
from quantlab.core.clock import FakeClock, iso_utc
from quantlab.core.errors import ConfigError, DataError
from quantlab.core.events import RawBar
from quantlab.core.market import Bars
from quantlab.execution.feeds.replay import Sleep, raw_bar

_START = "start the exchange on the same data: python -m quantlab job=exchange job.mode=lockstep"


class LockstepFeed:
    """Bars of a history, each of which ends at the exchange before it is handed out; its clock is the market's.

    Parameters
    ----------
    history : Bars
        The data that the exchange replays; what lies before its running bar warms a new session up.
    url : str
        Of the exchange, ``http://127.0.0.1:8900``.
    timeout_seconds : float
        For an answer of it.
    sleep : callable, optional
        Not needed: no time passes while one waits.

    Raises
    ------
    ConfigError
        If nothing listens there, or something that is no exchange in lockstep on this history.
    """

    def __init__(self, history: Bars, *, url: str, timeout_seconds: float, sleep: Sleep = time.sleep) -> None:
        check_range("execution.feed.timeout_seconds", timeout_seconds, low=0.01)
        if not isinstance(url, str) or not url.startswith(("http://127.0.0.1:", "http://localhost:")):
            found, fix = repr(url), "set execution/venue=simulated"
            raise ConfigError("execution.feed.url of a simulated exchange on this machine", found=found, fix=fix)
        self._history, self._url, self._timeout = history, url, timeout_seconds
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        state = self._ask("GET", "state")
        _require_lockstep(state, url)
        _require_market(state, history)
        self._begins = int(state["open_ms"])
        self.clock = FakeClock(int(state["market_ms"]))

    @property
    def begins_ms(self) -> int:
        """Open of the bar that runs at the exchange."""
        return self._begins

    def bars(self, after_ms: int | None) -> Iterator[RawBar | None]:
        """The rows that open later than `after_ms`, until the exchange's market ends.

        Raises
        ------
        ConfigError
            If the exchange is at an earlier bar than the session: it was started anew.
        DataError
            If the exchange does not answer.
        """
        opens, interval = self._history.open_time_ms, self._history.interval_ms
        after = self._begins - 1 if after_ms is None else after_ms
        for t in range(int(opens.searchsorted(after, "right")), self._history.n_bars):
            open_ms, state = int(opens[t]), self._ask("GET", "state")
            if state["market_ms"] < open_ms:
                at = f"{iso_utc(int(state['market_ms']))}: it was started anew"
                fix = "begin a session in a new folder (job.folder=DIR)"
                raise ConfigError(f"an exchange at {iso_utc(open_ms)} or later, as the session is", found=at, fix=fix)
            if state["market_ms"] < open_ms + interval:
                if state["ended"]:
                    return
                state = self._ask("POST", "advance")
            self.clock.time_ms = int(state["market_ms"])
            yield raw_bar(self._history, t)

    def _ask(self, method: str, name: str) -> Any:
        request = urllib.request.Request(f"{self._url}/_sim/{name}", method=method)  # noqa: S310 - loopback, see __init__
        try:
            with self._open(request, timeout=self._timeout) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            found = f"status {error.code}"
            raise ConfigError(f"a simulated exchange at {self._url}", found=found, fix=_START) from error
        except (OSError, ValueError) as error:
            found = f"none ({getattr(error, 'reason', error)})"
            kind = DataError if hasattr(self, "clock") else ConfigError
            raise kind(f"an answer of a simulated exchange at {self._url}", found=found, fix=_START) from error


def _require_lockstep(state: Any, url: str) -> None:
    mode = state.get("mode") if isinstance(state, dict) else None
    if mode != "lockstep":
        fix = "start it with job.mode=lockstep; with bars by the clock use execution/feed=live"
        raise ConfigError(f"the exchange at {url} in lockstep", found=f"mode {mode}", fix=fix)


def _require_market(state: dict[str, Any], history: Bars) -> None:
    """Refuse another market than the history's: other symbols, another interval, or a bar that it does not have."""
    listed, opens = set(state["symbols"]), history.open_time_ms
    missing = [symbol for symbol in history.symbols if not {symbol, _wire(symbol)} & listed]
    if missing:
        raise ConfigError(f"{', '.join(missing[:5])} at the exchange", found=f"{len(listed)} others", fix=_START)
    row = int(opens.searchsorted(state["open_ms"]))
    if not state["ended"] and (row >= history.n_bars or int(opens[row]) != state["open_ms"]):
        found = f"{iso_utc(int(state['open_ms']))}, which it has not"
        raise ConfigError("the exchange at a bar of the history", found=found, fix=_START)
    if state["close_ms"] - state["open_ms"] != history.interval_ms:
        found = f"{state['close_ms'] - state['open_ms']} ms"
        raise ConfigError(f"bars of {history.interval_ms} ms at the exchange", found=found, fix=_START)


def _wire(symbol: str) -> str:
    """The exchange's name of a symbol of the data, for linear perpetuals in USDT."""
    text = symbol.partition(":")[0].replace("/", "").replace("-", "").replace("_", "").upper()
    return text if text.endswith("USDT") and text != "USDT" else text + "USDT"
