"""Request weights, order counts and bans, as the venue counts them.

Weight is counted per address and minute, orders per account in 10 seconds and in a minute; windows begin at whole
multiples of their length. More is answered with 429 and the seconds to wait. Who goes on asking is banned (418), and
each further ban is twice as long.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from quantlab.core.checks import check_whole
from quantlab.simulator.wire.messages import RefusedError

MINUTE_MS, TEN_SECONDS_MS = 60_000, 10_000


@dataclass(frozen=True, slots=True)
class LimitRules:
    """Sizes of the limits.

    Parameters
    ----------
    weight_1m : int
        Request weight a minute and address.
    orders_10s, orders_1m : int
        Orders of an account in 10 seconds and a minute.
    ban_after : int
        Refused requests in one minute after which an address is banned.
    ban_ms, longest_ban_ms : int
        First ban and the longest one.
    """

    weight_1m: int = 2_400
    orders_10s: int = 300
    orders_1m: int = 1_200
    ban_after: int = 20
    ban_ms: int = 120_000
    longest_ban_ms: int = 259_200_000

    def __post_init__(self) -> None:
        for name in ("weight_1m", "orders_10s", "orders_1m", "ban_after", "ban_ms", "longest_ban_ms"):
            check_whole(f"job.limits.{name}", getattr(self, name), low=1)


@dataclass(slots=True)
class _Window:
    """Count of one fixed window."""

    start_ms: int = -1
    used: int = 0

    def add(self, now_ms: int, length_ms: int, amount: int) -> int:
        start = now_ms - now_ms % length_ms
        if start != self.start_ms:
            self.start_ms, self.used = start, 0
        self.used += amount
        return self.used


@dataclass(slots=True)
class _Address:
    weight: _Window = field(default_factory=_Window)
    refused: _Window = field(default_factory=_Window)
    bans: int = 0
    banned_until_ms: int = 0


@dataclass(slots=True)
class _Orders:
    ten_seconds: _Window = field(default_factory=_Window)
    minute: _Window = field(default_factory=_Window)


@dataclass(slots=True)
class Limits:
    """Running counts of all addresses and accounts.

    Parameters
    ----------
    rules : LimitRules
    """

    rules: LimitRules
    _addresses: dict[str, _Address] = field(default_factory=lambda: defaultdict(_Address))
    _accounts: dict[str, _Orders] = field(default_factory=lambda: defaultdict(_Orders))

    def take_weight(self, address: str, weight: int, now_ms: int) -> dict[str, str]:
        """Count a request, and return the headers that tell what is used.

        Raises
        ------
        RefusedError
            429 above the limit, 418 for a banned address; both -1003.
        """
        state = self._addresses[address]
        if now_ms < state.banned_until_ms:
            raise _banned(state.banned_until_ms, now_ms)
        used = state.weight.add(now_ms, MINUTE_MS, weight)
        headers = {"X-MBX-USED-WEIGHT-1M": str(used)}
        if used <= self.rules.weight_1m:
            return headers
        if state.refused.add(now_ms, MINUTE_MS, 1) > self.rules.ban_after:
            raise self.ban(address, now_ms)
        wait = MINUTE_MS - now_ms % MINUTE_MS
        raise RefusedError(
            -1003,
            f"Too many requests; current limit is {self.rules.weight_1m} requests per minute. "
            "Please use the websocket for live updates to avoid polling the API.",
            429,
            {**headers, "Retry-After": str(-(-wait // 1000))},
        )

    def ban(self, address: str, now_ms: int) -> RefusedError:
        """Ban an address, twice as long as the last time, and return the refusal that says so."""
        state = self._addresses[address]
        length = min(self.rules.ban_ms * 2**state.bans, self.rules.longest_ban_ms)
        state.bans += 1
        state.banned_until_ms = now_ms + length
        return _banned(state.banned_until_ms, now_ms)

    def take_orders(self, account: str, count: int, now_ms: int) -> dict[str, str]:
        """Count orders of an account, and return the headers that tell how many there were.

        The minute counts a batch as one.

        Raises
        ------
        RefusedError
            -1015 above a limit.
        """
        state = self._accounts[account]
        ten, minute = state.ten_seconds.add(now_ms, TEN_SECONDS_MS, count), state.minute.add(now_ms, MINUTE_MS, 1)
        headers = {"X-MBX-ORDER-COUNT-10S": str(ten), "X-MBX-ORDER-COUNT-1M": str(minute)}
        for used, limit, words in ((ten, self.rules.orders_10s, "10 SECOND"), (minute, self.rules.orders_1m, "MINUTE")):
            if used > limit:
                raise RefusedError(
                    -1015, f"Too many new orders; current limit is {limit} orders per {words}.", 429, headers
                )
        return headers


def _banned(until_ms: int, now_ms: int) -> RefusedError:
    return RefusedError(
        -1003,
        f"Way too many requests; IP banned until {until_ms}. Please use the websocket for live updates to avoid bans.",
        418,
        {"Retry-After": str(-(-(until_ms - now_ms) // 1000))},
    )
