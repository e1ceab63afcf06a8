"""Bar intervals as exchanges write them: 1m, 5m, 1h, 1d."""

from __future__ import annotations

import re

from quantlab.core.errors import ConfigError

_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DAY_MS = 86_400_000


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
    if not interval_ms or _DAY_MS % interval_ms:
        raise ConfigError("a timeframe that divides a day, e.g. 5m or 1h", found=repr(text), fix="choose another")
    return interval_ms
