"""Connections to a journal's SQLite file whose durability is asserted, and the rows in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from quantlab.core.errors import ArtifactError, InstallationError
from quantlab.execution.journal.hash_chain import Entry

#: What an error about a damaged journal tells its reader to do.
FROM_BACKUP = "keep the files as evidence, and go on from a backup"

#: Columns of a stored row, in the order of the fields of :class:`Entry`.
COLUMNS = "seq, kind, facts, payload, digest, hash"

_FULL = 2

#: How long a commit waits for a reader that holds a lock, seconds.
_PATIENCE = 5.0


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection in autocommit mode whose durability was asked for and then asserted.

    Raises
    ------
    InstallationError
        If the file cannot be opened, or its file system cannot keep a write-ahead log.
    ArtifactError
        If it is no SQLite file.
    """
    mode = "ro" if read_only else "rwc"
    try:
        with ExitStack() as resources:
            database = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=_PATIENCE)
            resources.callback(database.close)
            _require_durable(database, read_only=read_only)
            resources.pop_all()
    except sqlite3.OperationalError as error:
        raise InstallationError(
            f"a journal that can be opened, {path}", found=str(error), fix="fix the folder or its permissions"
        ) from error
    except sqlite3.DatabaseError as error:
        raise ArtifactError(f"a journal in {path}", found=str(error), fix=FROM_BACKUP) from error
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


def read_entries(database: sqlite3.Connection, after: int = 0) -> Iterator[Entry]:
    """Yield the stored rows with a number above `after`, in order."""
    rows = database.execute(f"SELECT {COLUMNS} FROM events WHERE seq > ? ORDER BY seq", (after,))  # noqa: S608
    for row in rows:
        yield Entry(*row)
