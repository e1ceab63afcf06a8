"""Sinks of alerts."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from quantlab.core.events import Alert

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LogAlerts:
    """Writes alerts to the session's log as warnings."""

    def send(self, alert: Alert) -> None:
        """One line of the log."""
        _log.warning(alert.message, extra={"facts": {"alert": alert.kind, **alert.facts}})
