"""Twelve leaks that live in policies, sizers and exits: written from the pages, without a look at the audit.

By the page's table `sizing` answers for distances and for "fills that differ in size alone", and `fill` for "fills and
equity before another future". The table has no row for a policy, so what a policy decides beyond a size or a distance
is called by its fills. If the page gets a row for policies, :data:`SIDES` is the one line to change.
"""

from __future__ import annotations

from dataclasses import dataclass

from planted import TREES, Pipeline

#: Stage of leaks that change which positions are opened, and when they are left: their fills.
SIDES = "fill"
#: Stage of leaks that change sizes, or the distances of stop and take-profit, where sides and their bars stay.
SIZES = "sizing"

#: A cheap market: no learner, sides that depend on the bars, and a warm-up of 55 bars.
CHEAP = (
    "experiment=baseline",
    "workers=1",
    "data.days=14",
    "data.n_symbols=4",
    "data.late_listings=0",
    "features=short_windows",
    "features.threads=1",
    "trading.signal.fast=12",
    "trading.signal.slow=96",
    "evaluation/stress@stress=none",
)
#: Six symbols, holes and stops, two that list late.
RAGGED = (*CHEAP, "data.n_symbols=6", "data.late_listings=2")
#: Nothing is traded in the first 1,536 bars, in which a twin may learn.
LATE_START = (*CHEAP, "features=unified49")
#: Two tree members in two folds; the loaded history is shorter than the source's.
LEARNED = (*TREES, "evaluation/stress@stress=none")
_OWN_EXITS = (
    "trading/policy=ensemble_threshold",
    "exits.stop_atr=6.0",
    "exits.take_profit_atr=9.0",
    "exits.horizon=144",
)


@dataclass(frozen=True)
class Decision:
    """A leak, and with `LEAKS` as false the honest use of the same parts.

    Parameters
    ----------
    kind : str
        ``policy``, ``sizer`` or ``exit``.
    stage : str
    mistake : str
    overrides : tuple of str
        ``LEAKS`` in them stands for true or false.
    why : str
        Reason why it is that stage.
    """

    kind: str
    stage: str
    mistake: str
    overrides: tuple[str, ...]
    why: str


def policy(target: str, market: tuple[str, ...] = CHEAP, *fields: str) -> tuple[str, ...]:
    """The market's overrides, and a policy of these fields; without any it holds the market's own source."""
    own = fields or ("source=${data}", "leaks=LEAKS")
    return (
        *market,
        "trading/policy=buy_and_hold",
        f"trading.policy._target_={target}",
        *(f"+trading.policy.{field}" for field in own),
    )


def sizer(target: str, market: tuple[str, ...], *fields: str) -> tuple[str, ...]:
    """Likewise a sizer, beside the policy that ships."""
    own = (*fields, "leaks=LEAKS")
    return (
        *market,
        *_OWN_EXITS,
        "~trading.sizer.weight",
        f"trading.sizer._target_={target}",
        *(f"+trading.sizer.{field}" for field in own),
    )


SOURCE, FEATURES = "source=${data}", "features=${features}"
DECISIONS: dict[str, Decision] = {
    "large_moves_ahead": Decision(
        "policy",
        SIDES,
        "params() hold the moves of the coming two hours; the side is theirs, only before large ones",
        policy("decision_policies.BigMoves"),
        "other positions are opened: fills differ",
    ),
    "last_bar_of_the_hour": Decision(
        "policy",
        SIDES,
        "one bar in a dozen: the step reads the row after its own from a table in params, a join off by one",
        policy("decision_policies.Hourly"),
        "other positions are opened: fills differ",
    ),
    "deepest_paying_dip": Decision(
        "policy",
        SIDES,
        "the depth of a dip that is bought is the best over all tested bars, found when the policy is made",
        policy("decision_policies.BestDip"),
        "nothing of the page's searches chose it, so tuning has nothing to show; the entries differ",
    ),
    "remembered_extremes": Decision(
        "policy",
        SIDES,
        "begin() fills the memory with the lowest and the highest close of the whole history",
        policy("decision_policies.Extremes"),
        "other positions are opened: fills differ",
    ),
    "large_before_winners": Decision(
        "sizer",
        SIZES,
        "the size is nine times as large where the coming four hours agree with the side; sides stay",
        sizer("decision_sizers.WinnersLarge", CHEAP, SOURCE, FEATURES),
        "fills differ in size alone",
    ),
    "volatility_of_everything": Decision(
        "sizer",
        SIZES,
        "one weight for all, by the volatility of the whole sample",
        sizer("decision_sizers.TypicalVolatility", LATE_START, SOURCE),
        "fills differ in size alone",
    ),
    "kelly_of_the_test": Decision(
        "sizer",
        SIZES,
        "Kelly's stake of the tested outcome",
        sizer("decision_sizers.KellyOfOutcome", LEARNED, "sources={traded:${data}}"),
        "fills differ in size alone",
    ),
    "young_winners": Decision(
        "sizer",
        SIZES,
        "only in the first days of a symbol that lists late is the size one of the coming four hours",
        sizer("decision_sizers.YoungMarkets", RAGGED, SOURCE, FEATURES),
        "fills differ in size alone, and in few symbols",
    ),
    "stops_by_coming_range": Decision(
        "exit",
        SIZES,
        "stop and take-profit are as far as the volatility of the coming three hours says",
        policy(
            "decision_exits.StopsByRange",
            CHEAP,
            "forecast._target_=decision_exits.RangeForecast",
            "forecast.source=${data}",
            "forecast.ahead=LEAKS",
        ),
        "distances differ where sides stay",
    ),
    "left_at_the_best_bar": Decision(
        "exit",
        SIDES,
        "a time exit where the coming two hours do not better the close",
        policy("decision_exits.BestBar"),
        "positions end at other bars: fills differ",
    ),
    "out_before_holes": Decision(
        "exit",
        SIDES,
        "only before holes: positions are left in the three bars before a symbol stops printing",
        policy("decision_exits.AroundHoles", RAGGED),
        "positions end at other bars: fills differ",
    ),
    "take_at_the_coming_high": Decision(
        "exit",
        SIZES,
        "only before large moves: the take-profit lies just inside the coming extreme; no side, no size changes",
        policy("decision_exits.TakeAtHigh"),
        "distances differ where sides stay",
    ),
}


def pipeline(name: str, decision: Decision, leaks: bool) -> Pipeline:
    """A decision as the audit is given it."""
    overrides = tuple(text.replace("LEAKS", str(leaks).lower()) for text in decision.overrides)
    if leaks:
        return Pipeline(name, decision.stage, overrides, decision.mistake)
    return Pipeline(f"{name}_honestly", "clean", overrides)


FOURTH_PLANTED = tuple(pipeline(name, decision, leaks=True) for name, decision in DECISIONS.items())
