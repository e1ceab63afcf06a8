"""Checks of the stamps of one series, whichever way it came in: file, archive or exchange."""

from __future__ import annotations

import logging

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.clock import MS_PER_WEEK, iso_exact, iso_utc, past_open
from quantlab.core.durations import duration_text
from quantlab.core.errors import DataError

_log = logging.getLogger(__name__)

#: Stamps outside these years were written in another unit than they say (bitcoin began in 2009).
EARLIEST_MS, LATEST_MS = 1_230_768_000_000, 4_102_444_800_000
_HOUR_MS = 3_600_000
#: A funding stamp so shortly before an hour belongs to it. Venues pay on the hour and their stamps miss it by
#: milliseconds, to either side; a minute, the length of the shortest bar, is far more than that and far less than the
#: hour between two payments. A late stamp needs no tolerance: it belongs to the hour that it lies in.
EARLY_MS = 60_000
_MONDAYS = (
    "weeks begin on Mondays here, and others cannot be turned into them: make them from bars of a day or less, in pandas "
    'bars.resample("W-MON", closed="left", label="left").agg({"open": "first", "high": "max", "low": "min", '
    '"close": "last", "volume": "sum"}), and leave out a week that is not whole'
)


def check_years(time_ms: Int64Array, origin: str) -> None:
    """Refuse stamps that no market can have: their unit is not the stated one.

    Raises
    ------
    DataError
        Naming the first stamp before 2009 or after 2099.
    """
    outside = np.flatnonzero((time_ms < EARLIEST_MS) | (time_ms >= LATEST_MS))
    if len(outside):
        raise DataError(
            f"timestamps between 2009 and 2100 in {origin}",
            found=f"{np.datetime64(int(time_ms[outside[0]]), 'ms')} in row {outside[0]}",
            fix="check the unit: milliseconds may have been stored as seconds, or the other way round",
        )


def drop_repeats(time_ms: Int64Array, values: Float64Array, origin: str) -> tuple[Int64Array, Float64Array, int]:
    """Drop rows that repeat an earlier row exactly; refuse rows that contradict one.

    Parameters
    ----------
    time_ms : int64 (N,)
    values : float64 (N, K)
        NaN equals NaN here: whether it may stand there is another rule's matter.
    origin : str
        Where the rows come from, for the message.

    Returns
    -------
    time_ms : int64 (M,)
    values : float64 (M, K)
        In the order given.
    dropped : int
        N - M.

    Raises
    ------
    DataError
        If a stamp has two different rows.
    """
    if np.all(time_ms[1:] > time_ms[:-1]):
        return time_ms, values, 0
    order = np.argsort(time_ms, kind="stable")
    repeats = np.flatnonzero(np.diff(time_ms[order]) == 0)
    if not len(repeats):
        return time_ms, values, 0
    ours, theirs = values[order[repeats]], values[order[repeats + 1]]
    same = ((ours == theirs) | (np.isnan(ours) & np.isnan(theirs))).all(axis=1)
    if not same.all():
        shown = ", ".join(iso_utc(int(time_ms[order[i]])) for i in repeats[~same][:3])
        raise DataError(
            f"every timestamp once in {origin}",
            found=f"{int(same.sum())} exact repeats and {int((~same).sum())} with other values (at {shown})",
            fix="keep one row per timestamp",
        )
    keep = np.ones(len(time_ms), dtype=bool)
    keep[order[repeats + 1]] = False
    return time_ms[keep], np.ascontiguousarray(values[keep]), len(repeats)


def check_increasing(time_ms: Int64Array, origin: str) -> None:
    """Refuse rows that are not in time order.

    Raises
    ------
    DataError
        Naming the first row that is earlier than the row before it.
    """
    earlier = np.flatnonzero(np.diff(time_ms) < 0)
    if len(earlier):
        row = int(earlier[0]) + 1
        raise DataError(
            f"rows of {origin} in time order",
            found=f"{len(earlier)} rows earlier than the row before, the first row {row} ({iso_utc(int(time_ms[row]))})",
            fix="sort the file by timestamp",
        )


def drop_repeats_and_check_order(
    time_ms: Int64Array, values: Float64Array, origin: str
) -> tuple[Int64Array, Float64Array]:
    """Drop rows that repeat another exactly, and log how many; refuse rows that are not in time order.

    Parameters
    ----------
    time_ms : int64 (N,)
    values : float64 (N, K)
    origin : str
        Where the rows come from, for the message.

    Returns
    -------
    time_ms : int64 (M,)
        Strictly increasing.
    values : float64 (M, K)

    Raises
    ------
    DataError
        If a stamp has two different rows, or a row is earlier than the row before it.
    """
    time_ms, values, dropped = drop_repeats(time_ms, values, origin)
    if dropped:
        _log.warning("%s: dropped %d rows that repeat another exactly", origin, dropped)
    check_increasing(time_ms, origin)
    return time_ms, values


def check_on_grid(time_ms: Int64Array, interval_ms: int, origin: str) -> None:
    """Refuse bars that do not open on a multiple of the interval, or on a Monday if they are weekly.

    Raises
    ------
    DataError
        Naming the first, with a hint where the stamps are those of closes (one unit before the next open).
    """
    past = past_open(time_ms, interval_ms)
    off = np.flatnonzero(past)
    if not len(off):
        return
    rest = past[off]
    closing = bool(np.all((rest == interval_ms - 1) | (rest == interval_ms - 1000)))
    weekly = interval_ms == MS_PER_WEEK
    grid = "on Mondays at 00:00 UTC" if weekly else f"at multiples of {duration_text(interval_ms)}"
    count = f"{len(off)} of {len(time_ms)} that do not, the first" if len(off) > 1 else "one that does not,"
    fix = "correct the stamps of these rows, or delete them: the quality gate marks what is missing"
    if 2 * len(off) > len(time_ms):
        fix = _MONDAYS if weekly else "stamp every bar with its open time, and keep one interval per file"
    raise DataError(
        f"bars of {origin} that open {grid}",
        found=f"{count} in row {off[0]} ({iso_exact(int(time_ms[off[0]]))})"
        + (", which looks like the bars' closing times" if closing else ""),
        fix=fix,
    )


def floor_to_hour(time_ms: Int64Array, origin: str) -> Int64Array:
    """The hour at which each funding stamp is charged: the next one within :data:`EARLY_MS`, else the one it lies in.

    Parameters
    ----------
    time_ms : int64 (N,)
        Increasing.
    origin : str
        For the message.

    Raises
    ------
    DataError
        If two stamps belong to one hour.

    Examples
    --------
    >>> floor_to_hour(np.array([3_599_990, 7_200_012, 12_000_000]), "a file").tolist()
    [3600000, 7200000, 10800000]
    """
    hours = (time_ms + EARLY_MS) // _HOUR_MS * _HOUR_MS
    twice = np.flatnonzero(np.diff(hours) == 0)
    if len(twice):
        raise DataError(
            f"one funding rate an hour in {origin}",
            found=f"{len(twice)} more, the first at {iso_utc(int(time_ms[twice[0] + 1]))}",
            fix="keep the rate that was paid",
        )
    return hours
