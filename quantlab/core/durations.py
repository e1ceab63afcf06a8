"""Lengths of time as people write them: 30s, 5m, 1h, 1d, 1w; and the usual one between the stamps of a table."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from quantlab.core.clock import MS_PER_DAY, MS_PER_WEEK
from quantlab.core.errors import ConfigError

#: Milliseconds of each unit, the longest first.
UNITS = {"w": MS_PER_WEEK, "d": MS_PER_DAY, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}


def duration_ms(name: str, text: str) -> int:
    """Milliseconds of a length of time, at least 1.

    Parameters
    ----------
    name : str
        Of the option, for the message.
    text : str
        Whole numbers, each with one of ms, s, m, h, d, w: 5m, 1h30m.

    Raises
    ------
    ConfigError
        If `text` is none.

    Examples
    --------
    >>> duration_ms("known_after", "1h"), duration_ms("known_after", "90s")
    (3600000, 90000)
    """
    if not (isinstance(text, str) and re.fullmatch(r"([1-9]\d*(ms|[smhdw]))+", text)):
        raise ConfigError(f"{name} as a length of time, e.g. 5m, 1h or 1d", found=repr(text), fix="write one of these")
    return sum(int(count) * UNITS[unit] for count, unit in re.findall(r"(\d+)(ms|[smhdw])", text))


def duration_text(ms: int) -> str:
    """A length of time as people write it; :func:`duration_ms` reads it back.

    Parameters
    ----------
    ms : int
        At least 1.

    Examples
    --------
    >>> duration_text(3_600_000), duration_text(90_000), duration_text(86_400_000), duration_text(86_100_000)
    ('1h', '90s', '1d', '23h55m')
    """
    if ms < 2 * UNITS["h"] or any(ms % UNITS[unit] == 0 for unit in ("w", "d", "h")):
        unit = next(unit for unit, length in UNITS.items() if ms % length == 0)
        return f"{ms // UNITS[unit]}{unit}"
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        count, ms = divmod(ms, UNITS[unit])
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts)


def usual_step(time_ms: NDArray[np.int64]) -> int:
    """The most frequent distance of two neighbouring stamps, of several the shortest; 0 for fewer than two stamps.

    Examples
    --------
    >>> usual_step(np.array([0, 5, 10, 15, 30]))
    5
    """
    steps, counts = np.unique(np.diff(np.unique(time_ms)), return_counts=True)
    return int(steps[np.argmax(counts)]) if len(steps) else 0
