"""Bar intervals as exchanges write them: 1m, 5m, 1h, 1d."""

from __future__ import annotations

import re

from quantlab.core.clock import MS_PER_DAY
from quantlab.core.errors import ConfigError

_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": MS_PER_DAY}


def timeframe_ms(text: str) -> int:
    """The interval in milliseconds.

    Raises
    ------
    ConfigError
        If it is none, or does not divide a day (days are files, and bars open at multiples of the interval).

    Examples
    --------
    >>> timeframe_ms("5m")
    300000
    """
    match = re.fullmatch(r"([1-9]\d*)([smhd])", str(text))
    interval_ms = int(match.group(1)) * _UNITS[match.group(2)] if match else 0
    if not interval_ms or MS_PER_DAY % interval_ms:
        raise ConfigError("a timeframe that divides a day, e.g. 5m or 1h", found=repr(text), fix="choose another")
    return interval_ms
