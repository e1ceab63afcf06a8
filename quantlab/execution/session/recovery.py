"""Starting again: the last snapshot, and every bar behind it once more, to the same facts bit for bit."""

from __future__ import annotations

from typing import Any

from quantlab.core.clock import iso_utc
from quantlab.core.errors import ArtifactError, ConfigError
from quantlab.core.events import Event
from quantlab.execution.journal.hash_chain import facts_text
from quantlab.execution.journal.sqlite import SqliteJournal
from quantlab.execution.session.drift_watch import LOOK
from quantlab.execution.session.engine import Engine
from quantlab.execution.session.snapshot import unpack_raw


def recover(engine: Engine, journal: SqliteJournal) -> tuple[int, bool]:
    """Bring a new engine to where a journal ends, and send its last decision once more.

    The process may have died between a commit and the sending: an order that the venue knows is ignored.

    Parameters
    ----------
    engine : Engine
        Of the strategy, market and account that the journal ends with; see :func:`require_identity`.
    journal : SqliteJournal

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
    for event in journal.replay(snapshot.seq):
        if event.kind == "bar":
            _repeat(engine, event)
            repeated += 1
        elif event.kind == "reset_breaker":
            engine.reset_breaker()
    if engine.drift is not None:
        engine.drift.remember(_told(journal))
    due = engine.due()
    if due is not None:
        engine.broker.submit(due)
    return repeated, counted


def require_identity(ours: dict[str, Any], journal: SqliteJournal, began: Event) -> None:
    """Return if a strategy, market and account are the ones that a journal ends with.

    Raises
    ------
    ConfigError
        Naming the first difference.
    """
    theirs = (journal.latest("switched") or began).facts["identity"]
    for key, value in ours.items():
        if theirs.get(key) != value:
            raise ConfigError(
                f"the session's {key} as it is journalled, {_short(theirs.get(key))}",
                found=_short(value),
                fix="go on with the same strategy and market, or begin a session in a new folder",
            )


def _repeat(engine: Engine, event: Event) -> None:
    """Do a journalled bar again and hold the outcome against what was written."""
    written = event.facts["bar"]
    facts, _ = engine.work(unpack_raw(event.payload), stale="feed" in written["halts"])
    if facts_text(facts) != facts_text(written):
        wrong = next(key for key in written if facts_text({"": facts.get(key)}) != facts_text({"": written[key]}))
        raise ArtifactError(
            f"the journalled {wrong} of {iso_utc(written['open_ms'])}",
            found="another one from the same bar",
            fix="go on with the version of the code and the models that wrote the journal",
        )


def _told(journal: SqliteJournal) -> dict[str, Any] | None:
    """The newest look at the drift of the members that run; None where there is none since they took over."""
    look, switched = journal.latest(LOOK), journal.latest("switched")
    return look.facts if look is not None and (switched is None or look.seq > switched.seq) else None


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
