"""A session's journal as a reader beside it sees it: no lock is taken and nothing is written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantlab.core.errors import ArtifactError, ConfigError
from quantlab.core.events import Event
from quantlab.execution.journal.checkpoint import checkpoint_path, is_locked, read_checkpoint
from quantlab.execution.journal.connection import connect
from quantlab.execution.journal.hash_chain import Entry
from quantlab.execution.journal.projections import read_tables
from quantlab.execution.journal.verification import verify


@dataclass(frozen=True)
class SessionView:
    """One consistent moment of a session.

    Parameters
    ----------
    running : bool
        Whether a process holds the journal.
    entries : int
    identity : dict or None
        What runs; None if nothing has begun.
    release : str or None
        Name of the bundle that runs; None where the session does not follow a pointer.
    last_bar : dict or None
        The facts of the newest bar (see :mod:`quantlab.execution.session.bar_record`).
    observed : dict or None
        ``lag_ms`` and ``bar_gate`` faults of the newest bar.
    drift : dict or None
        The newest reading of the features' drift (see :mod:`quantlab.execution.session.drift_watch`); None before any.
    clock : dict or None
        The newest measurement of the venue's clock: ``ahead_ms``, ``uncertain_ms``, ``limit_ms``, ``at_ms``; None
        where the session's own is used.
    terms : dict or None
        What the strategy trades by: ``barriers``, ``limits``, ``costs`` and more; None where none were recorded.
    ended : str or None
        The reason of a clean stop that nothing followed.
    tables : dict of table name to rows
    """

    running: bool
    entries: int
    identity: dict[str, Any] | None
    release: str | None
    last_bar: dict[str, Any] | None
    observed: dict[str, Any] | None
    drift: dict[str, Any] | None
    clock: dict[str, Any] | None
    terms: dict[str, Any] | None
    ended: str | None
    tables: dict[str, list[tuple[Any, ...]]]

    @property
    def counters(self) -> dict[str, int]:
        """Every count since the session began."""
        return dict(self.tables["counters"])


def read_session(path: Path, *, check: bool = False) -> SessionView:
    """Look at a journal, of a running session or of one that ended.

    Parameters
    ----------
    path : Path
        The SQLite file.
    check : bool
        Verify every entry, hash and table too.

    Raises
    ------
    ConfigError
        If there is no journal.
    ArtifactError
        If it is damaged.
    """
    if not path.is_file():
        raise ConfigError(f"a session's journal, {path}", found="no file", fix="set job.folder to a session's folder")
    database = connect(path, read_only=True)
    try:
        checkpoint = read_checkpoint(checkpoint_path(path))  # before the moment that is read: it can only be behind
        database.execute("BEGIN")
        if check:
            verify(database, checkpoint)
        kinds = ("began", "switched", "bar", "stopped", "drift", "clock_offset", "terms")
        began, switched, bar, stopped, reading, clock, terms = (_latest(database, kind) for kind in kinds)
        (count,) = database.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
        ended = stopped is not None and stopped.seq >= count - 1
        return SessionView(
            running=is_locked(path.with_name(path.name + ".lock")),
            entries=int(count),
            identity=None if began is None else json.loads((switched or began).facts)["identity"],
            release=None if began is None else json.loads((switched or began).facts).get("release"),
            last_bar=None if bar is None else json.loads(bar.facts)["bar"],
            observed=None if bar is None else json.loads(bar.facts)["observed"],
            drift=json.loads(reading.facts)
            if reading is not None and (switched is None or reading.seq > switched.seq)
            else None,
            clock=None if clock is None else json.loads(clock.facts),
            terms=None if terms is None else json.loads(terms.facts),
            ended=json.loads(stopped.facts)["reason"] if ended and stopped is not None else None,
            tables=read_tables(database),
        )
    except sqlite3.DatabaseError as error:
        raise ArtifactError(f"a readable journal in {path}", found=str(error), fix="go on from a backup") from error
    finally:
        database.close()


def read_kinds(path: Path, kinds: Sequence[str]) -> list[Event]:
    """Read every entry of some kinds, oldest first, without a lock; none where there is no journal.

    Raises
    ------
    ArtifactError
        If the journal is damaged.
    """
    if not path.is_file():
        return []
    database = connect(path, read_only=True)
    try:
        places = ", ".join("?" * len(kinds))
        query = f"SELECT kind, facts FROM events WHERE kind IN ({places}) ORDER BY seq"  # noqa: S608 - question marks alone
        return [Event(kind, json.loads(facts)) for kind, facts in database.execute(query, tuple(kinds))]
    except sqlite3.DatabaseError as error:
        raise ArtifactError(f"a readable journal in {path}", found=str(error), fix="go on from a backup") from error
    finally:
        database.close()


def _latest(database: sqlite3.Connection, kind: str) -> Entry | None:
    query = "SELECT seq, kind, facts, NULL, digest, hash FROM events WHERE kind = ? ORDER BY seq DESC LIMIT 1"
    row = database.execute(query, (kind,)).fetchone()
    return None if row is None else Entry(*row)
