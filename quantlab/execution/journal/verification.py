"""Verification of a journal before a byte of it is used: pages, hash chain, checkpoint and projections."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from quantlab.core.errors import ArtifactError
from quantlab.execution.journal.checkpoint import checkpoint_path, read_checkpoint
from quantlab.execution.journal.connection import FROM_BACKUP, connect, read_entries
from quantlab.execution.journal.hash_chain import GENESIS, verify_chain
from quantlab.execution.journal.layout import layout_of
from quantlab.execution.journal.projections import TABLES, apply_event, read_tables, schema


def verify(database: sqlite3.Connection, checkpoint: tuple[int, bytes]) -> tuple[int, bytes]:
    """Check pages, chain, checkpoint and projections; return the last entry's number and hash.

    Raises
    ------
    ArtifactError
        Naming the first thing that is not as it was written.
    """
    rebuilt = sqlite3.connect(":memory:")
    rebuilt.isolation_level = None
    try:
        layout = layout_of(database)
        rebuilt.executescript(schema(layout))
        rebuilt.execute("BEGIN")
        (health,) = database.execute("PRAGMA integrity_check(1)").fetchone()
        if health != "ok":
            raise ArtifactError("a sound journal file", found=str(health), fix=FROM_BACKUP)
        last = (0, GENESIS)
        reached = checkpoint[0] == 0
        for entry in verify_chain(read_entries(database)):
            last = (entry.seq, entry.hash)
            reached = reached or last == checkpoint
            apply_event(rebuilt, entry.event(), layout)
        if not reached:
            raise ArtifactError(
                f"journal entry {checkpoint[0]}, the last one written", found=f"{last[0]}", fix=FROM_BACKUP
            )
        stored, made = read_tables(database), read_tables(rebuilt)
        wrong = [table for table in TABLES if stored[table] != made[table]]
        if wrong:
            raise ArtifactError(f"the table {wrong[0]} as the events make it", found="another one", fix=FROM_BACKUP)
    except (sqlite3.DatabaseError, UnicodeDecodeError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise ArtifactError("a readable journal", found=f"{type(error).__name__}: {error}", fix=FROM_BACKUP) from error
    finally:
        rebuilt.close()
    return last


def verify_file(path: Path) -> tuple[int, bytes]:
    """:func:`verify` of a journal that nobody writes, without changing a byte of it: it may be evidence.

    Raises
    ------
    ArtifactError
        If it is damaged or gone.
    """
    checkpoint = read_checkpoint(checkpoint_path(path))
    if not path.exists() and checkpoint[0] > 0:
        raise ArtifactError(f"journal entry {checkpoint[0]}, the last one written", found="no file", fix=FROM_BACKUP)
    if checkpoint[0] == 0 and not _has_entries(path):
        return checkpoint  # it died being born, or is new
    database = connect(path, read_only=True)
    try:
        return verify(database, checkpoint)
    finally:
        database.close()


def _has_entries(path: Path) -> bool:
    """Tell whether anything was committed; the first commit may have died before the checkpoint was written."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        return {"events", *TABLES} <= tables and database.execute("SELECT 1 FROM events").fetchone() is not None
    except sqlite3.DatabaseError as error:
        raise ArtifactError(f"a journal in {path}", found=str(error), fix=FROM_BACKUP) from error
    finally:
        database.close()
