"""Meaning of a venue's answers, by a table: taken, refused for certain, or unknown.

The class of an exception is never looked at. Only status, code and the order in the answer count, because an error's
class depends on the client library, on the address and on what was answered before.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from quantlab.core.checks import check_whole
from quantlab.core.errors import ConfigError
from quantlab.core.venue.answers import Answer, OrderState
from quantlab.core.venue.requests import OrderRequest
from quantlab.execution.orders.facts import Acknowledged, Fact, OrderEnd, Refused, Unknown

_OK = 200
#: Codes by which Binance itself says that the fate of an order is unknown; no table may call them refusals.
_NEVER_REFUSALS = (-1000, -1001, -1006, -1007)


class Found(StrEnum):
    """Outcomes of a question for an order."""

    THERE = "there"
    NOT_THERE = "not there"
    NO_ANSWER = "no answer"


@dataclass(frozen=True)
class AnswerRules:
    """Codes and statuses of a venue that leave no doubt.

    Parameters
    ----------
    refusals : tuple of int
        The venue's codes after which an order is certainly not there. A code that is not listed leaves it unknown.
    refusing_statuses : tuple of int
        Statuses of HTTP that come before the order is looked at.
    passing : tuple of int
        Refusals that say nothing about the order, e.g. too many requests: what can only reduce goes again.
    halting : tuple of int
        Refusals of the key or its rights, after which nothing may increase.
    not_found : tuple of int
        Codes that answer a question for an order that is not there.

    Raises
    ------
    ConfigError
        If a halting or passing code is no refusal, or a code that means "unknown" is listed as one.
    """

    refusals: tuple[int, ...]
    refusing_statuses: tuple[int, ...]
    passing: tuple[int, ...]
    halting: tuple[int, ...]
    not_found: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("refusals", "refusing_statuses", "passing", "halting", "not_found"):
            codes = tuple(getattr(self, name))
            for code in codes:
                check_whole(f"execution.answer_rules.{name}", code)
            object.__setattr__(self, name, codes)
        wrong = sorted({*self.halting, *self.passing} - {*self.refusals}) or sorted(
            {*self.refusals} & {*_NEVER_REFUSALS}
        )
        if wrong:
            raise ConfigError(
                "execution.answer_rules with halting and passing codes among the refusals, and no code there that means 'unknown'",
                found=", ".join(map(str, wrong)),
                fix="correct these codes; one that is not listed leaves an order unknown, which is safe",
            )


def facts_of_sent(request: OrderRequest, answer: Answer, rules: AnswerRules) -> tuple[Fact, ...]:
    """Return the facts that the answer to a sent order proves.

    Parameters
    ----------
    request : OrderRequest
    answer : Answer
    rules : AnswerRules
    """
    order = answer.order
    if answer.status == _OK and order is not None and _is_of(request, order) and _is_whole(request, order):
        return facts_of_state(order, answer.received_ms)
    if order is None and (answer.code in rules.refusals or answer.status in rules.refusing_statuses):
        halts = answer.code in rules.halting
        return (Refused(request.client_id, answer.status, answer.code, answer.message, halts, answer.received_ms),)
    return (Unknown(request.client_id, describe(answer), answer.sent_ms, answer.received_ms),)


def read_found(request: OrderRequest, answer: Answer, rules: AnswerRules) -> Found:
    """Return the outcome of a question for an order by its client id.

    Sizes are not compared here: the id, symbol and side tell whose order it is, and a person may have amended it.

    Parameters
    ----------
    request : OrderRequest
    answer : Answer
    rules : AnswerRules
    """
    if answer.status == _OK and answer.order is not None and _is_of(request, answer.order):
        return Found.THERE
    if answer.order is None and answer.code in rules.not_found:
        return Found.NOT_THERE
    return Found.NO_ANSWER


def facts_of_state(order: OrderState, at_ms: int) -> tuple[Fact, ...]:
    """Return the facts that an order proves as the venue shows it.

    Parameters
    ----------
    order : OrderState
    at_ms : int
        Venue time of the answer that shows it.
    """
    taken = Acknowledged(order.client_id, order.venue_id, order.book, order.status, order.filled_lots, at_ms)
    if not order.status.is_final:
        return (taken,)
    return (taken, OrderEnd(order.client_id, order.status, order.filled_lots, order.became, order.updated_ms))


def is_passing(answer: Answer, rules: AnswerRules) -> bool:
    """Tell whether an answer is a refusal that says nothing about the order itself.

    Parameters
    ----------
    answer : Answer
    rules : AnswerRules
    """
    return answer.order is None and (answer.code in rules.passing or answer.status in rules.refusing_statuses)


def describe(answer: Answer) -> str:
    """Say what came back, in a few words for the journal."""
    status = "no answer" if answer.status is None else f"status {answer.status}"
    code = "" if answer.code is None else f", code {answer.code}"
    other = "" if answer.order is None else ", an order that is not the one sent"
    return f"{status}{code}{other}: {answer.message[:200]}"


def _is_of(request: OrderRequest, order: OrderState) -> bool:
    """Tell whether an order is the one that was sent, by its ids."""
    return bool(order.venue_id) and (order.client_id, order.symbol, order.side) == (
        request.client_id,
        request.symbol,
        request.side,
    )


def _is_whole(request: OrderRequest, order: OrderState) -> bool:
    """Tell whether book and size are those sent; a venue may cut a reduce-only order to the position."""
    if order.book is not request.book:
        return False
    if request.close_position:
        return order.close_position
    if order.lots is None or request.lots is None or not 0 <= order.filled_lots <= order.lots:
        return False
    return order.lots <= request.lots if request.reduce_only else order.lots == request.lots
