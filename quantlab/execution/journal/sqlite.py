"""The journal: an embedded SQLite file that a session is rebuilt from.

1. One transaction per :meth:`SqliteJournal.append`: the events, their hashes and the projections, all or
   none; on return the disk has them (write-ahead log, ``synchronous=FULL``, asserted on every connection).
2. Then the head file names the last entry; see :mod:`quantlab.execution.journal.checkpoint`.
3. Opening verifies everything before a byte of it is used; what cannot be trusted stops the machine.

Nothing is ever changed or deleted, but for the payload of a snapshot that a newer one replaces.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from quantlab.core.errors import ArtifactError, InstallationError
from quantlab.core.events import Event
from quantlab.core.files import partial_prefix, remove_abandoned
from quantlab.execution.journal.checkpoint import Head, SingleInstance, read_head
from quantlab.execution.journal.hash_chain import GENESIS, Entry, chain, checked, digest_of, facts_text
from quantlab.execution.journal.projections import SCHEMA, TABLES, apply, contents

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, facts TEXT NOT NULL, payload BLOB, digest BLOB NOT NULL,
    hash BLOB NOT NULL);
CREATE TRIGGER IF NOT EXISTS events_stay BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'a journal is append-only'); END;
CREATE TRIGGER IF NOT EXISTS events_keep BEFORE UPDATE OF seq, kind, facts, digest, hash ON events
    BEGIN SELECT RAISE(ABORT, 'a journal is append-only'); END;
CREATE TRIGGER IF NOT EXISTS payloads_keep BEFORE UPDATE OF payload ON events
    WHEN OLD.kind <> 'snapshot' OR NEW.payload IS NOT NULL
    BEGIN SELECT RAISE(ABORT, 'a journal is append-only'); END;
"""
_COLUMNS = "seq, kind, facts, payload, digest, hash"
_FULL = 2
_FROM_BACKUP = "keep the files as evidence, and go on from a backup"

#: How long a commit waits for a reader that holds a lock, seconds.
_PATIENCE = 5.0


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode whose durability was asked for and then asserted.

    Raises
    ------
    InstallationError
        If the file cannot be opened, or its file system cannot keep a write-ahead log.
    ArtifactError
        If it is no SQLite file.
    """
    mode = "ro" if read_only else "rwc"
    try:
        with ExitStack() as owned:
            database = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=_PATIENCE)
            owned.callback(database.close)
            _require_durable(database, read_only=read_only)
            owned.pop_all()
    except sqlite3.OperationalError as error:
        raise InstallationError(
            f"a journal that can be opened, {path}", found=str(error), fix="fix the folder or its permissions"
        ) from error
    except sqlite3.DatabaseError as error:
        raise ArtifactError(f"a journal in {path}", found=str(error), fix=_FROM_BACKUP) from error
    return database


def _require_durable(database: sqlite3.Connection, *, read_only: bool) -> None:
    database.isolation_level = None
    if not read_only:
        database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA cell_size_check = ON")
    if read_only:
        database.execute("PRAGMA query_only = ON")
    (journal_mode,) = database.execute("PRAGMA journal_mode").fetchone()
    (synchronous,) = database.execute("PRAGMA synchronous").fetchone()
    if (str(journal_mode).lower(), int(synchronous)) != ("wal", _FULL):
        raise InstallationError(
            "a file system that can keep a write-ahead log, and synchronous=FULL",
            found=f"journal_mode={journal_mode}, synchronous={synchronous}",
            fix="put the journal on a local disk",
        )


def entries(database: sqlite3.Connection, after: int = 0) -> Iterator[Entry]:
    """Stored rows in order."""
    rows = database.execute(f"SELECT {_COLUMNS} FROM events WHERE seq > ? ORDER BY seq", (after,))  # noqa: S608
    for row in rows:
        yield Entry(*row)


def head_path(path: Path) -> Path:
    """Where a journal's head lies."""
    return path.with_name(path.name + ".head")


def verify(database: sqlite3.Connection, head: tuple[int, bytes]) -> tuple[int, bytes]:
    """Check pages, chain, head and projections; return the last entry's number and hash.

    Raises
    ------
    ArtifactError
        Naming the first thing that is not as it was written.
    """
    rebuilt = sqlite3.connect(":memory:")
    rebuilt.isolation_level = None
    try:
        rebuilt.executescript(SCHEMA)
        rebuilt.execute("BEGIN")
        (health,) = database.execute("PRAGMA integrity_check(1)").fetchone()
        if health != "ok":
            raise ArtifactError("a sound journal file", found=str(health), fix=_FROM_BACKUP)
        last = (0, GENESIS)
        reached = head[0] == 0
        for entry in checked(entries(database)):
            last = (entry.seq, entry.hash)
            reached = reached or last == head
            apply(rebuilt, entry.event())
        if not reached:
            raise ArtifactError(f"journal entry {head[0]}, the last one written", found=f"{last[0]}", fix=_FROM_BACKUP)
        kept, made = contents(database), contents(rebuilt)
        wrong = [table for table in TABLES if kept[table] != made[table]]
        if wrong:
            raise ArtifactError(f"the table {wrong[0]} as the events make it", found="another one", fix=_FROM_BACKUP)
    except (sqlite3.DatabaseError, UnicodeDecodeError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise ArtifactError("a readable journal", found=f"{type(error).__name__}: {error}", fix=_FROM_BACKUP) from error
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
    head = read_head(head_path(path))
    if not path.exists() and head[0] > 0:
        raise ArtifactError(f"journal entry {head[0]}, the last one written", found="no file", fix=_FROM_BACKUP)
    if head[0] == 0 and not _has_entries(path):
        return head  # it died being born, or is new
    database = connect(path, read_only=True)
    try:
        return verify(database, head)
    finally:
        database.close()


def _has_entries(path: Path) -> bool:
    """Whether anything was committed; the first commit may have died before the head was written."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        return {"events", *TABLES} <= tables and database.execute("SELECT 1 FROM events").fetchone() is not None
    except sqlite3.DatabaseError as error:
        raise ArtifactError(f"a journal in {path}", found=str(error), fix=_FROM_BACKUP) from error
    finally:
        database.close()


class SqliteJournal:
    """A journal of one session; implements :class:`quantlab.core.ports.Journal`.

    Parameters
    ----------
    path : Path
        The SQLite file; ``<path>.head`` and ``<path>.lock`` lie beside it.

    Raises
    ------
    InstallationError
        If another process holds it, or it cannot be opened or written.
    ArtifactError
        If it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as owned:
            lock = SingleInstance(path.with_name(path.name + ".lock"))
            owned.callback(lock.release)
            remove_abandoned(path.parent)
            head = head_path(path)
            unborn = not path.exists() and not (head.is_file() and head.stat().st_size)
            self._head = Head(head)
            owned.callback(self._head.close)
            if unborn:
                self._head.write(0, GENESIS)
            self._last = verify_file(path)
            self._database = connect(path)
            owned.callback(self._database.close)
            self._run_script(_SCHEMA + SCHEMA)
            self._head.write(*self._last)
            self._owned = owned.pop_all()
        self._stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def last_seq(self) -> int:
        """Number of the last entry, 0 when there is none."""
        return self._last[0]

    def append(self, events: Sequence[Event]) -> None:
        """Keep them all or none; on return they are durable.

        Raises
        ------
        InstallationError
            If they cannot be written (full disk, lock, permissions); nothing was, and nothing more will be.
        """
        if self._stopped:
            raise InstallationError("a journal that works", found="one that failed", fix="start the session again")
        try:
            self._database.execute("BEGIN IMMEDIATE")
            last = self._last
            for event in events:
                last = self._insert(last, event)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            self._stopped = True
            self._roll_back()
            raise InstallationError(
                f"a journal that can be written, {self.path}",
                found=str(error),
                fix="make room or fix the permissions, then start again: nothing was lost",
            ) from error
        except BaseException:
            self._stopped = True
            self._roll_back()
            raise
        self._last = last
        self._head.write(*last)

    def replay(self, after: int = 0) -> Iterator[Event]:
        """Every event with a number above `after`, oldest first; all were verified when it was opened."""
        for entry in entries(self._database, after):
            yield entry.event()

    def latest(self, kind: str) -> Event | None:
        """The newest event of a kind; None if there is none."""
        query = f"SELECT {_COLUMNS} FROM events WHERE kind = ? ORDER BY seq DESC LIMIT 1"  # noqa: S608
        row = self._database.execute(query, (kind,)).fetchone()
        return None if row is None else Entry(*row).event()

    def newest(self, kind: str, count: int | None) -> list[Event]:
        """The last `count` events of a kind, oldest first; all of them for None."""
        query = f"SELECT {_COLUMNS} FROM events WHERE kind = ? ORDER BY seq DESC LIMIT ?"  # noqa: S608
        rows = self._database.execute(query, (kind, -1 if count is None else count)).fetchall()
        return [Entry(*row).event() for row in reversed(rows)]

    def backup(self, target: Path) -> None:
        """Copy the journal while it is used; `target` appears whole, verified and with its head, or not at all.

        Raises
        ------
        InstallationError
            If `target` exists or cannot be written.
        """
        if target.exists():
            raise InstallationError(f"no file {target}", found="one", fix="choose another name for the backup")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(partial_prefix(target.name) + "db")
        copy = sqlite3.connect(partial)
        try:
            self._database.backup(copy)
            copy.isolation_level = None
            verify(copy, self._last)
        except sqlite3.Error as error:
            partial.unlink(missing_ok=True)
            raise InstallationError(f"a backup in {target}", found=str(error), fix="choose another disk") from error
        finally:
            copy.close()
        head_path(target).unlink(missing_ok=True)  # of a backup that was taken away: it may have reached further
        head = Head(head_path(target))
        head.write(*self._last)
        head.close()
        partial.replace(target)

    def close(self) -> None:
        """Fold the write-ahead log into the file and let the next session in."""
        self._stopped = True
        self._owned.close()

    def _insert(self, last: tuple[int, bytes], event: Event) -> tuple[int, bytes]:
        seq, facts, digest = last[0] + 1, facts_text(event.facts), digest_of(event.payload)
        entry_hash = chain(last[1], seq, event.kind, facts, digest)
        if event.kind == "snapshot":
            self._database.execute("UPDATE events SET payload = NULL WHERE kind = 'snapshot' AND payload IS NOT NULL")
        self._database.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", (seq, event.kind, facts, event.payload, digest, entry_hash)
        )
        apply(self._database, event)
        return seq, entry_hash

    def _roll_back(self) -> None:
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")

    def _run_script(self, script: str) -> None:
        try:
            self._database.executescript(script)
        except sqlite3.OperationalError as error:
            raise InstallationError(
                f"a journal that can be written, {self.path}", found=str(error), fix="fix the folder's permissions"
            ) from error
        except sqlite3.DatabaseError as error:
            raise ArtifactError(f"a journal in {self.path}", found=str(error), fix=_FROM_BACKUP) from error
