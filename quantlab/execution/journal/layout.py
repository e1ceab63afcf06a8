"""Layout of a session's journal: which facts its entries hold, and which columns its tables have.

1. A session writes the newest layout and goes on with a journal of that layout alone.
2. Readers read every layout; what an older one does not have is "not recorded".
"""

from __future__ import annotations

import sqlite3

from quantlab.core.errors import ConfigError

#: The newest: 2 adds the inputs of a bar, the broker's memory, and what a page about a session needs.
LAYOUT = 2

_FIX = (
    "go on with the version of quantlab that began the session, or begin a session in a new folder (job.folder=DIR); "
    "job=status and job=readiness still read this one"
)


def layout_of(database: sqlite3.Connection) -> int:
    """Return the layout of a journal's tables; the first had no number."""
    (number,) = database.execute("PRAGMA user_version").fetchone()
    return int(number) or 1


def require_layout(found: int) -> None:
    """Return if a session can go on with a journal of this layout.

    Raises
    ------
    ConfigError
        If another version of quantlab began it.
    """
    if found != LAYOUT:
        raise ConfigError(f"a session with a journal of layout {LAYOUT}", found=f"layout {found}", fix=_FIX)
