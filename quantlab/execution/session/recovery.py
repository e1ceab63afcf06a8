"""Recovery: the last snapshot, and every bar after it once more, to the same facts bit for bit.

What a venue said lies in the journal between the bars and is taken from there; nothing here asks a network.
"""

from __future__ import annotations

from typing import Any

from quantlab.core.clock import iso_utc
from quantlab.core.errors import ArtifactError, ConfigError
from quantlab.core.events import VENUE_KINDS, Event
from quantlab.core.market import Bars
from quantlab.core.ports import Journal, Progress
from quantlab.execution.journal.hash_chain import facts_text
from quantlab.execution.session.drift_watch import READING
from quantlab.execution.session.engine import Engine
from quantlab.execution.session.inputs import inputs_of
from quantlab.execution.session.snapshot import unpack_raw


def recover(engine: Engine, journal: Journal, progress: Progress) -> tuple[int, bool]:
    """Bring a new engine to where a journal ends, and send its last decision once more.

    The process may have died between a commit and the sending: an order that the venue knows is ignored.

    Parameters
    ----------
    engine : Engine
        Of the strategy, market and account that the journal ends with; see :func:`require_identity`.
    journal : Journal
    progress : Progress
        One step for each bar that is done again.

    Returns
    -------
    repeated : int
        Bars that were done again.
    counted : bool
        Whether what drift had counted could be continued.

    Raises
    ------
    ArtifactError
        If there is no snapshot, or a repeated bar does not give what was journalled.
    """
    snapshot = journal.latest("snapshot")
    if snapshot is None:
        raise ArtifactError("a snapshot in the journal", found="none", fix="begin a session in a new folder")
    counted, repeated = engine.restore(snapshot.payload), 0
    with progress.stage(
        "repeating journalled bars", _bars_after(snapshot, journal, engine.market.interval_ms)
    ) as stage:
        for event in journal.replay(snapshot.seq):
            if event.kind == "bar":
                _repeat(engine, event)
                repeated += 1
                stage.advance()
            elif event.kind in VENUE_KINDS:
                engine.broker.take(event)
            elif event.kind == "reset_breaker":
                engine.reset_breaker()
    if engine.drift is not None:
        engine.drift.restore_alerts(_last_reading(journal))
    last_decision = engine.last_decision()
    if last_decision is not None:
        engine.broker.submit(last_decision)
    return repeated, counted


def require_identity(engine: Engine, journal: Journal, began: Event) -> None:
    """Return if a strategy, market and account are the ones that a journal ends with.

    Trading rules with dates may be others later: those of the last bar are compared.

    Raises
    ------
    ConfigError
        Naming the first difference.
    """
    last, history = journal.latest("bar"), began.facts.get("history")
    journalled = {**(journal.latest("switched") or began).facts["identity"]}
    at_ms = None if history is None else history["last_ms"]
    if last is not None:
        at_ms = last.facts["bar"]["open_ms"]
        journalled["instruments"] = last.facts["observed"].get("instruments", journalled["instruments"])
    for key, value in engine.identity(at_ms).items():
        if journalled.get(key) != value:
            raise ConfigError(
                f"the session's {key} as it is journalled, {_short(journalled.get(key))}",
                found=_short(value),
                fix="go on with the same strategy and market, or begin a session in a new folder",
            )


def require_history(history: Bars | None, began: Event) -> None:
    """Return if a history with the bars that a session warmed up on still says the same of them.

    A history of other bars, as a live session has at every start, is not compared.

    Raises
    ------
    ConfigError
        If it says something else, e.g. since its prices were adjusted.
    """
    journalled = began.facts.get("history")
    if history is None or journalled is None:
        return
    opens = history.open_time_ms
    if (int(opens[0]), int(opens[-1])) != (journalled["first_ms"], journalled["last_ms"]):
        return
    if (found := history.fingerprint()) != journalled["data_fingerprint"]:
        raise ConfigError(
            "bars of the history that say what they said when the session warmed up on them, from "
            f"{iso_utc(journalled['first_ms'])} to {iso_utc(journalled['last_ms'])} "
            f"(fingerprint {_short(journalled['data_fingerprint'])})",
            found=f"other values in the same bars (fingerprint {_short(found)}): data.adjustments or data.instruments changed, "
            "or the bars or funding rates themselves were collected or written anew",
            fix="go on with the same data, adjustments and instruments, or begin a session in a new folder",
        )


def _repeat(engine: Engine, event: Event) -> None:
    """Repeat a journalled bar and compare the outcome with what was journalled."""
    journalled = event.facts["bar"]
    facts, _ = engine.process(unpack_raw(event.payload), inputs_of(journalled))
    if facts_text(facts) != facts_text(journalled):
        wrong = next(key for key in journalled if facts_text({"": facts.get(key)}) != facts_text({"": journalled[key]}))
        raise ArtifactError(
            f"the journalled {wrong} of {iso_utc(journalled['open_ms'])}",
            found="another one from the same bar",
            fix="go on with the version of the code and the models that wrote the journal",
        )


def _bars_after(snapshot: Event, journal: Journal, interval_ms: int) -> int:
    """Count the bars journalled after a snapshot, from the first and the last of them: a grid has no holes."""
    first = next((event for event in journal.replay(snapshot.seq) if event.kind == "bar"), None)
    last = journal.latest("bar")
    if first is None or last is None:
        return 0
    first_ms, last_ms = (int(event.facts["bar"]["open_ms"]) for event in (first, last))
    return (last_ms - first_ms) // interval_ms + 1


def _last_reading(journal: Journal) -> dict[str, Any] | None:
    """Return the newest drift reading of the members that run; None where there is none since they took over."""
    reading, switched = journal.latest(READING), journal.latest("switched")
    return reading.facts if reading is not None and (switched is None or reading.seq > switched.seq) else None


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
