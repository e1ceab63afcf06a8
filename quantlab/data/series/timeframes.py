"""Bar intervals as exchanges write them: 1m, 5m, 1h, 1d, 1w."""

from __future__ import annotations

import re

from quantlab.core.clock import MS_PER_DAY, MS_PER_WEEK
from quantlab.core.durations import UNITS
from quantlab.core.errors import ConfigError


def timeframe_ms(text: str) -> int:
    """The interval in milliseconds.

    Raises
    ------
    ConfigError
        If it is none, or neither divides a day nor is a week: bars of other lengths have no opens that all agree on.

    Examples
    --------
    >>> timeframe_ms("5m"), timeframe_ms("1w")
    (300000, 604800000)
    """
    match = re.fullmatch(r"([1-9]\d*)([smhdw])", str(text))
    interval_ms = int(match.group(1)) * UNITS[match.group(2)] if match else 0
    if not interval_ms or (MS_PER_DAY % interval_ms and interval_ms != MS_PER_WEEK):
        expected = "a timeframe that divides a day, e.g. 5m or 1h, or 1w"
        raise ConfigError(expected, found=repr(text), fix="choose another")
    return interval_ms
