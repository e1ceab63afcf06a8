"""Files beside a journal: the checkpoint, how far it reached, and the lock that only one session may hold.

SQLite ends its write-ahead log at the first frame whose checksum fails, and says nothing: a damaged
frame silently takes every later commit with it. The checkpoint (`<journal>.head`) is written after each commit and names
the last entry, so that a journal that lost its tail is noticed. It is not flushed to the disk: after a
power cut it may lag behind the journal, which is harmless, and it can never be ahead of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path

from quantlab.core.errors import ArtifactError, InstallationError

# Two slots in turn, each within one disk sector: a torn write leaves the other.
_SLOT_BYTES = 64
_SEQ_BYTES = 8
_HASH_BYTES = 32


def _slot(seq: int, entry_hash: bytes) -> bytes:
    body = seq.to_bytes(_SEQ_BYTES, "little") + entry_hash
    return (body + hashlib.sha256(body).digest())[:_SLOT_BYTES]


def checkpoint_path(path: Path) -> Path:
    """Return where the checkpoint of the journal in `path` lies."""
    return path.with_name(path.name + ".head")


class Checkpoint:
    """The file that names the last committed entry of one journal.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def write(self, seq: int, entry_hash: bytes) -> None:
        """Name the last entry that was committed."""
        os.pwrite(self._handle, _slot(seq, entry_hash), (seq % 2) * _SLOT_BYTES)

    def close(self) -> None:
        """Release the file."""
        os.close(self._handle)


def read_checkpoint(path: Path) -> tuple[int, bytes]:
    """Number and hash of the last entry that was known to be committed.

    Raises
    ------
    ArtifactError
        If the file is missing or both of its slots are damaged.
    """
    data = path.read_bytes() if path.is_file() else b""
    found = []
    for at in (0, _SLOT_BYTES):
        slot = data[at : at + _SLOT_BYTES]
        seq, entry_hash = int.from_bytes(slot[:_SEQ_BYTES], "little"), slot[_SEQ_BYTES : _SEQ_BYTES + _HASH_BYTES]
        if len(slot) == _SLOT_BYTES and _slot(seq, entry_hash) == slot:
            found.append((seq, entry_hash))
    if not found:
        raise ArtifactError(
            f"the journal's checkpoint in {path}",
            found="no file" if not data else "a damaged one",
            fix="go on from a backup, whose checkpoint lies beside it",
        )
    return max(found)


def is_locked(path: Path) -> bool:
    """Tell whether a living process holds the lock file."""
    if not path.is_file():
        return False
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


class JournalLock:
    """A lock that the operating system releases when its process ends, however it ends.

    Raises
    ------
    InstallationError
        If another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._handle)
            raise InstallationError(
                "one session per journal",
                found=f"another process that holds {path}",
                fix="stop it first, or give this session a folder of its own",
            ) from error

    def release(self) -> None:
        """Let the next session in."""
        os.close(self._handle)
