"""Request weight and order counts of a venue, shared out by purpose: what protects goes on when entries must wait."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from quantlab.core.checks import check_range, check_whole
from quantlab.core.venue.requests import OrderKind

MINUTE_MS, TEN_SECONDS_MS = 60_000, 10_000


class Priority(IntEnum):
    """Purposes of requests, the most urgent first."""

    EMERGENCY = 0
    PROTECTION = 1
    CLOSE = 2
    RECONCILE = 3
    ENTRY = 4
    BARS = 5


#: Purpose of an order.
PRIORITY_OF = {
    OrderKind.EMERGENCY: Priority.EMERGENCY,
    OrderKind.STOP: Priority.PROTECTION,
    OrderKind.TAKE: Priority.PROTECTION,
    OrderKind.REDUCE: Priority.CLOSE,
    OrderKind.ENTRY: Priority.ENTRY,
}


@dataclass(frozen=True)
class BudgetRules:
    """Limits of the venue, and shares of them at which purposes begin to wait.

    Parameters
    ----------
    weight_1m : int
        Request weight in a minute.
    orders_10s, orders_1m : int
        Orders in ten seconds and in a minute.
    entries_at, bars_at, reconcile_at : float
        Used share at which entries, bars and reconciliation wait for the next window; closing, protection and
        emergency never do.
    unnamed_wait_ms : int
        Wait after a 429 that names none.
    unnamed_ban_ms : int
        Silence after a 418 that names no end.
    """

    weight_1m: int
    orders_10s: int
    orders_1m: int
    entries_at: float
    bars_at: float
    reconcile_at: float
    unnamed_wait_ms: int
    unnamed_ban_ms: int

    def __post_init__(self) -> None:
        node = "execution.venue.adapter.budget"
        for name in ("weight_1m", "orders_10s", "orders_1m", "unnamed_wait_ms", "unnamed_ban_ms"):
            check_whole(f"{node}.{name}", getattr(self, name), low=1)
        for name in ("entries_at", "bars_at", "reconcile_at"):
            check_range(f"{node}.{name}", getattr(self, name), low=0.01, high=1.0)


@dataclass(frozen=True, slots=True)
class Usage:
    """Counts that an answer's headers tell; None where it tells none.

    Parameters
    ----------
    weight_1m, orders_10s, orders_1m : int or None
    """

    weight_1m: int | None = None
    orders_10s: int | None = None
    orders_1m: int | None = None


@dataclass(slots=True)
class _Window:
    """Count of a fixed window of the venue's time."""

    length_ms: int
    start_ms: int = -1
    used: int = 0

    def turn(self, now_ms: int) -> None:
        start = now_ms - now_ms % self.length_ms
        if start != self.start_ms:
            self.start_ms, self.used = start, 0

    def full_until(self, now_ms: int, most: float) -> int:
        """The window's end if so much is used; else now."""
        start = now_ms - now_ms % self.length_ms
        return start + self.length_ms if start == self.start_ms and self.used >= most else now_ms


@dataclass
class Budget:
    """Running counts, and times before which nothing may be asked.

    Parameters
    ----------
    rules : BudgetRules
    """

    rules: BudgetRules
    limited_until_ms: int = field(default=0, init=False)
    banned_until_ms: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._weight = _Window(MINUTE_MS)
        self._orders = (_Window(TEN_SECONDS_MS), _Window(MINUTE_MS))

    def allowed_at_ms(self, priority: Priority, now_ms: int, *, is_order: bool = False) -> int:
        """Venue time at which a request of this purpose may be asked: now, or later.

        Parameters
        ----------
        priority : Priority
        now_ms : int
            Venue time.
        is_order : bool
            It counts against the order limits too.
        """
        if now_ms < self.banned_until_ms:
            return self.banned_until_ms
        if priority <= Priority.PROTECTION:
            return now_ms
        if now_ms < self.limited_until_ms:
            return self.limited_until_ms
        if priority <= Priority.CLOSE:
            return now_ms
        rules = self.rules
        share = {
            Priority.RECONCILE: rules.reconcile_at,
            Priority.ENTRY: rules.entries_at,
            Priority.BARS: rules.bars_at,
        }[priority]
        windows = [(self._weight, rules.weight_1m)]
        if is_order:
            windows += zip(self._orders, (rules.orders_10s, rules.orders_1m), strict=True)
        return max(window.full_until(now_ms, share * limit) for window, limit in windows)

    def begin(self, weight: int, orders: int, now_ms: int) -> None:
        """Count a request that is about to leave.

        Parameters
        ----------
        weight, orders : int
        now_ms : int
            Venue time.
        """
        for window, amount in ((self._weight, weight), *((window, orders) for window in self._orders)):
            window.turn(now_ms)
            window.used += amount

    def note(self, status: int | None, usage: Usage, wait_ms: int | None, now_ms: int) -> None:
        """Learn from an answer: counts of its headers, and the wait that it asks for.

        Parameters
        ----------
        status : int or None
            Of HTTP.
        usage : Usage
        wait_ms : int or None
            That the venue asked for.
        now_ms : int
            Venue time.
        """
        counts = (usage.weight_1m, usage.orders_10s, usage.orders_1m)
        for window, count in zip((self._weight, *self._orders), counts, strict=True):
            window.turn(now_ms)
            window.used = max(window.used, count or 0)
        if status == 429:
            self.limited_until_ms = max(self.limited_until_ms, now_ms + (wait_ms or self.rules.unnamed_wait_ms))
        elif status == 418:
            self.banned_until_ms = max(self.banned_until_ms, now_ms + (wait_ms or self.rules.unnamed_ban_ms))

    def shift(self, ms: int) -> None:
        """Move the ends of waits along with a venue time that was corrected by so many ms."""
        self.limited_until_ms += ms if self.limited_until_ms else 0
        self.banned_until_ms += ms if self.banned_until_ms else 0

    def used_share(self, now_ms: int) -> float:
        """Share of the minute's weight that is used."""
        running = self._weight.start_ms == now_ms - now_ms % MINUTE_MS
        return self._weight.used / self.rules.weight_1m if running else 0.0
