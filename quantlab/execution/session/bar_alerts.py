"""Alerts that one committed bar gives rise to."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from quantlab.core.events import Alert, Event
from quantlab.data.quality.suspects import Suspect
from quantlab.execution.session.drift_watch import ALERT, DriftReading
from quantlab.execution.session.refused_cells import refusal_message


def bar_alerts(
    facts: dict[str, Any],
    refusals: Sequence[Event],
    suspects: Sequence[Alert],
    reading: DriftReading | None,
    time_ms: int,
) -> list[Alert]:
    """Return them in the order in which they are sent.

    Parameters
    ----------
    facts : dict
        See :func:`~quantlab.execution.session.bar_record.bar_facts`.
    refusals : sequence of Event
        See :meth:`~quantlab.execution.session.refused_cells.RefusalAlerts.events`.
    suspects : sequence of Alert
        See :func:`suspect_alert`: what looks wrong about the bar.
    reading : DriftReading or None
        Where one was due.
    time_ms : int
    """
    alerts = [Alert(entry.kind, refusal_message(entry), time_ms, dict(entry.facts)) for entry in refusals]
    alerts += suspects
    for event in facts["events"]:
        message = f"{event['kind']} at an equity of {event['equity']} USD"
        alerts.append(Alert(event["kind"], message, time_ms, dict(event)))
    if reading is not None and reading.new_alerts:
        names = [drift.name for drift in reading.new_alerts]
        alerts.append(Alert(ALERT, reading.message, time_ms, {"open_ms": reading.open_ms, "features": names}))
    return alerts


def suspect_alert(suspect: Suspect, time_ms: int) -> Alert:
    """Return the alert of a print that looks wrong."""
    return Alert("suspect_bar", f"{suspect.symbol}: {suspect.sentence()}", time_ms, dataclasses.asdict(suspect))
