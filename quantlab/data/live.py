"""The last look at a live bar before the gate: is it closed, on the grid, in the right unit, and in time?

The gate itself (:class:`~quantlab.data.quality.QualityGate`) judges the numbers and the order, for history
and live alike; only a live bar can be held against a clock.
"""

from __future__ import annotations

from quantlab.core.errors import DataError
from quantlab.core.types import Bars, Float64Array, Funding
from quantlab.data.quality import GateState, QualityGate

#: Milliseconds of 2009 and 2100: a stamp outside is of another unit.
_EARLIEST, _LATEST = 1_230_768_000_000, 4_102_444_800_000


def check_live_stamp(open_time_ms: int, interval_ms: int, now_ms: int, late_ms: int) -> None:
    """Refuse a bar that is not the one that has just closed.

    Parameters
    ----------
    open_time_ms : int
        Of the bar.
    interval_ms : int
    now_ms : int
        By the exchange's clock.
    late_ms : int
        A bar is stale when its close is longer ago than this.

    Raises
    ------
    DataError
        If the stamp is in another unit, off the grid, of a bar that is still open (or stamped with its
        close), or too old to be decided on.
    """
    if not _EARLIEST <= open_time_ms < _LATEST:
        raise DataError(
            "a bar's open in milliseconds since 1970",
            found=str(open_time_ms),
            mend="check the feed's unit: seconds have 10 digits, milliseconds 13, microseconds 16",
        )
    if open_time_ms % interval_ms:
        raise DataError(
            f"a bar that opens at a multiple of {interval_ms} ms",
            found=f"an open at {open_time_ms} ms",
            mend="stamp bars with their open time",
        )
    age = now_ms - (open_time_ms + interval_ms)
    if age < 0:
        raise DataError(
            "a closed bar",
            found=f"one that closes {-age} ms from now",
            mend="wait for the close; if it has closed, the feed stamps bars with their close: subtract the interval",
        )
    if age > late_ms:
        raise DataError(
            f"a bar that closed at most {late_ms} ms ago",
            found=f"one that closed {age} ms ago",
            mend="start from history",
        )


def check_bar(
    gate: QualityGate,
    state: GateState,
    row: Float64Array,
    open_time_ms: int,
    *,
    now_ms: int,
    late_ms: int,
    funding: Funding | None = None,
) -> tuple[GateState, Bars]:
    """:func:`check_live_stamp`, then the gate's own :meth:`~quantlab.data.quality.QualityGate.update`.

    Raises
    ------
    DataError
        If either refuses the bar; `state` is still good then.
    """
    check_live_stamp(open_time_ms, gate.interval_ms, now_ms, late_ms)
    return gate.update(state, row, open_time_ms, funding)
