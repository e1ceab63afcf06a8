"""Twelve clean twins: they hold the same sources, tables and searches as the leaks, and know nothing of the future."""

from __future__ import annotations

import dataclasses

from decision_leaks import CHEAP, DECISIONS, FEATURES, SOURCE, Decision, pipeline, sizer

#: Leak, and what its twin does instead, most of them with the same classes.
TWINS: dict[str, str] = {
    "large_moves_ahead": "params() hold the moves of the last two hours, of every row",
    "last_bar_of_the_hour": "acts one bar in a dozen, by the direction of that bar itself",
    "deepest_paying_dip": "the depth is the best over the first three days, and no dip is bought in them",
    "remembered_extremes": "the memory begins with the extremes of the first three days, in which nothing is traded",
    "large_before_winners": "the size is looked up in a table of the whole history, of the last four hours' moves",
    "volatility_of_everything": "sizes by the last day's volatility, looked up in a table of the whole history",
    "kelly_of_the_test": "Kelly's stake of the first five days' outcome, before anything can be traded",
    "young_winners": "a smaller size in the first days of a symbol that lists late",
    "stops_by_coming_range": "stop and take-profit are as far as the last three hours' volatility says",
    "left_at_the_best_bar": "time exits by random numbers, one for each bar and symbol",
    "out_before_holes": "positions are left in a hole and in the three bars behind it",
    "take_at_the_coming_high": "behind large moves the take-profit lies just inside the last extreme",
}

#: Twins with parts of their own.
_OWN_PARTS = {"volatility_of_everything": sizer("decision_sizers.DayVolatility", CHEAP, SOURCE, FEATURES)}


def _twin(name: str) -> Decision:
    decision = DECISIONS[name]
    return dataclasses.replace(decision, overrides=_OWN_PARTS.get(name, decision.overrides))


FOURTH_CLEAN = tuple(pipeline(name, _twin(name), leaks=False) for name in TWINS)
