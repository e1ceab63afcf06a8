"""Step 6: the four rules that halt, each with one latch and one event."""

from __future__ import annotations

from dataclasses import dataclass, field

from plain_account import Account
from plain_streaks import Streaks

from quantlab.core.results import RiskEvent
from quantlab.trading.strategy.strategy import Limits

DAY_MS = 86_400_000


@dataclass
class RiskState:
    """What the guard remembers between bars."""

    day: int | None
    day_start_equity: float
    high_water_mark: float
    daily_latched: bool = False
    breaker_latched: bool = False
    streak_latched: bool = False
    stops_latched: bool = False
    streaks: Streaks = field(default_factory=Streaks)

    def update(self, account: Account, t: int, before: float, limits: Limits, *, limits_on: bool) -> None:
        """Take in the equity recorded on bar t; `before` is the one of the bar before."""
        open_ms = int(account.bars.open_time_ms[t])
        day = open_ms // DAY_MS
        self.streaks.take_in(account, open_ms, new_day=day != self.day)
        if day != self.day:
            self.day, self.day_start_equity = day, before
            self.daily_latched = self.streak_latched = self.stops_latched = False
        self.high_water_mark = max(self.high_water_mark, account.equity)
        if not limits_on:
            return
        if limits.daily_loss_limit is not None and not self.daily_latched:
            level = (1.0 - limits.daily_loss_limit) * self.day_start_equity
            self.daily_latched = self._crossed(account, t, RiskEvent.DAILY_LIMIT, level)
        if limits.breaker is not None and not self.breaker_latched:
            level = (1.0 - limits.breaker) * self.high_water_mark
            self.breaker_latched = self._crossed(account, t, RiskEvent.BREAKER, level)

        self._count_rules(account, t, open_ms, limits)

    def _count_rules(self, account: Account, t: int, open_ms: int, limits: Limits) -> None:
        if not self.streak_latched and self.streaks.too_many_losses(limits):
            self.streak_latched = self._falls(account, t, RiskEvent.LOSS_STREAK, float(limits.loss_streak or 0))
        if not self.stops_latched and self.streaks.too_many_stops(account, open_ms, limits):
            self.stops_latched = self._falls(account, t, RiskEvent.STOP_RATE, float(limits.max_stops or 0))

    def _crossed(self, account: Account, t: int, kind: RiskEvent, level: float) -> bool:
        return account.equity <= level and self._falls(account, t, kind, level)

    def _falls(self, account: Account, t: int, kind: RiskEvent, level: float) -> bool:
        account.events.append((t, int(kind), account.equity, level))
        account.branches[kind.name.lower()] += 1
        return True

    @property
    def halted(self) -> bool:
        return self.daily_latched or self.breaker_latched or self.streak_latched or self.stops_latched

    def flattens(self, limits: Limits) -> bool:
        return self.breaker_latched or (self.daily_latched and limits.daily_flatten)
