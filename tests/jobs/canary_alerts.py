"""Alerts of a user's own, whose settings hold secrets: no part of what is tested, so a configuration may have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from quantlab.core.events import Alert


@dataclass(frozen=True)
class SilentAlerts:
    """Sends nothing."""

    settings: dict[str, Any]

    def send(self, alert: Alert) -> None:
        """Nothing to do."""
