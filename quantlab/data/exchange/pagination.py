"""A stretch of an exchange's history, page by page, from whichever end the exchange counts.

Some exchanges answer with the oldest rows of what was asked, others with the newest; some give fewer rows
than they were asked for and do not say so. So

1. a request names both ends, and never spans more rows than an answer holds: then it does not matter from
   which end they are counted;
2. what an answer leaves open before its first or after its last row is asked for again, until the exchange
   answers that there is nothing;
3. an answer that lies behind the end asked for, with nothing inside, says neither "nothing" nor "more": it
   is refused;
4. a request has a bounded number of answers: an exchange that gives one row whatever it is asked for, or rows that it
   makes up for the start of every request, is refused instead of asked for ever. An empty answer ends its request, so a
   span without any rows costs one request for each page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import numpy as np

from quantlab.core.arrays import Int64Array
from quantlab.core.errors import DataError
from quantlab.data.series.alignment import Series
from quantlab.data.series.spans import Span

#: Asks for the rows with ``start <= time < end``, at most so many.
FetchPage = Callable[[int, int, int], Awaitable[Series]]

#: Answers that one page may come in: an exchange that gives less than a hundredth of what it is asked for either has
#: shorter pages than it is configured with, or answers something else.
MOST_ANSWERS = 100


async def fetch_pages(
    fetch_page: FetchPage, span: Span, *, step_ms: int, most: int, usual_ms: int
) -> AsyncIterator[Series]:
    """Everything that the exchange has in `span`; the pages come in no particular order.

    Parameters
    ----------
    fetch_page : callable
    span : Span
        Half-open, ms.
    step_ms : int
        The shortest time between two rows.
    most : int
        Rows that one answer holds at most.
    usual_ms : int
        Time between two rows where an answer of a single row does not tell.

    Raises
    ------
    DataError
        If the exchange does not keep to the end that was asked for, so that nothing can be concluded, or a page has
        not ended after :data:`MOST_ANSWERS` answers.
    """
    length = step_ms * most
    for first in range(*span, length):
        waiting = [(first, min(first + length, span[1]))]
        answers = 0
        while waiting:
            start, end = waiting.pop()
            answers += 1
            _require_progress(answers, first, most)
            time_ms, values = await fetch_page(start, end, -(-(end - start) // step_ms))
            inside = (time_ms >= start) & (time_ms < end)
            if inside.any():
                yield time_ms[inside], values[inside]
                waiting += _open_sides(time_ms[inside], (start, end), step_ms, usual_ms)
            elif (time_ms >= end).any():
                raise DataError(
                    f"rows before {end} ms, the end that was asked for",
                    found=f"{len(time_ms)} rows, all of them later",
                    fix="this exchange cannot be paged through ccxt: collect it from files (job/source=csv)",
                )


def _require_progress(answers: int, first_ms: int, most: int) -> None:
    if answers > MOST_ANSWERS:
        raise DataError(
            f"a page of {most} rows from {first_ms} ms in at most {MOST_ANSWERS} answers",
            found="no end of it after that many",
            fix="set bars_per_request and rates_per_request to what the exchange gives in one answer; if they are, "
            "it repeats itself: collect it from files (job/source=csv)",
        )


async def fetch_span(fetch_page: FetchPage, span: Span, paging: tuple[int, int, int]) -> Series:
    """All of :func:`fetch_pages` in time order; `paging` is ``(step_ms, most, usual_ms)``. Repeats are left in."""
    step_ms, most, usual_ms = paging
    found = [page async for page in fetch_pages(fetch_page, span, step_ms=step_ms, most=most, usual_ms=usual_ms)]
    if not found:
        return np.empty(0, np.int64), np.empty((0, 0))
    time_ms = np.concatenate([page[0] for page in found])
    order = np.argsort(time_ms, kind="stable")
    return time_ms[order], np.concatenate([page[1] for page in found])[order]


def _open_sides(time_ms: Int64Array, span: Span, step_ms: int, usual_ms: int) -> list[Span]:
    """The sides of an answer that have room for one more row, by the time between its own rows."""
    ordered = np.unique(time_ms)
    # Funding stamps come some milliseconds late: the time between two is a whole number of steps.
    between = round(int(np.diff(ordered).min()) / step_ms) * step_ms if len(ordered) > 1 else usual_ms
    sides = ((span[0], int(ordered[0])), (int(ordered[-1]) + 1, span[1]))
    return [side for side in sides if side[1] - side[0] >= max(between, step_ms)]
