"""Layout of a session's journal: which facts its entries hold, and which columns its tables have.

1. A session writes the newest layout and goes on with a journal of that layout alone.
2. Readers read every layout; what an older one does not have is "not recorded".
"""

from __future__ import annotations

#: The newest: 2 adds the inputs of a bar, the broker's memory, and what a page about a session needs.
LAYOUT = 2

#: Fix of an error about a journal of another layout.
OTHER_LAYOUT = (
    "go on with the version of quantlab that began the session, or begin a session in a new folder (job.folder=DIR); "
    "job=status and job=readiness still read this one"
)
