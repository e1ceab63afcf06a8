"""One dictionary of words for rules, events and reasons."""

from __future__ import annotations

import re
from pathlib import Path

from quantlab.core.results import CUT_RULES, OrderReason, RiskEvent
from quantlab.evaluation.report.words import (
    counter_words,
    cuts_in_words,
    event_words,
    halt_words,
    reason_words,
    rule_words,
)
from quantlab.execution.session.bar_record import _HALTS


def test_everything_that_has_a_short_name_has_words() -> None:
    for words in (
        [rule_words(name) for name in CUT_RULES],
        [event_words(event) for event in RiskEvent],
        [reason_words(reason) for reason in OrderReason],
        [halt_words(name) for name in _HALTS],
    ):
        assert not any("_" in said for said in words)
        assert len(set(words)) == len(words)
    assert not set(map(rule_words, CUT_RULES)) & set(CUT_RULES)


def test_names_and_numbers_give_the_same_words() -> None:
    assert all(reason_words(reason.name) == reason_words(int(reason)) for reason in OrderReason)
    assert all(event_words(event.name.lower()) == event_words(int(event)) for event in RiskEvent)
    assert (reason_words("open"), reason_words(-1)) == ("open", "open")
    assert rule_words("a rule of mine") == "a rule of mine"


def test_counters_of_a_session() -> None:
    assert counter_words("cut.max_positions") == "cut: most positions at once"
    assert counter_words("fill.TAKE_PROFIT") == "fill: take-profit"
    assert counter_words("risk.breaker") == "risk: circuit breaker"
    assert counter_words("event.bar") == "event.bar"


def test_the_cut_that_mattered_most_stands_first() -> None:
    cuts = dict.fromkeys(CUT_RULES, 0) | {"lot": 3, "max_positions": 1_204, "tradable": 3}
    assert cuts_in_words(cuts) == (
        "most positions at once 1,204 times, smallest step of size 3 times, symbol not tradable then 3 times"
    )
    assert cuts_in_words(dict.fromkeys(CUT_RULES, 0)) == ""


def test_the_docs_name_every_rule_as_pages_do(repository: Path) -> None:
    page = (repository / "docs" / "report.md").read_text()
    assert re.findall(r"^\| `(\w+)` \| ([^|]+) \|$", page, re.MULTILINE) == [
        (rule, rule_words(rule)) for rule in CUT_RULES
    ]
