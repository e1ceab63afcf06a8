"""Rules by which a session looks after itself."""

from __future__ import annotations

from dataclasses import dataclass

from quantlab.core.checks import check_range, check_whole


@dataclass(frozen=True)
class SessionRules:
    """Rules by which a session looks after itself; what Hydra instantiates.

    Parameters
    ----------
    snapshot_every : int
        Bars between two snapshots, >= 1; as many are repeated at most when it starts again.
    stale_after_ms : int or None
        Age of the newest close beyond which nothing is entered; None = any age, for replays.
    largest_funding_rate : float
        Largest size of a sound funding rate, fraction of notional; a larger one counts as missing.
    repeat_alert_ms : int
        Market time after which unsound numbers of the same symbol send another alert, >= 1.
    clock_every_ms : int
        Time between two measurements of the venue's clock, >= 1.
    clock_limit_ms : float
        Lead or lag of the venue's clock beyond which an alert is sent.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    snapshot_every: int
    stale_after_ms: int | None
    largest_funding_rate: float
    repeat_alert_ms: int
    clock_every_ms: int
    clock_limit_ms: float

    def __post_init__(self) -> None:
        check_whole("execution.session.snapshot_every", self.snapshot_every, low=1)
        if self.stale_after_ms is not None:
            check_whole("execution.session.stale_after_ms", self.stale_after_ms, low=1)
        check_range("execution.session.largest_funding_rate", self.largest_funding_rate, low=0.0)
        check_whole("execution.session.repeat_alert_ms", self.repeat_alert_ms, low=1)
        check_whole("execution.session.clock_every_ms", self.clock_every_ms, low=1)
        check_range("execution.session.clock_limit_ms", self.clock_limit_ms, low=0.0)
