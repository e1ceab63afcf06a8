"""Names of rules, events and reasons in words: one dictionary for pages, command line and status.

Files keep the short names (``max_positions``), which do not change.
"""

from __future__ import annotations

from collections.abc import Mapping

from quantlab.core.results import OrderReason, RiskEvent

#: Rules that change a request, by their names in ``CUT_RULES``; docs/simulation.md says what each does.
_RULES = {
    "not_finite": "a value that is no number",
    "halt": "trading halted",
    "tradable": "symbol not tradable then",
    "max_positions": "most positions at once",
    "max_weight": "largest weight of a position",
    "max_gross_leverage": "largest gross leverage",
    "rollout": "share of capital in this stage",
    "lot": "smallest step of size",
    "min_notional": "smallest order",
    "no_volume": "a bar without volume",
    "participation": "largest share of a bar's volume",
    "suspect": "a suspect price",
}
_EVENTS = {
    RiskEvent.DAILY_LIMIT: "daily limit",
    RiskEvent.BREAKER: "circuit breaker",
    RiskEvent.LIQUIDATION: "liquidation",
    RiskEvent.LOSS_STREAK: "losses in a row",
    RiskEvent.STOP_RATE: "too many stops",
}
_REASONS = {
    OrderReason.SIGNAL: "signal",
    OrderReason.STOP: "stop",
    OrderReason.TAKE_PROFIT: "take-profit",
    OrderReason.TIME_EXIT: "time exit",
    OrderReason.FLATTEN: "flattened by a limit",
    OrderReason.LIQUIDATION: "liquidation",
    OrderReason.DELISTED: "settled, no bars",
    OrderReason.EXTERNAL: "traded from outside",
    OrderReason.ADL: "deleveraged by the venue",
}
_HALTS = {
    "daily": _EVENTS[RiskEvent.DAILY_LIMIT],
    "breaker": _EVENTS[RiskEvent.BREAKER],
    "loss_streak": _EVENTS[RiskEvent.LOSS_STREAK],
    "stop_rate": _EVENTS[RiskEvent.STOP_RATE],
    "feed": "market data too old",
    "venue": "venue and account may differ",
    "owner": "held by the owner",
}
_EVENTS_BY_NAME = {event.name.lower(): words for event, words in _EVENTS.items()}
_REASONS_BY_NAME = {reason.name.lower(): words for reason, words in _REASONS.items()}


def rule_words(name: str) -> str:
    """A rule of ``CUT_RULES`` in words; any other name as it is.

    Examples
    --------
    >>> rule_words("max_positions")
    'most positions at once'
    """
    return _RULES.get(name, name)


def event_words(event: str | int) -> str:
    """A :class:`RiskEvent`, by its number or its name in small letters, in words; any other name as it is."""
    return _EVENTS_BY_NAME.get(event, event) if isinstance(event, str) else _EVENTS[RiskEvent(event)]


def reason_words(reason: str | int) -> str:
    """An :class:`OrderReason`, by its number or its name in any case, in words; -1 and ``"open"`` are an open position."""
    if isinstance(reason, str):
        return _REASONS_BY_NAME.get(reason.lower(), reason)
    return "open" if reason == -1 else _REASONS[OrderReason(reason)]


def halt_words(name: str) -> str:
    """A halt of an account, as a session's bars name it, in words; any other name as it is."""
    return _HALTS.get(name, name)


def counter_words(name: str) -> str:
    """A session's counter, with the rule, reason or event that it counts in words.

    Examples
    --------
    >>> counter_words("cut.max_positions"), counter_words("event.bar")
    ('cut: most positions at once', 'event.bar')
    """
    kind, _, what = name.partition(".")
    words = {"cut": rule_words, "fill": reason_words, "risk": event_words}.get(kind)
    return name if words is None else f"{kind}: {words(what)}"


def cuts_in_words(cuts: Mapping[str, int]) -> str:
    """Rules that changed requests and how often, the most frequent first; empty where none did."""
    changed = sorted(((count, name) for name, count in cuts.items() if count), key=lambda pair: (-pair[0], pair[1]))
    return ", ".join(f"{rule_words(name)} {count:,} times" for count, name in changed)
