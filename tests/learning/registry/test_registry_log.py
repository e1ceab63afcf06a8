from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from quantlab.core import files
from quantlab.core.errors import ArtifactError, InstallationError
from quantlab.learning.registry import log as registry_log
from quantlab.learning.registry.log import LOG, POINTER, History, Record, commit, locked, read_history, recover
from quantlab.learning.registry.status import Status, earlier_release, release_after, release_without, releases, status


def record(event: str, *versions: str, active: dict[str, str] | None = None, reason: str = "é") -> Record:
    return Record("2025-03-16T12:00:00Z", event, versions, reason, active or {}, {}, "here")


def write(root: Path, *records: Record) -> History:
    history = History()
    for one in records:
        with locked(root):
            history = commit(root, read_history(root), one)
    return history


REGISTER, PROMOTE = record("register", "a_v1"), record("promote", "a_v1", active={"a": "a_v1"})


def test_an_empty_registry_has_no_history(tmp_path: Path) -> None:
    assert read_history(tmp_path / "absent") == History()
    assert read_history(tmp_path) == History()
    with locked(tmp_path):
        pass
    assert read_history(tmp_path) == History()


def test_what_was_committed_is_read_in_order(tmp_path: Path) -> None:
    said = write(tmp_path, REGISTER, PROMOTE)
    assert read_history(tmp_path) == said
    assert [r.event for r in said.records] == ["register", "promote"]
    assert said.active == {"a": "a_v1"}
    assert len((tmp_path / LOG).read_bytes().splitlines()) == 2


def test_half_a_line_is_as_if_it_never_happened(tmp_path: Path) -> None:
    before = write(tmp_path, REGISTER)
    log, pointer = (tmp_path / LOG).read_bytes(), (tmp_path / POINTER).read_bytes()
    write(tmp_path, PROMOTE)
    whole = (tmp_path / LOG).read_bytes()
    for cut in (*range(len(log), len(whole), 13), len(whole) - 2, len(whole) - 1, len(whole)):
        (tmp_path / LOG).write_bytes(whole[:cut])
        (tmp_path / POINTER).write_bytes(pointer)
        assert read_history(tmp_path).records == before.records
        assert read_history(tmp_path).ignored == (cut > len(log))
        again = write(tmp_path, record("shadow", "a_v1"))
        assert [r.event for r in again.records] == ["register", "shadow"]
        assert read_history(tmp_path) == again
        assert (tmp_path / LOG).read_bytes().startswith(whole[:cut]), "an audit log is only ever appended to"


def test_what_counts_is_guarded(tmp_path: Path) -> None:
    write(tmp_path, REGISTER, PROMOTE)
    for name in (LOG, POINTER):
        good = (tmp_path / name).read_bytes()
        for i in range(0, len(good) - (name == LOG), 3):
            for bit in (0, 5):
                bad = bytearray(good)
                bad[i] ^= 1 << bit
                (tmp_path / name).write_bytes(bad)
                with pytest.raises(ArtifactError, match="recover"):
                    read_history(tmp_path)
        for cut in range(0, len(good) - 1, 5):
            (tmp_path / name).write_bytes(good[:cut])
            with pytest.raises(ArtifactError):
                read_history(tmp_path)
        (tmp_path / name).write_bytes(good)
    read_history(tmp_path)


@pytest.mark.parametrize("name", [LOG, POINTER])
def test_a_lost_file_is_refused_not_forgotten(tmp_path: Path, name: str) -> None:
    write(tmp_path, REGISTER, PROMOTE)
    (tmp_path / name).unlink()
    with pytest.raises(ArtifactError, match="recover"):
        read_history(tmp_path)
    with pytest.raises(ArtifactError), locked(tmp_path):
        read_history(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"null", b"[" * 100_000, b"\xff", b'{"record": 1}'])
def test_a_pointer_in_another_format_is_refused_and_recovered(tmp_path: Path, damage: bytes) -> None:
    said = write(tmp_path, REGISTER, PROMOTE)
    (tmp_path / POINTER).write_bytes(damage)
    with pytest.raises(ArtifactError):
        read_history(tmp_path)
    with locked(tmp_path):
        assert recover(tmp_path) == said


def test_recovery_needs_a_record(tmp_path: Path) -> None:
    (tmp_path / LOG).write_text("half")
    with pytest.raises(ArtifactError, match="backup"), locked(tmp_path):
        recover(tmp_path)


def test_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = write(tmp_path, REGISTER)

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    real = os.write
    points: list[tuple[Any, str, Any]] = [
        (registry_log.os, "write", full),
        (registry_log.os, "write", lambda handle, data: real(handle, data[: len(data) // 2])),
        (registry_log.os, "fsync", full),
        (files.tempfile, "mkstemp", full),
        (Path, "replace", full),
    ]
    for owner, name, broken in points:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, broken)
            with pytest.raises(InstallationError, match="No space left"):
                write(tmp_path, PROMOTE)
        assert read_history(tmp_path).records == before.records
    assert write(tmp_path, PROMOTE).active == {"a": "a_v1"}


def test_writers_wait_for_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: write(tmp_path, record("register", f"a_v{i}")), range(40)))
    assert len(read_history(tmp_path).records) == 40
    assert read_history(tmp_path).ignored == 0


def _history(*records: Record) -> History:
    return History(records)


def test_a_status_is_read_off_the_records() -> None:
    r = [record("register", "a_v1"), record("register", "a_v2")]
    assert status(_history(*r), "a_v1") is Status.CANDIDATE
    r.append(record("shadow", "a_v2"))
    assert status(_history(*r), "a_v2") is Status.SHADOW
    r.append(record("promote", "a_v1", active={"a": "a_v1"}))
    r.append(record("promote", "a_v2", active={"a": "a_v2"}))
    assert (status(_history(*r), "a_v1"), status(_history(*r), "a_v2")) == (Status.RETIRED, Status.ACTIVE)
    r.append(record("quarantine", "a_v2", active={"a": "a_v1"}))
    assert (status(_history(*r), "a_v1"), status(_history(*r), "a_v2")) == (Status.ACTIVE, Status.QUARANTINED)
    r.append(record("restore", "a_v2", active={"a": "a_v1"}))
    assert status(_history(*r), "a_v2") is Status.RETIRED


def test_going_back_goes_back_step_by_step_and_never_forward() -> None:
    one, two, three = {"a": "a_v1"}, {"a": "a_v2"}, {"a": "a_v3"}
    r = [record("promote", v, active={"a": v}) for v in ("a_v1", "a_v2", "a_v3")]
    assert earlier_release(_history(*r)) == two
    r.append(record("rollback", active=two))
    assert earlier_release(_history(*r)) == one
    r.append(record("rollback", active=one))
    assert earlier_release(_history(*r)) is None
    r.append(record("promote", active=three))
    assert releases(_history(*r)) == [{}, one, three]
    assert earlier_release(_history(*r, record("quarantine", "a_v1", active=three))) is None


def test_members_that_were_tested_together_serve_together() -> None:
    pair, new = record("register", "a_v1", "b_v1"), record("register", "a_v2", "b_v2")
    alone = record("register", "c_v9")
    r = [pair, new, alone, record("promote", active={"a": "a_v1", "b": "b_v1"})]
    assert release_after(_history(*r), {"c": "c_v9"}) == {"a": "a_v1", "b": "b_v1", "c": "c_v9"}
    assert release_after(_history(*r), {"a": "a_v2", "b": "b_v2"}) == {"a": "a_v2", "b": "b_v2"}
    with pytest.raises(Exception, match="no b_v2"):
        release_after(_history(*r), {"a": "a_v2"})
    solo = record("register", "a_v3")
    assert release_after(_history(*r, solo), {"a": "a_v3"}) == {"a": "a_v3"}, "b_v1 was tested with a_v1 only"
    assert release_without(_history(*r), "a_v1") == {}
    r += [record("promote", active={"a": "a_v1", "b": "b_v1", "c": "c_v9"})]
    assert release_without(_history(*r), "c_v9") == {"a": "a_v1", "b": "b_v1"}
    assert release_without(_history(*r), "a_v1") == {"c": "c_v9"}
    assert release_without(_history(*r), "a_v2") == {"a": "a_v1", "b": "b_v1", "c": "c_v9"}
