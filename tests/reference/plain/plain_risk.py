"""Step 6: the daily limit and the circuit breaker."""

from __future__ import annotations

from dataclasses import dataclass

from plain_account import Account

from quantlab.core.results import RiskEvent
from quantlab.trading.strategy import Limits

DAY_MS = 86_400_000


@dataclass
class RiskState:
    """What the guard remembers between bars."""

    day: int | None
    day_start_equity: float
    high_water_mark: float
    daily_latched: bool = False
    breaker_latched: bool = False

    def update(self, account: Account, t: int, before: float, limits: Limits, *, limits_on: bool) -> None:
        """Take in the equity recorded on bar t; `before` is the one of the bar before."""
        day = int(account.bars.open_time_ms[t]) // DAY_MS
        if day != self.day:
            self.day, self.day_start_equity, self.daily_latched = day, before, False
        self.high_water_mark = max(self.high_water_mark, account.equity)
        if not limits_on:
            return
        if limits.daily_loss_limit is not None and not self.daily_latched:
            level = (1.0 - limits.daily_loss_limit) * self.day_start_equity
            self.daily_latched = self._crossed(account, t, RiskEvent.DAILY_LIMIT, level)
        if limits.breaker is not None and not self.breaker_latched:
            level = (1.0 - limits.breaker) * self.high_water_mark
            self.breaker_latched = self._crossed(account, t, RiskEvent.BREAKER, level)

    def _crossed(self, account: Account, t: int, kind: RiskEvent, level: float) -> bool:
        if not account.equity <= level:
            return False
        account.events.append((t, int(kind), account.equity, level))
        account.branches[kind.name.lower()] += 1
        return True

    @property
    def halted(self) -> bool:
        return self.daily_latched or self.breaker_latched

    def flattens(self, limits: Limits) -> bool:
        return self.breaker_latched or (self.daily_latched and limits.daily_flatten)
