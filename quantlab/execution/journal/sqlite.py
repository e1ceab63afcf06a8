"""The journal: an embedded SQLite file that a session is rebuilt from.

1. One transaction per :meth:`SqliteJournal.append`: the events, their hashes and the projections, all or
   none; on return the disk has them (write-ahead log, ``synchronous=FULL``, asserted on every connection).
2. Then the checkpoint names the last entry; see :mod:`quantlab.execution.journal.checkpoint`.
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
from quantlab.execution.journal.checkpoint import Checkpoint, JournalLock, checkpoint_path
from quantlab.execution.journal.connection import COLUMNS, FROM_BACKUP, connect, read_entries
from quantlab.execution.journal.hash_chain import GENESIS, Entry, chain_hash, digest_of, facts_text
from quantlab.execution.journal.layout import LAYOUT, layout_of, require_layout
from quantlab.execution.journal.projections import TABLES, apply_event, schema
from quantlab.execution.journal.verification import verify, verify_file

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
    ConfigError
        If it is sound, and of a layout that sessions do not go on with any more; readers read it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as resources:
            lock = JournalLock(path.with_name(path.name + ".lock"))
            resources.callback(lock.release)
            remove_abandoned(path.parent)
            checkpoint = checkpoint_path(path)
            is_new = not path.exists() and not (checkpoint.is_file() and checkpoint.stat().st_size)
            self._checkpoint = Checkpoint(checkpoint)
            resources.callback(self._checkpoint.close)
            if is_new:
                self._checkpoint.write(0, GENESIS)
            self._last = verify_file(path)
            self._database = connect(path)
            resources.callback(self._database.close)
            self._make_tables()
            self._checkpoint.write(*self._last)
            self._resources = resources.pop_all()
        self._stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
        self._checkpoint.write(*last)

    def replay(self, after: int = 0) -> Iterator[Event]:
        """Every event with a number above `after`, oldest first; all were verified when it was opened."""
        for entry in read_entries(self._database, after):
            yield entry.event()

    def latest(self, kind: str) -> Event | None:
        """The newest event of a kind; None if there is none."""
        query = f"SELECT {COLUMNS} FROM events WHERE kind = ? ORDER BY seq DESC LIMIT 1"  # noqa: S608
        row = self._database.execute(query, (kind,)).fetchone()
        return None if row is None else Entry(*row).event()

    def newest(self, kind: str, count: int | None) -> list[Event]:
        """The last `count` events of a kind, oldest first; all of them for None."""
        query = f"SELECT {COLUMNS} FROM events WHERE kind = ? ORDER BY seq DESC LIMIT ?"  # noqa: S608
        rows = self._database.execute(query, (kind, -1 if count is None else count)).fetchall()
        return [Entry(*row).event() for row in reversed(rows)]

    def backup(self, target: Path) -> None:
        """Copy the journal while it is used; `target` appears whole, verified and with its checkpoint, or not at all.

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
        checkpoint_path(target).unlink(missing_ok=True)  # of a backup that was taken away: it may have reached further
        checkpoint = Checkpoint(checkpoint_path(target))
        checkpoint.write(*self._last)
        checkpoint.close()
        partial.replace(target)

    def close(self) -> None:
        """Fold the write-ahead log into the file and let the next session in."""
        self._stopped = True
        self._resources.close()

    def _insert(self, last: tuple[int, bytes], event: Event) -> tuple[int, bytes]:
        seq, facts, digest = last[0] + 1, facts_text(event.facts), digest_of(event.payload)
        entry_hash = chain_hash(last[1], seq, event.kind, facts, digest)
        if event.kind == "snapshot":
            self._database.execute("UPDATE events SET payload = NULL WHERE kind = 'snapshot' AND payload IS NOT NULL")
        self._database.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", (seq, event.kind, facts, event.payload, digest, entry_hash)
        )
        apply_event(self._database, event, LAYOUT)
        return seq, entry_hash

    def _roll_back(self) -> None:
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")

    def _make_tables(self) -> None:
        """Make what is missing; tables without an entry, e.g. of a process that died being born, are made anew."""
        if self._last[0]:
            require_layout(layout_of(self._database))
        else:
            drop = "".join(f"DROP TABLE IF EXISTS {table};" for table in TABLES)
            self._run_script(f"BEGIN; {drop} {schema(LAYOUT)} PRAGMA user_version = {LAYOUT}; COMMIT;")
        self._run_script(_SCHEMA)

    def _run_script(self, script: str) -> None:
        try:
            self._database.executescript(script)
        except sqlite3.OperationalError as error:
            raise InstallationError(
                f"a journal that can be written, {self.path}", found=str(error), fix="fix the folder's permissions"
            ) from error
        except sqlite3.DatabaseError as error:
            raise ArtifactError(f"a journal in {self.path}", found=str(error), fix=FROM_BACKUP) from error
