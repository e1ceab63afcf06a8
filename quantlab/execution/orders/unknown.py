"""The inquiry after an order whose fate is unknown: when it is asked for, and when "not there" counts.

::

    sent ── 0.25 s ── 0.5 ── 1 ── 2 ── 4 ───────── deadline ─── + longest ─── ...
             asks: found ends it; "not there" says nothing yet │ the first "not there" ends it; no answer ends nothing

The deadline is the last moment at which the request could have been taken (`valid_for_ms`), and then hidden (`lag_ms`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from quantlab.core.venue.requests import Book
from quantlab.execution.orders.settings import UnknownSettings


@dataclass(frozen=True, slots=True)
class Inquiry:
    """Questions for one order.

    Parameters
    ----------
    begun_ms : int
        Venue time at which the doubt began.
    deadline_ms : int
        A question that leaves later than this, and is answered "not there", proves that the order never came.
    asked : int
        Questions that were answered or lost.
    next_ms : int
        Venue time at which the next one is due.
    denied : frozenset of Book
        Books that have said after the deadline that it is not there.
    """

    begun_ms: int
    deadline_ms: int
    asked: int
    next_ms: int
    denied: frozenset[Book] = frozenset()


def begin_inquiry(sent_ms: int, valid_for_ms: int, begun_ms: int, settings: UnknownSettings) -> Inquiry:
    """Begin to ask for an order.

    Parameters
    ----------
    sent_ms : int
        Venue time; the request left at it or before.
    valid_for_ms : int
        As it was sent.
    begun_ms : int
        Venue time at which the doubt began.
    settings : UnknownSettings
    """
    deadline = sent_ms + valid_for_ms + settings.lag_ms + settings.clock_ms
    return Inquiry(begun_ms, deadline, 0, begun_ms + settings.first_ask_ms)


def asked_again(inquiry: Inquiry, now_ms: int, settings: UnknownSettings) -> Inquiry:
    """Return the inquiry after a question that ended nothing.

    The times double from the first one; one question comes right after the deadline, later ones evenly.

    Parameters
    ----------
    inquiry : Inquiry
    now_ms : int
    settings : UnknownSettings
    """
    asked = inquiry.asked + 1
    doubled = inquiry.begun_ms + (settings.first_ask_ms << min(asked, 30))
    due = min(max(doubled, now_ms + settings.first_ask_ms), now_ms + settings.longest_ask_ms)
    if now_ms <= inquiry.deadline_ms < due:
        due = inquiry.deadline_ms + 1
    return replace(inquiry, asked=asked, next_ms=due)


def proves_absence(inquiry: Inquiry, question_sent_ms: int) -> bool:
    """Tell whether "not there" counts as an answer to a question that left at a time."""
    return question_sent_ms > inquiry.deadline_ms


def repeat_wait_ms(attempt: int, settings: UnknownSettings) -> int:
    """Return the wait before an order that was refused for a moment goes again; it doubles.

    Parameters
    ----------
    attempt : int
        That was refused, from 0.
    settings : UnknownSettings
    """
    return min(settings.first_ask_ms << min(attempt, 30), settings.longest_ask_ms)
