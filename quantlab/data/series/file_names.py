"""Names that browsers and file managers give to a second copy of a file: BTCUSDT (1).csv, BTCUSDT copy.csv."""

from __future__ import annotations

import re

_COPY = re.compile(r"( ?\(\d+\)| ?-? copy( ?\(?\d+\)?)?)$", re.IGNORECASE)


def without_copy_mark(stem: str) -> str:
    """The name that the first copy of a file has, without its ending.

    Examples
    --------
    >>> [without_copy_mark(name) for name in ("BTC (1)", "BTC copy", "BTC - Copy (2)", "BTC")]
    ['BTC', 'BTC', 'BTC', 'BTC']
    """
    return _COPY.sub("", stem)
