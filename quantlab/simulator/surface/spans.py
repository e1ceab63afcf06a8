"""Windows of time and id in which lists of the past are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from quantlab.core.clock import MS_PER_WEEK
from quantlab.simulator.engine.queries import Page
from quantlab.simulator.wire.messages import RefusedError
from quantlab.simulator.wire.parameters import Parameters

Row = TypeVar("Row")


def recent(rows: Sequence[Row], page: Page, time_of: Callable[[Row], int]) -> list[Row]:
    """Rows of a page; of one without a start only those of its last seven days."""
    if page.start_ms is not None or page.end_ms is None:
        return list(rows)
    return [row for row in rows if time_of(row) >= page.end_ms - MS_PER_WEEK]


def read_times(parameters: Parameters) -> tuple[int | None, int | None]:
    """``startTime`` and ``endTime``.

    Raises
    ------
    RefusedError
        -1023 for an end before the start.
    """
    start, end = parameters.whole("startTime"), parameters.whole("endTime")
    if start is not None and end is not None and end < start:
        raise RefusedError(-1023, "Start time is greater than end time.")
    return start, end


def read_page(parameters: Parameters, now_ms: int, *, ids: str | None, limit: int, largest: int) -> Page:
    """The part of a list that a request asks for: at most seven days, the last seven without times.

    Parameters
    ----------
    parameters : Parameters
    now_ms : int
        Venue time.
    ids : str or None
        Name of the parameter with the first id.
    limit, largest : int
        Rows without ``limit``, and at most.

    Raises
    ------
    RefusedError
        -1128 for times beside a ``fromId``, -4165 for a longer window, -1023 for an end before the start.
    """
    start, end = read_times(parameters)
    from_id = None if ids is None else parameters.whole(ids)
    count = parameters.count("limit", limit, largest)
    if from_id is not None:
        if ids == "fromId" and (start is not None or end is not None):
            raise RefusedError(-1128, "The parameter fromId cannot be sent with startTime or endTime.")
        return Page(from_id=from_id, limit=count)
    if start is not None and end is not None and end - start > MS_PER_WEEK:
        raise RefusedError(-4165, "Maximum time interval is 7 days.")
    if start is None:
        last = now_ms if end is None else end
        return Page(from_id=None, start_ms=None, end_ms=last, limit=count)
    return Page(start_ms=start, end_ms=start + MS_PER_WEEK if end is None else end, limit=count)
