"""Settings of a live account."""

from __future__ import annotations

from dataclasses import dataclass, field

from quantlab.core.checks import check_range, check_whole
from quantlab.execution.protection.guardian import ProtectionRules


@dataclass(frozen=True)
class LiveSettings:
    """Times at which a venue is asked, and rules of protection.

    Parameters
    ----------
    poll_ms : int
        Between two looks at the venue when nothing hints at news.
    show_ms : int
        Time after which the venue shows every trade in its list: a bar's trades are asked for so long after its close.
    overlap_ms : int
        How late the venue may show a payment.
    retry_ms : int
        After a refusal, before protection tries the same again.
    cancel_ms : int
        How long a close waits for a resting take to be cancelled.
    protection : ProtectionRules
    """

    poll_ms: int = 30_000
    show_ms: int = 1_000
    overlap_ms: int = 600_000
    retry_ms: int = 200
    cancel_ms: int = 2_000
    protection: ProtectionRules = field(default_factory=ProtectionRules)

    def __post_init__(self) -> None:
        for name in ("poll_ms", "overlap_ms", "retry_ms", "cancel_ms"):
            check_whole(f"execution.broker.settings.{name}", getattr(self, name), low=1)
        check_whole("execution.broker.settings.show_ms", self.show_ms, low=0)


@dataclass(frozen=True)
class BrokerSettings:
    """Settings of a live broker.

    Parameters
    ----------
    capital : float
        USD that the strategy sees; the wallet must hold it.
    settings : LiveSettings
    """

    capital: float
    settings: LiveSettings

    def __post_init__(self) -> None:
        check_range("execution.broker.capital", self.capital, low=0.01)
