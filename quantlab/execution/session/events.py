"""Entries that a session writes to its journal; the keys of their facts are what readers and gates look for."""

from __future__ import annotations

import hashlib
from typing import Any

from quantlab.core.events import Event, RawBar
from quantlab.core.market import Bars
from quantlab.core.types import Votes
from quantlab.execution.journal.layout import LAYOUT
from quantlab.execution.session.drift_watch import DriftReading
from quantlab.execution.session.engine import Engine
from quantlab.execution.session.handover import Release
from quantlab.execution.session.snapshot import pack_raw
from quantlab.execution.session.votes import votes_event
from quantlab.trading.strategy.strategy import Limits


def begin_events(
    engine: Engine, release: str | None, history: Bars | None, warmed_up_on: int, venue: str, at_ms: int
) -> list[Event]:
    """Return the first entries: what runs, the share of targets that is asked for, and the state before any bar.

    Parameters
    ----------
    engine : Engine
    release : str or None
        Name of the release that runs.
    history : Bars or None
        What lies before the first bar.
    warmed_up_on : int
        Bars of it that the signal has seen.
    venue : str
    at_ms : int
    """
    facts = {
        "layout": LAYOUT,
        "identity": engine.identity(None if history is None else int(history.open_time_ms[-1])),
        "at_ms": at_ms,
        "warmed_up_on": warmed_up_on,
        "release": release,
        "history": None if history is None else history_facts(history),
    }
    return [
        Event("began", facts),
        rollout_event(engine.strategy.limits, None, venue, at_ms),
        snapshot_event(engine),
    ]


def history_facts(history: Bars) -> dict[str, Any]:
    """Return the opens of the first and the last bar of a history, and its fingerprint."""
    opens = history.open_time_ms
    return {"first_ms": int(opens[0]), "last_ms": int(opens[-1]), "data_fingerprint": history.fingerprint()}


def observed_facts(engine: Engine, raw: RawBar, lag_ms: int, seconds: dict[str, float | None]) -> dict[str, Any]:
    """Return what was seen beside a bar; a restart does not repeat it.

    Parameters
    ----------
    engine : Engine
        That has processed it.
    raw : RawBar
    lag_ms : int
        Time from its close until it was worked on.
    seconds : dict
        ``decide``: work on this bar up to its decision; ``commit``: of the bar before it, None where another process
        or none made it.
    """
    observed: dict[str, Any] = {"bar_gate": engine.gate.pending_faults(), "lag_ms": lag_ms, "seconds": seconds}
    if engine.market.rule_changes:
        observed["instruments"] = engine.market.rules_fingerprint(raw.open_time_ms)
    return observed


def bar_events(
    raw: RawBar, facts: dict[str, Any], observed: dict[str, Any], votes: Votes | None, reading: DriftReading | None
) -> list[Event]:
    """Return the entry of one bar, its members' votes, and those of the drift reading where one was due.

    Parameters
    ----------
    raw : RawBar
        As the gate passed it on.
    facts : dict
        See :func:`~quantlab.execution.session.bar_record.bar_facts`.
    observed : dict
        See :func:`observed_facts`.
    votes : Votes or None
        None where the signal has no members.
    reading : DriftReading or None
    """
    drift = () if reading is None else reading.events
    voted = () if votes is None else (votes_event(raw.open_time_ms, votes),)
    return [Event("bar", {"bar": facts, "observed": observed}, pack_raw(raw)), *voted, *drift]


def handover_events(
    running: Engine, name: str | None, successor: Engine, release: Release, warmed_up_on: int, venue: str, at_ms: int
) -> list[Event]:
    """Return one commit: what changed, and the state after it, where a restart begins.

    Parameters
    ----------
    running, successor : Engine
    name : str or None
        Of the release that ran.
    release : Release
        That takes over.
    warmed_up_on : int
        Bars that its signal has seen.
    venue : str
    at_ms : int
    """
    before = running.strategy
    facts = {
        "release": release.name,
        "identity": successor.identity(successor.last_ms),
        "before": {"release": name, "strategy": before.fingerprint, "signal": before.signal.fingerprint},
        "reason": release.reason,
        "after_ms": running.last_ms,
        "warmed_up_on": warmed_up_on,
        "at_ms": at_ms,
    }
    step = rollout_event(release.strategy.limits, before.limits.rollout, venue, at_ms)
    steps = [step] if step.facts["fraction"] != step.facts["before"] else []
    return [Event("switched", facts), Event("terms", release.terms), *steps, snapshot_event(successor)]


def rollout_event(limits: Limits, before: float | None, venue: str, at_ms: int) -> Event:
    """Return the share of every target that is asked for from now on, and where."""
    facts = {"fraction": limits.rollout, "before": before, "venue": venue, "at_ms": at_ms}
    return Event("rollout", facts)


def snapshot_event(engine: Engine) -> Event:
    """Return everything that the next bar depends on."""
    blob = engine.snapshot()
    return Event("snapshot", {"sha256": hashlib.sha256(blob).hexdigest(), "bytes": len(blob)}, blob)
