"""The journal: durable, append-only, one owner, and no damage goes unnoticed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from quantlab.core.errors import ArtifactError, InstallationError, QuantlabError
from quantlab.core.events import Event
from quantlab.execution.journal.checkpoint import checkpoint_path, read_checkpoint
from quantlab.execution.journal.connection import connect, read_entries
from quantlab.execution.journal.hash_chain import chain_hash, digest_of, facts_text
from quantlab.execution.journal.projections import read_tables
from quantlab.execution.journal.sqlite import SqliteJournal


def note(i: int, size: int = 40) -> Event:
    return Event("note", {"i": i, "text": "x" * size}, bytes([i % 256]) * size)


def filled(path: Path, count: int = 30) -> None:
    with SqliteJournal(path) as journal:
        for i in range(count):
            journal.append([note(i)])


def everything(path: Path):
    """All that a reader can see, verified."""
    with SqliteJournal(path) as journal:
        return [(e.seq, e.kind, e.facts, e.payload, e.hash) for e in read_entries(journal._database)], read_tables(
            journal._database
        )


def test_what_was_appended_comes_back_in_order_and_for_ever(tmp_path):
    path = tmp_path / "j.db"
    with SqliteJournal(path) as journal:
        journal.append([note(0), note(1)])
        journal.append([note(2)])
    with SqliteJournal(path) as journal:
        assert [event.facts["i"] for event in journal.replay()] == [0, 1, 2]
        assert [event.facts["i"] for event in journal.replay(after=2)] == [2]
        assert journal.latest("note").payload == note(2).payload
        assert journal.latest("nothing") is None


def test_the_chain_is_the_published_formula(tmp_path):
    """Each hash covers the one before it, number, kind, facts and payload; written out here without the code's help."""
    path = tmp_path / "j.db"
    filled(path, 3)
    before = hashlib.sha256(b"quantlab journal 1").digest()
    for i, row in enumerate(everything(path)[0], 1):
        facts = '{"i":' + str(i - 1) + ',"text":"' + "x" * 40 + '"}'
        payload = hashlib.sha256(bytes([i - 1]) * 40).digest()
        before = hashlib.sha256(before + f"{i}:4:note:{len(facts)}:{facts}".encode() + payload).digest()
        assert row[4] == before
    assert read_checkpoint(checkpoint_path(path)) == (3, before)


@pytest.mark.parametrize("read_only", [False, True])
def test_every_connection_is_durable(tmp_path, read_only):
    path = tmp_path / "j.db"
    filled(path, 1)
    database = connect(path, read_only=read_only)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.execute("PRAGMA synchronous").fetchone() == (2,)
    database.close()


def test_a_file_system_without_a_log_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "j.db"
    sqlite3.connect(path).execute("CREATE TABLE t (a)").connection.close()
    with pytest.raises(InstallationError, match="journal_mode=delete"):
        connect(path, read_only=True)  # cannot be switched, only asserted


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM events",
        "UPDATE events SET facts = '{}'",
        "UPDATE events SET payload = NULL WHERE kind = 'note'",
        "UPDATE events SET hash = x'00'",
    ],
)
def test_nothing_is_changed_or_deleted(tmp_path, statement):
    with SqliteJournal(tmp_path / "j.db") as journal:
        journal.append([note(0)])
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            journal._database.execute(statement)


def test_an_older_snapshot_is_dropped_and_the_chain_holds(tmp_path):
    path = tmp_path / "j.db"
    with SqliteJournal(path) as journal:
        for i in range(5):
            journal.append([note(i), Event("snapshot", {"i": i}, bytes(10_000))])
    rows, _ = everything(path)
    assert [len(row[3]) if row[3] else 0 for row in rows if row[1] == "snapshot"] == [0, 0, 0, 0, 10_000]


def test_one_session_per_journal(tmp_path):
    path = tmp_path / "j.db"
    with SqliteJournal(path), pytest.raises(InstallationError, match="one session per journal"):
        SqliteJournal(path)
    SqliteJournal(path).close()


def test_the_lock_dies_with_its_process(tmp_path):
    path = tmp_path / "j.db"
    code = f"""
import os, signal
from pathlib import Path
from quantlab.execution.journal.sqlite import SqliteJournal
journal = SqliteJournal(Path({str(path)!r}))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    SqliteJournal(path).close()


def test_a_full_disk_stops_clearly_and_loses_nothing(tmp_path):
    path = tmp_path / "j.db"
    filled(path, 5)
    before = everything(path)
    journal = SqliteJournal(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))  # writes beyond fail, as on a full disk
    acknowledged = 5
    try:
        with pytest.raises(InstallationError, match="nothing was lost"):
            for i in range(100):
                journal.append([note(5 + i, 20_000)])
                acknowledged += 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    with pytest.raises(InstallationError, match="one that failed"):
        journal.append([note(0)])
    journal.close()
    rows, _ = everything(path)
    assert acknowledged >= 5
    assert [row[0] for row in rows] == list(range(1, acknowledged + 1))
    assert rows[:5] == before[0]


def test_no_room_for_another_page_stops_clearly(tmp_path):
    path = tmp_path / "j.db"
    filled(path, 3)
    before = everything(path)
    journal = SqliteJournal(path)
    (pages,) = journal._database.execute("PRAGMA page_count").fetchone()
    journal._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(InstallationError, match="full"):
        journal.append([note(1, 50_000)])
    journal.close()
    assert everything(path) == before


def test_a_locked_database_stops_clearly(tmp_path, monkeypatch):
    path = tmp_path / "j.db"
    filled(path, 3)
    before = everything(path)
    journal = SqliteJournal(path)
    journal._database.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(InstallationError, match="locked"):
        journal.append([note(9)])
    other.execute("ROLLBACK")
    other.close()
    journal.close()
    assert everything(path) == before


def test_a_read_only_database_stops_clearly(tmp_path):
    path = tmp_path / "j.db"
    filled(path, 3)
    before = everything(path)
    journal = SqliteJournal(path)
    journal._database.execute("PRAGMA query_only = ON")
    with pytest.raises(InstallationError, match="readonly"):
        journal.append([note(9)])
    journal.close()
    assert everything(path) == before


def test_events_that_are_no_strict_json_are_refused_whole(tmp_path):
    path = tmp_path / "j.db"
    filled(path, 3)
    before = everything(path)
    journal = SqliteJournal(path)
    with pytest.raises(ValueError, match="JSON"):
        journal.append([note(3), Event("note", {"x": float("nan")})])
    journal.close()
    assert everything(path) == before


def crashed_copy(source: Path, target: Path) -> None:
    """The files as a dead process leaves them: database, write-ahead log and head."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for suffix in ("", "-wal", ".head"):
        if Path(f"{source}{suffix}").exists():
            shutil.copyfile(f"{source}{suffix}", f"{target}{suffix}")


@pytest.fixture(scope="module")
def died(tmp_path_factory, request):
    """A real session's journal in pages and log, as its process left it, and what it holds."""
    folder = tmp_path_factory.mktemp("died")
    path = folder / "j.db"
    journal = SqliteJournal(path)
    for i in range(40):
        journal.append([note(i, 300), Event("snapshot", {"i": i}, bytes([i]) * 3_000)][: 1 + (i % 8 == 0)])
    journal._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for i in range(40, 80):
        journal.append([note(i, 300)])
    still = folder / "still" / "j.db"
    crashed_copy(path, still)
    journal.close()
    crashed_copy(still, folder / "whole" / "j.db")
    return still, everything(folder / "whole" / "j.db")


def outcome(still: Path, folder: Path, suffix: str, offset: int, bit: int, whole) -> str:
    """Flip one bit of a copy: ``noticed``, ``harmless`` (every verified row is the same) or ``silent``."""
    copy = folder / "j.db"
    shutil.rmtree(folder, ignore_errors=True)
    crashed_copy(still, copy)
    data = bytearray(Path(f"{copy}{suffix}").read_bytes())
    data[offset] ^= 1 << bit
    Path(f"{copy}{suffix}").write_bytes(bytes(data))
    try:
        return "harmless" if everything(copy) == whole else "silent"
    except QuantlabError:
        return "noticed"


def test_every_harmful_bit_flip_is_noticed(died, tmp_path):
    still, whole = died
    rng = random.Random(7)  # noqa: S311 - no secret
    found = {"noticed": 0, "harmless": 0, "silent": 0}
    while found["noticed"] < 175:
        suffix = rng.choice(["", "-wal"])
        size = Path(f"{still}{suffix}").stat().st_size
        found[outcome(still, tmp_path / "flip", suffix, rng.randrange(size), rng.randrange(8), whole)] += 1
    assert found["silent"] == 0, found


def test_a_torn_tail_is_noticed(died, tmp_path):
    """A write-ahead log that lost its end loses acknowledged entries: SQLite alone says nothing."""
    still, _ = died
    size = Path(f"{still}-wal").stat().st_size
    for cut in (1, 100, 4_096, size // 2, size):
        copy = tmp_path / str(cut) / "j.db"
        crashed_copy(still, copy)
        with Path(f"{copy}-wal").open("r+b") as file:
            file.truncate(size - cut)
        with pytest.raises(ArtifactError, match="the last one written"):
            SqliteJournal(copy)


def test_a_damaged_journal_is_left_as_it_is(died, tmp_path):
    """What is refused is evidence: not a byte of database or log may change."""
    still, _ = died
    copy = tmp_path / "j.db"
    crashed_copy(still, copy)
    log = Path(f"{copy}-wal")
    with log.open("r+b") as file:
        file.seek(3_000)
        file.write(b"x" * 10)
    before = copy.read_bytes(), log.read_bytes()
    for _ in range(2):
        with pytest.raises(ArtifactError, match="the last one written"):
            SqliteJournal(copy)
    assert (copy.read_bytes(), log.read_bytes()) == before


def test_a_commit_that_was_never_acknowledged_may_be_torn(tmp_path):
    """The head lags behind by one entry when the process dies between commit and head: nothing is wrong."""
    path = tmp_path / "j.db"
    filled(path, 4)
    rows, _ = everything(path)
    slots = bytearray(checkpoint_path(path).read_bytes())
    slots[(4 % 2) * 64 : (4 % 2) * 64 + 64] = bytes(64)
    checkpoint_path(path).write_bytes(bytes(slots))
    assert everything(path)[0] == rows


@pytest.mark.parametrize("damage", ["missing", "zeros"])
def test_a_journal_without_its_head_is_refused(tmp_path, damage):
    path = tmp_path / "j.db"
    filled(path, 4)
    if damage == "missing":
        checkpoint_path(path).unlink()
    else:
        checkpoint_path(path).write_bytes(bytes(128))
    with pytest.raises(ArtifactError, match="head"):
        SqliteJournal(path)


def test_a_deleted_database_is_not_taken_for_a_new_one(tmp_path):
    path = tmp_path / "j.db"
    filled(path, 4)
    path.unlink()
    with pytest.raises(ArtifactError, match="journal entry 4"):
        SqliteJournal(path)


def test_a_tampered_table_is_noticed(tmp_path):
    path = tmp_path / "j.db"
    filled(path, 4)
    database = sqlite3.connect(path)
    database.execute("UPDATE counters SET value = value + 1")
    database.commit()
    database.close()
    with pytest.raises(ArtifactError, match="the table counters"):
        SqliteJournal(path)


def test_a_rewritten_entry_is_noticed_even_with_its_own_hash(tmp_path):
    path = tmp_path / "j.db"
    filled(path, 4)
    database = sqlite3.connect(path)
    database.execute("DROP TRIGGER events_keep")
    facts, digest = facts_text({"i": 99}), digest_of(bytes([1]) * 40)
    (before,) = database.execute("SELECT hash FROM events WHERE seq = 1").fetchone()
    database.execute(
        "UPDATE events SET facts = ?, hash = ? WHERE seq = 2", (facts, chain_hash(before, 2, "note", facts, digest))
    )
    database.commit()
    database.close()
    with pytest.raises(ArtifactError, match="journal entry 3"):
        SqliteJournal(path)


def test_a_backup_is_taken_while_the_session_runs(tmp_path):
    path, target = tmp_path / "j.db", tmp_path / "safe" / "b.db"
    with SqliteJournal(path) as journal:
        journal.append([note(0), note(1)])
        journal.backup(target)
        journal.append([note(2)])
        with pytest.raises(InstallationError, match="no file"):
            journal.backup(target)
    assert len(everything(target)[0]) == 2
    assert len(everything(path)[0]) == 3
    assert sorted(p.name for p in target.parent.iterdir()) == ["b.db", "b.db.head", "b.db.lock"]


def test_a_backup_is_whole_where_another_ones_head_was_left_behind(tmp_path):
    target = tmp_path / "safe" / "b.db"
    for name, count in (("long", 7), ("short", 2)):
        with SqliteJournal(tmp_path / f"{name}.db") as journal:
            for i in range(count):
                journal.append([note(i)])
            journal.backup(target)
        if name == "long":
            target.unlink()
    assert len(everything(target)[0]) == 2


def test_a_reader_beside_sees_every_commit(tmp_path):
    path = tmp_path / "j.db"
    with SqliteJournal(path) as journal:
        reader = connect(path, read_only=True)
        for i in range(3):
            journal.append([note(i)])
            assert reader.execute("SELECT count(*) FROM events").fetchone() == (i + 1,)
        with pytest.raises(sqlite3.OperationalError):
            reader.execute("CREATE TABLE t (a)")
        reader.close()


def test_the_lock_file_is_the_systems_own(tmp_path):
    path = tmp_path / "j.db"
    with SqliteJournal(path):
        handle = os.open(f"{path}.lock", os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(handle)
