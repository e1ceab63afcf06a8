"""The pointer and the audit log: what serves, and everything that ever happened to a version.

``audit.jsonl`` is only ever appended to; each line is a record that names its predecessor's sha256.
``active.json``, the one pointer, names the newest record that counts and what is active with it.

1. Under a lock, a record is appended and synced; then the pointer is replaced in one rename. The rename
   is the moment at which something happens.
2. What counts is what the pointer reaches, record by record, by sha256. All of it must be whole: a changed
   byte in any of it is refused.
3. Anything else in the log - half a line after a crash, a whole one whose pointer never moved - was never
   carried out. It is left where it is, ignored and counted; the next record begins a line of its own.

So a version's status needs no rewriting of its verified manifest: it is read off the records.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from quantlab.core.errors import ArtifactError, InstallationError
from quantlab.core.files import to_json, write_text
from quantlab.core.fingerprint import fingerprint

POINTER, LOG, LOCK = "active.json", "audit.jsonl", ".lock"
_START = ""  # what the first record names as its predecessor

Release = dict[str, str]
"""Member -> version that serves."""


@dataclass(frozen=True)
class Record:
    """One line of the audit log.

    Parameters
    ----------
    time : str
        ISO 8601, UTC.
    event : str
        ``register``, ``promote``, ``rollback``, ``shadow``, ``quarantine``, ``restore`` or ``verify``.
    versions : tuple of str
        That it happened to.
    reason : str
    active : dict of member to version
        What serves after it.
    proofs : dict of version to sha256
        Manifests of versions that were loaded in a process of their own and repeated their golden
        predictions.
    environment : str
        sha256 over the machine and the libraries that this was done with.
    previous : str
        sha256 of the record before it.
    """

    time: str
    event: str
    versions: tuple[str, ...]
    reason: str
    active: Release
    proofs: dict[str, str]
    environment: str
    previous: str = _START

    @property
    def sha256(self) -> str:
        """Hash over all fields."""
        return fingerprint(_plain(asdict(self)))

    def line(self) -> bytes:
        """The record as it stands in the log, without the end of the line."""
        return json.dumps({**_plain(asdict(self)), "sha256": self.sha256}, sort_keys=True).encode()

    @classmethod
    def parse(cls, line: bytes) -> Record | None:
        """The record of a line, None if it is not a whole one."""
        try:
            content = json.loads(line)
            del content["sha256"]
            record = cls(**{**content, "versions": tuple(content["versions"])})
            return record if record.line() == line else None  # which holds its sha256
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None


@dataclass(frozen=True)
class History:
    """The records that count, oldest first, and how many lines of the log do not."""

    records: tuple[Record, ...] = ()
    ignored: int = 0

    @property
    def active(self) -> Release:
        """Member -> version that serves."""
        return dict(self.records[-1].active) if self.records else {}

    @property
    def head(self) -> str:
        return self.records[-1].sha256 if self.records else _START

    def of(self, version: str) -> tuple[Record, ...]:
        """The records about one version."""
        return tuple(record for record in self.records if version in record.versions)


def read_history(root: Path) -> History:
    """Read pointer and log; the history of a registry in which nothing happened yet is empty.

    Raises
    ------
    ArtifactError
        If the pointer is missing or damaged, or a record that counts is.
    """
    head = _read_pointer(root)  # before the log: every record that it reaches was written before it
    lines = [line for line in _read_log(root).split(b"\n") if line]
    if head is None:
        if lines:
            raise _damaged(root / POINTER, "no such file beside an audit log")
        return History()
    found = {record.sha256: record for record in map(Record.parse, lines) if record is not None}
    records: list[Record] = []
    step, active = head
    while step != _START:
        if step not in found:
            raise _damaged(root / LOG, f"no whole record {step[:12]}, which {'another' if records else POINTER} names")
        records.append(found[step])
        step = found[step].previous
    history = History(tuple(reversed(records)), len(lines) - len(records))
    if history.active != active:
        raise _damaged(root / POINTER, "other versions than its record says")
    return history


def commit(root: Path, history: History, record: Record) -> History:
    """Append `record` after `history` and move the pointer to it; call under :func:`locked`.

    Raises
    ------
    InstallationError
        If the disk does not take it; then nothing has happened.
    """
    record = replace(record, previous=history.head)
    try:
        _append(root / LOG, record.line() + b"\n")
        _write_pointer(root, record.sha256, record.active)
    except OSError as error:
        # Syncing the folder comes after the rename: if only that failed, it has happened.
        if _read_pointer(root) != (record.sha256, record.active):
            raise unwritable(root, error) from error
    return History((*history.records, record), history.ignored)


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """One writer at a time, over all processes of this machine.

    Raises
    ------
    InstallationError
        If the root cannot be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        handle = os.open(root / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise unwritable(root, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not (root / POINTER).exists() and not (root / LOG).exists():
            try:
                _write_pointer(root, _START, {})
            except OSError as error:
                raise unwritable(root, error) from error
        yield
    finally:
        os.close(handle)


def require_log(root: Path) -> None:
    """Raise ArtifactError unless there is an audit log; call before :func:`locked`, which makes a registry where there is none."""
    if not (root / LOG).is_file():
        raise ArtifactError(
            f"a registry in {root}", found=f"no {LOG}", fix="set registry_root to the registry's folder"
        )


def recover(root: Path) -> History:
    """Put a lost or damaged pointer back onto the last whole record of the log; call under :func:`locked`.

    Raises
    ------
    ArtifactError
        If the log holds none, or one before it is damaged: then only a backup helps.
    """
    lines = _read_log(root).split(b"\n")
    last = next((record for record in map(Record.parse, reversed(lines)) if record is not None), None)
    if last is None:
        raise ArtifactError(f"a whole record in {root / LOG}", found="none", fix="restore it from a backup")
    try:
        _write_pointer(root, last.sha256, last.active)
    except OSError as error:
        raise unwritable(root, error) from error
    return read_history(root)


def unwritable(root: Path, error: OSError) -> InstallationError:
    """A registry that the disk or its permissions do not let us write."""
    return InstallationError(
        f"a registry in {root} that can be written",
        found=error.strerror or str(error),
        fix="free some space or fix its permissions; nothing was changed",
    )


def _read_pointer(root: Path) -> tuple[str, Release] | None:
    path = root / POINTER
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _damaged(path, str(error)) from error
    try:
        content: dict[str, Any] = json.loads(text)
        as_written = to_json(content).encode() == text
        stated = content.pop("sha256")
        head, active = str(content["record"]), dict(content["active"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _damaged(path, f"a file that is not one ({type(error).__name__})") from error
    if not as_written or fingerprint(content) != stated:
        raise _damaged(path, "an altered file")
    return head, active


def _write_pointer(root: Path, head: str, active: Release) -> None:
    content = {"active": active, "record": head}
    write_text(root / POINTER, to_json({**content, "sha256": fingerprint(content)}))


def _read_log(root: Path) -> bytes:
    try:
        return (root / LOG).read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise _damaged(root / LOG, str(error)) from error


def _append(path: Path, line: bytes) -> None:
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(handle).st_size
        half = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        data = b"\n" + line if half else line
        if os.write(handle, data) != len(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        os.fsync(handle)
    finally:
        os.close(handle)


def _plain(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "versions": list(content["versions"])}


def _damaged(path: Path, found: str) -> ArtifactError:
    return ArtifactError(
        f"{path} as it was written",
        found=found,
        fix="restore it from a backup, or let job=models job.action=recover rebuild the pointer from the audit log",
    )


def was_proven(records: Sequence[Record], version: str, manifest: str, environment: str) -> bool:
    """Tell whether this very manifest of `version` was loaded and found good with these libraries before."""
    return any(r.environment == environment and r.proofs.get(version) == manifest for r in records)
