"""Step 6: the two rules that count closed positions and stops."""

from __future__ import annotations

from dataclasses import dataclass, field

from plain_account import Account

from quantlab.trading.strategy.strategy import Limits

MINUTE_MS = 60_000


@dataclass
class Streaks:
    """Losing closes in a row on this UTC day, and when stops filled, over midnight too."""

    losses: int = 0
    stop_opens_ms: list[int] = field(default_factory=list)

    def take_in(self, account: Account, open_ms: int, *, new_day: bool) -> None:
        """What closed and what was stopped in the bar that opened at `open_ms`, in the order of the fills."""
        if new_day:
            account.branches["a new day ends a streak"] += self.losses > 0
            self.losses = 0
        for lost in account.closes_lost:
            account.branches["a gain ends a streak"] += self.losses > 0 and not lost
            self.losses = self.losses + 1 if lost else 0
        self.stop_opens_ms += [open_ms] * sum(account.stopped)

    def too_many_losses(self, limits: Limits) -> bool:
        return limits.loss_streak is not None and self.losses >= limits.loss_streak

    def too_many_stops(self, account: Account, open_ms: int, limits: Limits) -> bool:
        """A stop filled in this bar, and the `max_stops`-th last one less than the window ago."""
        if limits.max_stops is None or limits.stop_window_minutes is None or not any(account.stopped):
            return False
        if len(self.stop_opens_ms) < limits.max_stops:
            return False
        oldest = self.stop_opens_ms[-limits.max_stops]
        inside = open_ms - oldest < limits.stop_window_minutes * MINUTE_MS
        account.branches["stops too far apart"] += not inside
        account.branches["stop rate over midnight"] += inside and oldest // DAY_MS != open_ms // DAY_MS
        account.branches["several stops in one bar"] += inside and sum(account.stopped) > 1
        return inside


DAY_MS = 24 * 60 * MINUTE_MS
