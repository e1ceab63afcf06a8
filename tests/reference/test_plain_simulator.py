"""The product against a slow simulator written from the page of simulation semantics alone: bit for bit."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import plain_endings
import plain_exits
import plain_fills
import plain_guard
import plain_markets
import plain_risk
import plain_simulator
import plain_sizers
import plain_streaks
import plain_terms
import pytest
from plain_account import Account, Bar
from plain_bounds import filled_in, violations
from plain_comparison import differences
from plain_markets import CASH, Case, case_on, random_case

from quantlab.core.market import OPEN, VOLUME, Bars, BarState
from quantlab.core.results import CUT_RULES, OrderReason
from quantlab.core.types import Signal
from quantlab.trading.strategy.policies import FromSignals

BRANCHES = (
    "add",
    "both levels in one bar",
    "break-even moved the stop",
    "breaker",
    "capped take-profit",
    "close issued again",
    "closed by FLATTEN",
    "closed by TIME_EXIT",
    "cut close stays wanted",
    "cut entry",
    "daily_limit",
    "equity at or below zero",
    "flip",
    "flip cut to its room",
    "flip dropped its opening leg",
    "flip refused",
    "funding",
    "gap beyond take-profit that touches the stop",
    "gap through stop",
    "halt cut",
    "held through no volume",
    "liquidation",
    "long opened",
    "no entry after a stop",
    "no_volume met",
    "partial reduce",
    "short opened",
    "stop",
    "stop at break-even",
    "stop in profit",
    "stop on the entry bar",
    "stop over participation",
    "take-profit",
    "time exit",
    "trailing stop moved",
    # the two rules that count
    "a gain ends a streak",
    "a new day ends a streak",
    "loss_streak",
    "several stops in one bar",
    "stop rate over midnight",
    "stop_rate",
    "stops too far apart",
    # rules that are too coarse to be known
    "lot unknown at a decision",
    "lot unknown in a budget that cuts",
    "smallest order just known",
    "smallest order unknown",
    "tick above the price",
    "tick known for a fill",
    "tick known for a level",
    "tick known since the price moved",
    "tick unknown for a fill",
    "tick unknown for a level",
    "tick unknown since the price moved",
    # rules that change
    "decision under changed rules",
    "fill under changed rules",
    "level from older rules",
    # symbols that end
    "a filled bar ends an absence",
    "absence ends before the delisting",
    "delisted after a day",
    "delisted after some bars",
    "delisted at a mark that is not the last close",
    "delisted at once",
    "delisted long",
    "delisted short",
    "delisted while a close is wanted",
    # the sizers
    "ConfidenceFraction refused",
    "ConfidenceFraction sized",
    "FixedFraction capped",
    "KellyFraction capped",
    "KellyFraction flat",
    "KellyFraction refused",
    "KellyFraction sized",
    "RiskPerTrade capped",
    "RiskPerTrade refused",
    "RiskPerTrade sized",
    "VolatilityTarget capped",
    "VolatilityTarget refused",
    "VolatilityTarget sized",
)

#: Of the fills of both simulators, as `plain_bounds` counts them.
FILLS = (
    "a tick beyond the bar",
    "delisted at the mark",
    "fills",
    "fills at which the tick is too coarse",
    "liquidated at the mark",
    "reduced at the agreed price",
)


def test_both_simulators_agree_on_random_markets(random_agreement: Any) -> None:
    assert random_agreement.different == []


def test_both_simulators_count_the_same_cuts_at_the_fill(random_agreement: Any) -> None:
    assert random_agreement.different_fill_cuts == []


def test_a_close_that_is_issued_again_counts_nothing(
    random_bars: Callable[..., Bars], run_product: Callable[..., Any]
) -> None:
    """Opened in bar 1, closed at the close of bar 1; bars 2 and 3 trade nothing, so it is issued again and again."""
    case = random_case(0)
    bars = random_bars(0, 6, 1)
    ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
    ohlcv[2:4, 0, VOLUME], state[2:4] = 0.0, BarState.ZERO_VOLUME
    target = np.array([[0.1], [0.0], *[[np.nan]] * 4])
    unknown = np.full((6, 1), np.nan)
    signal = Signal(
        side=np.zeros((6, 1), dtype=np.int8),
        proba=np.full((6, 1, 3), np.nan),
        confidence=unknown,
        consensus=unknown,
        live_members=np.zeros((6, 1), dtype=np.int8),
        atr=unknown,
        target=target,
    )
    open_ended = dataclasses.replace(
        case.strategy,
        policy=FromSignals(rebalance=False),
        limits=plain_markets.NO_LIMITS,
        costs=plain_markets.UNCAPPED,
    )
    quiet = Case(0, dataclasses.replace(bars, ohlcv=ohlcv, state=state), signal, open_ended)
    result = run_product(quiet)
    assert result.orders["idx"].tolist() == [1, 4]
    assert result.cuts["no_volume"] == 1


@pytest.mark.parametrize("branch", BRANCHES)
def test_random_markets_take_every_branch_a_hundred_times(random_agreement: Any, branch: str) -> None:
    assert random_agreement.branches[branch] >= 100


@pytest.mark.parametrize("rule", CUT_RULES)
def test_random_markets_meet_every_rule_a_hundred_times(random_agreement: Any, rule: str) -> None:
    assert random_agreement.cuts[rule] >= 100


def test_both_simulators_agree_on_real_markets(april_bars: Bars, compare: Callable[..., Any]) -> None:
    agreement = compare(case_on(april_bars, seed) for seed in range(12))
    assert agreement.different == []
    for branch in ("stop", "take-profit", "cut entry", "flip", "held through no volume", "funding"):
        assert agreement.branches[branch] >= 20, branch


@pytest.mark.parametrize("branch", ["lot just known", "several delisted in one bar", "tick just known"])
def test_random_markets_take_rare_branches_too(random_agreement: Any, branch: str) -> None:
    assert random_agreement.branches[branch] >= 15


@pytest.fixture(scope="module")
def many_agreement(compare: Callable[..., Any]) -> Any:
    return compare(random_case(seed) for seed in range(10_000, 30_000))


@pytest.mark.slow
def test_both_simulators_agree_on_many_markets(many_agreement: Any) -> None:
    assert many_agreement.different == []


@pytest.mark.slow
def test_both_simulators_agree_on_more_real_markets(april_bars: Bars, compare: Callable[..., Any]) -> None:
    assert compare(case_on(april_bars, seed) for seed in range(4, 40)).different == []


def test_every_fill_lies_where_its_bar_allows(random_agreement: Any) -> None:
    assert random_agreement.out_of_bounds == []


@pytest.mark.parametrize("kind", FILLS)
def test_random_markets_have_fills_of_every_kind(random_agreement: Any, kind: str) -> None:
    assert random_agreement.fills[kind] >= 100


@pytest.mark.slow
def test_every_fill_of_many_markets_lies_where_its_bar_allows(many_agreement: Any) -> None:
    assert many_agreement.out_of_bounds == []
    assert min(many_agreement.fills[kind] for kind in FILLS) >= 1_000


def test_one_price_moved_by_one_ulp_is_noticed(run_product: Callable[..., Any]) -> None:
    case = next(case for case in map(random_case, range(100)) if _continuous_fill(case) is not None)
    t, s = _continuous_fill(case) or (0, 0)
    before = plain_simulator.simulate(case.bars, case.signal, case.strategy, CASH, limits_on=case.limits_on)
    ohlcv = case.bars.ohlcv.copy()
    ohlcv[t, s, OPEN] = np.nextafter(ohlcv[t, s, OPEN], np.inf)
    moved = dataclasses.replace(case, bars=dataclasses.replace(case.bars, ohlcv=ohlcv))
    assert differences(run_product(case), before) == []
    assert differences(run_product(moved), before) != []


def _continuous_fill(case: Case) -> tuple[int, int] | None:
    """Bar and symbol of the first fill at an open that no tick rounds."""
    result = plain_simulator.simulate(case.bars, case.signal, case.strategy, CASH, limits_on=case.limits_on)
    fills = [fill for fill in result.fills if fill.reason == OrderReason.SIGNAL]
    return next(((f.bar, f.symbol) for f in fills if case.bars.instruments[f.symbol].tick == 0.0), None)


def _touch_fills(account: Account, s: int, bar: Bar) -> bool:
    position = account.positions[s]
    return position.take > 0.0 and (bar.high >= position.take if position.units > 0.0 else bar.low <= position.take)


def _strict_stop(account: Account, s: int, bar: Bar) -> bool:
    position = account.positions[s]
    return position.stop > 0.0 and (bar.low < position.stop if position.units > 0.0 else bar.high > position.stop)


def _last_symbol_first(account: Account, wants: plain_guard.Wants, limit: int) -> None:
    entries = [s for s, want in plain_guard.increases(wants) if want.is_opening]
    for s in entries[::-1][max(limit - len(account.held()), 0) :]:
        plain_guard.cut(account, wants, s, "max_positions", 0.0)


def _any_number(_: str, value: float) -> bool:
    return value == value


def _never_a_new_day(take_in: Callable[..., None]) -> Callable[..., None]:
    return lambda streaks, account, open_ms, *, new_day: take_in(streaks, account, open_ms, new_day=False)


def _window_closed_at_both_ends(streaks: plain_streaks.Streaks, account: Account, open_ms: int, limits: Any) -> bool:
    if limits.max_stops is None or not any(account.stopped) or len(streaks.stop_opens_ms) < limits.max_stops:
        return False
    age_ms: int = open_ms - streaks.stop_opens_ms[-limits.max_stops]
    return age_ms <= limits.stop_window_minutes * plain_streaks.MINUTE_MS


def _first_terms(bars: Bars, open_ms: int, costs: Any) -> list[plain_terms.Terms]:
    return plain_terms.terms_at(bars, int(bars.open_time_ms[0]), costs)


_SMALLEST = property(lambda terms: terms.instrument.min_notional)

MUTANTS: dict[str, tuple[Any, str, Any]] = {
    "a touch fills a take-profit": (plain_exits, "touches_take_profit", _touch_fills),
    "a touch does not fill a stop": (plain_exits, "touches_stop", _strict_stop),
    "nothing trails": (plain_exits, "_trail", lambda *_: None),
    "no break-even": (plain_exits, "_break_even", lambda *_: None),
    "sizes ignore the lot": (plain_fills, "floor_to_lot", lambda units, _: units),
    "prices ignore the tick": (plain_terms.Terms, "tick_at", lambda *_: 0.0),
    "a tick counts however coarse it is": (plain_terms.Terms, "tick_at", lambda terms, _: terms.instrument.tick),
    "a lot counts however dear it is": (plain_terms.Terms, "lot_at", lambda terms, _: terms.instrument.lot),
    "a smallest order counts however large it is": (plain_terms.Terms, "smallest_order_usd", _SMALLEST),
    "rules never change": (plain_simulator, "terms_at", _first_terms),
    "nothing is ever delisted": (plain_simulator, "settle_delisted", lambda *_: None),
    "a day has two days of bars": (plain_endings, "DAY_MS", 2 * plain_endings.DAY_MS),
    "unknown distances pass": (plain_guard, "_not_finite", lambda *_: None),
    "the last symbol gets the slot": (plain_guard, "_max_positions", _last_symbol_first),
    "a flip frees no room": (plain_guard.Want, "freed", property(lambda _: 0.0)),
    "no flattening": (plain_guard, "_flatten", lambda *_: None),
    "a day has two days": (plain_risk, "DAY_MS", 2 * plain_risk.DAY_MS),
    "losses are not counted": (plain_streaks.Streaks, "too_many_losses", lambda *_: False),
    "stops are not counted": (plain_streaks.Streaks, "too_many_stops", lambda *_: False),
    "a stop window holds both its ends": (plain_streaks.Streaks, "too_many_stops", _window_closed_at_both_ends),
    "a streak lives over midnight": (plain_streaks.Streaks, "take_in", _never_a_new_day(plain_streaks.Streaks.take_in)),
    "sizers take what is not possible": (plain_sizers, "possible", _any_number),
    "no liquidation": (plain_simulator, "liquidate", lambda *_: 0.0),
    "a cut close is forgotten": (plain_simulator, "_issue_again", lambda *_: None),
    "funding is free": (plain_simulator, "_pay_funding", lambda *_: (0.0, 0)),
}


def _at_the_level(account: Account, t: int, s: int, bar: Bar, budget: Any, costs: Any) -> None:
    """A stop that fills at its level though the market has jumped beyond it."""
    units, stop = account.positions[s].units, account.positions[s].stop
    account.fill(t, s, -units, stop, 0.0, OrderReason.STOP)


def _one_tick_at_least(account: Account, s: int, price: float, *, buy: bool) -> float:
    return max(account.terms[s].on_grid(price, up=buy), 0.0 if buy else account.terms[s].instrument.tick)


OUT_OF_BOUNDS: dict[str, tuple[Any, str, Any]] = {
    "a tick counts however coarse it is": MUTANTS["a tick counts however coarse it is"],
    "a sell fills at one tick at least": (Account, "fill_price", _one_tick_at_least),
    "a stop fills at its level": (plain_exits, "_stop", _at_the_level),
    "a gap is slipped twice": (plain_fills, "BASIS_POINTS", 5_000.0),
    "a suspect reduction may gain": (
        plain_fills,
        "_worse_by_agreed",
        lambda account, s, *_: account.positions[s].agreed,
    ),
}


@pytest.mark.parametrize("name", OUT_OF_BOUNDS)
def test_a_fill_that_lies_nowhere_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*OUT_OF_BOUNDS[name])

    def noticed(case: Case) -> bool:
        broken = plain_simulator.simulate(case.bars, case.signal, case.strategy, CASH, limits_on=case.limits_on)
        return violations(case.bars, case.strategy.costs, filled_in(broken), Counter()) != []

    assert any(noticed(random_case(seed)) for seed in range(300))


@pytest.mark.parametrize("name", MUTANTS)
def test_every_broken_rule_is_noticed(
    name: str, monkeypatch: pytest.MonkeyPatch, run_product: Callable[..., Any]
) -> None:
    monkeypatch.setattr(*MUTANTS[name])

    def noticed(case: Case) -> bool:
        broken = plain_simulator.simulate(case.bars, case.signal, case.strategy, CASH, limits_on=case.limits_on)
        return differences(run_product(case), broken) != []

    assert any(noticed(random_case(seed)) for seed in range(300))
