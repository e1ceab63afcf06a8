"""Members' votes as a journal entry: names, weights and who is alive as facts, the forecasts as float32 bytes.

They are evidence for readers. What was decided by them lies in the bar's own facts, which a restart must meet; it does
not repeat this entry.
"""

from __future__ import annotations

import numpy as np

from quantlab.core.errors import ArtifactError
from quantlab.core.events import Event
from quantlab.core.types import Votes

#: Kind of the entry.
VOTES = "votes"

_FLOAT32 = np.dtype("<f4")


def votes_event(open_ms: int, votes: Votes) -> Event:
    """Return the entry of the votes at the bar that opened at `open_ms`."""
    facts = {
        "open_ms": open_ms,
        "members": list(votes.names),
        "weights": list(votes.weights),
        "alive": list(votes.alive),
    }
    return Event(VOTES, facts, votes.proba.astype(_FLOAT32, copy=False).tobytes())


def votes_of(event: Event) -> Votes:
    """Return what :func:`votes_event` was given.

    Raises
    ------
    ArtifactError
        If the forecasts are not three of each member and symbol.
    """
    names, facts = tuple(event.facts["members"]), event.facts
    cells = len(event.payload) // _FLOAT32.itemsize
    if len(event.payload) % _FLOAT32.itemsize or cells % (3 * max(len(names), 1)):
        raise ArtifactError(
            f"three forecasts of {len(names)} members for each symbol",
            found=f"{len(event.payload)} bytes",
            fix="read the journal with the version that wrote it",
        )
    proba = np.frombuffer(event.payload, dtype=_FLOAT32).astype(np.float32).reshape(len(names), -1, 3)
    return Votes(names, tuple(facts["weights"]), tuple(facts["alive"]), proba)
