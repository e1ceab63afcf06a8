"""Meaning of answers: every combination of status, code and order against the rule as a sentence."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable

import pytest

from quantlab.core.errors import ConfigError
from quantlab.core.venue.answers import Answer, OrderState, OrderStatus
from quantlab.core.venue.requests import Book, OrderKind, OrderRequest
from quantlab.execution.orders.answer_rules import AnswerRules, Found, facts_of_sent, is_passing, read_found
from quantlab.execution.orders.facts import Acknowledged, OrderEnd, Refused, Unknown

STATUSES = (None, 200, 400, 401, 403, 404, 408, 418, 429, 500, 502, 503, 504)
CODES = (
    None,
    -1000,
    -1001,
    -1003,
    -1006,
    -1007,
    -1008,
    -1015,
    -1021,
    -1022,
    -2011,
    -2013,
    -2014,
    -2015,
    -2019,
    -2022,
    -4116,
    -4130,
    -9999,
    0,
)


def answer(status: int | None, code: int | None = None, order: OrderState | None = None) -> Answer:
    return Answer(status, code, "words", order, 5_000, 5_040)


def strangers(request: OrderRequest, shown: Callable[..., OrderState]) -> list[OrderState]:
    """Orders that are not the one sent, each by one field."""
    whole = shown(request)
    changes = [{"client_id": "b" * 27}, {"symbol": "ETH"}, {"side": -request.side}, {"venue_id": ""}]
    return [dataclasses.replace(whole, **change) for change in changes]


@pytest.mark.parametrize("kind", OrderKind)
def test_every_answer_without_an_order(kind: OrderKind, ask_for: Callable, rules: AnswerRules) -> None:
    request, seen = ask_for(kind), set()
    for status, code in itertools.product(STATUSES, CODES):
        (fact,) = facts_of_sent(request, answer(status, code), rules)
        certain = status in (418, 429) or (code in rules.refusals and code is not None)
        assert isinstance(fact, Refused if certain else Unknown), (status, code)
        if isinstance(fact, Refused):
            assert fact.halts == (code in (-1022, -2014, -2015))
        seen.add(type(fact))
    assert seen == {Refused, Unknown}


def test_codes_that_say_unknown_and_a_taken_id_are_unknown(ask_for: Callable, rules: AnswerRules) -> None:
    for status, code in (
        (400, -1000),
        (400, -1001),
        (500, -1006),
        (408, -1007),
        (400, -4116),
        (200, None),
        (503, None),
    ):
        assert isinstance(facts_of_sent(ask_for(OrderKind.ENTRY), answer(status, code), rules)[0], Unknown)


@pytest.mark.parametrize("kind", OrderKind)
@pytest.mark.parametrize("status", OrderStatus)
def test_a_whole_answer_shows_the_order_and_its_end(
    kind, status, ask_for: Callable, shown: Callable, rules: AnswerRules
) -> None:
    request = ask_for(kind)
    facts = facts_of_sent(request, answer(200, None, shown(request, status)), rules)
    assert isinstance(facts[0], Acknowledged)
    assert [type(fact) for fact in facts[1:]] == ([OrderEnd] if status.is_final else [])


@pytest.mark.parametrize("kind", OrderKind)
def test_an_answer_with_another_order_is_unknown(kind, ask_for: Callable, shown: Callable, rules: AnswerRules) -> None:
    request = ask_for(kind)
    other_book = Book.PLAIN if request.book is Book.CONDITIONAL else Book.CONDITIONAL
    wrong = [*strangers(request, shown), shown(request, book=other_book)]
    wrong += (
        [shown(request, close_position=False)]
        if request.close_position
        else [shown(request, lots=13), shown(request, lots=None)]
    )
    for order in wrong:
        (fact,) = facts_of_sent(request, answer(200, None, order), rules)
        assert isinstance(fact, Unknown)
    assert isinstance(facts_of_sent(request, answer(202, None, shown(request)), rules)[0], Unknown)


def test_only_a_reduce_only_order_may_be_cut_by_the_venue(
    ask_for: Callable, shown: Callable, rules: AnswerRules
) -> None:
    for kind, meaning in ((OrderKind.REDUCE, Acknowledged), (OrderKind.TAKE, Acknowledged), (OrderKind.ENTRY, Unknown)):
        request = ask_for(kind)
        assert isinstance(facts_of_sent(request, answer(200, None, shown(request, lots=5)), rules)[0], meaning)


@pytest.mark.parametrize("kind", OrderKind)
def test_a_question_is_answered_by_the_order_or_by_not_found_alone(
    kind, ask_for: Callable, shown: Callable, rules: AnswerRules
) -> None:
    request = ask_for(kind)
    for status, code in itertools.product(STATUSES, CODES):
        wanted = Found.NOT_THERE if code == -2013 else Found.NO_ANSWER
        assert read_found(request, answer(status, code), rules) is wanted
    assert read_found(request, answer(200, None, shown(request)), rules) is Found.THERE
    assert read_found(request, answer(200, None, shown(request, lots=99)), rules) is Found.THERE  # amended by hand
    for order in strangers(request, shown):
        assert read_found(request, answer(200, None, order), rules) is Found.NO_ANSWER


def test_what_passes_is_refused_and_says_nothing_about_the_order(ask_for: Callable, rules: AnswerRules) -> None:
    for status, code in itertools.product(STATUSES, CODES):
        if is_passing(answer(status, code), rules):
            assert isinstance(facts_of_sent(ask_for(OrderKind.REDUCE), answer(status, code), rules)[0], Refused)
    assert is_passing(answer(503, -1008), rules)
    assert not is_passing(answer(400, -2022), rules)


@pytest.mark.parametrize(
    "wrong",
    [
        {"refusals": (-1007, -1022, -2014, -2015)},
        {"halting": (-7,)},
        {"passing": (-2013,)},
        {"refusals": (True,)},
        {"not_found": ("-2013",)},
    ],
)
def test_a_table_that_contradicts_itself_is_refused(rules: AnswerRules, wrong: dict) -> None:
    with pytest.raises(ConfigError, match=r"execution\.answer_rules"):
        dataclasses.replace(rules, **wrong)
