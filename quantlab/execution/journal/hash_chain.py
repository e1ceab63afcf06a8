"""The hash chain of a journal: every entry's hash covers everything before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from quantlab.core.errors import ArtifactError
from quantlab.core.events import Event

#: What the first entry is chained to.
GENESIS = hashlib.sha256(b"quantlab journal 1").digest()

_FIX = "keep the files as evidence, and go on from a backup"


def facts_text(facts: dict[str, Any]) -> str:
    """Canonical strict JSON: equal facts give equal text, and numbers come back bit for bit.

    Raises
    ------
    ValueError
        If a number is NaN or infinite.
    """
    return json.dumps(facts, sort_keys=True, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def digest_of(payload: bytes) -> bytes:
    """Return the chain's digest of a payload, so that an outdated payload can be dropped without breaking the chain."""
    return hashlib.sha256(payload).digest()


def chain_hash(before: bytes, seq: int, kind: str, facts: str, digest: bytes) -> bytes:
    """Return the sha256 of an entry that follows one whose hash is `before`."""
    prefix = f"{seq}:{len(kind)}:{kind}:{len(facts)}:".encode()
    return hashlib.sha256(before + prefix + facts.encode() + digest).digest()


@dataclass(frozen=True)
class Entry:
    """A stored row: `payload` is None once it was dropped."""

    seq: int
    kind: str
    facts: str
    payload: bytes | None
    digest: bytes
    hash: bytes

    def event(self) -> Event:
        """The entry as its reader knows it."""
        return Event(self.kind, json.loads(self.facts), self.payload or b"", self.seq)


def verify_chain(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the same entries, from the first on, as long as each one continues the chain.

    Raises
    ------
    ArtifactError
        At the first entry that is missing, altered or out of place.
    """
    before, expected = GENESIS, 1
    for entry in entries:
        if entry.seq != expected:
            raise ArtifactError(f"journal entry {expected}", found=f"entry {entry.seq}", fix=_FIX)
        whole = entry.payload is None or digest_of(entry.payload) == entry.digest
        if not whole or chain_hash(before, entry.seq, entry.kind, entry.facts, entry.digest) != entry.hash:
            raise ArtifactError(f"journal entry {expected} as it was written", found="other bytes", fix=_FIX)
        if entry.payload is None and entry.kind != "snapshot":
            raise ArtifactError(f"the payload of journal entry {expected}", found="none", fix=_FIX)
        yield entry
        before, expected = entry.hash, expected + 1
