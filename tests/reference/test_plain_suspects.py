"""Flags of suspect prints: a few bars each by hand, then the quality gate against the plain rule on random markets."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import plain_exits
import plain_fills
import plain_guard
import plain_liquidation
import plain_simulator
import plain_suspects
import pytest
from plain_account import Account, Bar, Distances, Order, Position
from plain_comparison import differences, fill_cut_differences
from plain_fills import Budget
from plain_markets import CASH, NO_LIMITS, Case, random_case
from plain_suspects import Print, flags_of, flags_of_symbol, median
from plain_terms import Terms

from quantlab.core.market import Bars, BarState, Instrument
from quantlab.core.results import CUT_RULES, OrderReason
from quantlab.data import QualityGate
from quantlab.data.quality.bar_checks import bar_codes
from quantlab.trading.strategy.strategy import Costs

N_GATED = 400
CASES = (
    "a few moves",
    "a suspicion forgotten",
    "b",
    "b came back",
    "b came back with a wick",
    "b with a wick",
    "c agrees",
    "c agrees with a wick",
    "d ends",
    "e begins",
    "e disagrees, length 1",
    "e disagrees, length 2",
    "silent",
    "stands in silence",
    "stands without a close",
)
EFFECTS = (
    "suspect add",
    "suspect cut",
    "suspect extreme is the mark",
    "suspect flip",
    "suspect flip becomes its close",
    "suspect flip dropped its opening leg",
    "suspect funding",
    "suspect gain does not count",
    "suspect increase by the mark",
    "suspect increase without volume",
    "suspect liquidation at the mark",
    "suspect loss counts",
    "suspect open",
    "suspect reduction",
    "suspect reduction at the agreed price",
    "suspect reduction sized at the mark",
    "suspect stop",
    "suspect take-profit keeps resting",
)


def traded(close: float, high: float | None = None, low: float | None = None) -> Print:
    return Print(close if high is None else high, close if low is None else low, close, traded=True)


def silent(close: float = math.nan) -> Print:
    return Print(close, close, close, traded=False)


def quiet(moves: int = 20) -> list[Print]:
    """`moves` moves of 0.1 % and a little less, which ends at 100: far is then more than 8 %."""
    return [traded(100.0 if (moves - t) % 2 == 0 else 100.1) for t in range(moves + 1)]


def after_quiet(*prints: Print) -> list[int]:
    return flags_of_symbol([*quiet(), *prints])[21:]


def test_the_median_of_an_even_number_is_the_mean_of_the_middle_two() -> None:
    assert median([4.0, 1.0, 2.0, 8.0]) == 3.0
    assert median([9.0, 1.0, 2.0]) == 2.0


@pytest.mark.parametrize(("moves", "flag"), [(0, 0), (19, 0), (20, 2), (21, 2)])
def test_twenty_moves_are_needed(moves: int, flag: int) -> None:
    """Twenty-one closes have twenty moves."""
    assert flags_of_symbol([*quiet(moves), traded(200.0)])[-1] == flag


@pytest.mark.parametrize(("close", "flag"), [(107.9, 0), (108.5, 2), (92.1, 0), (91.5, 2)])
def test_eight_percent_in_a_quiet_market(close: float, flag: int) -> None:
    assert after_quiet(traded(close)) == [flag]


@pytest.mark.parametrize(("close", "flag"), [(124.0, 0), (126.0, 2), (76.0, 0), (74.0, 2)])
def test_twenty_five_medians_in_a_wild_one(close: float, flag: int) -> None:
    """Moves of 1/100 and 1/101 in turn; ten of each have their median at 0.00995: far is more than 24.9 %."""
    wild = [traded(100.0 if t % 2 == 0 else 101.0) for t in range(21)]
    assert flags_of_symbol([*wild, traded(close)])[-1] == flag


def test_a_distance_of_exactly_the_bound_is_not_far() -> None:
    """A doubling is 1.0 away; 25 medians of 0.04 are 1.0 as well."""
    assert not plain_suspects.is_far(2.0, 1.0, [0.04])
    assert plain_suspects.is_far(2.0, 1.0, [0.0399])


def test_a_false_close_that_comes_back() -> None:
    assert after_quiet(traded(200.0), traded(100.0), traded(100.1)) == [2, 0, 0]


def test_a_way_back_with_a_wick_to_the_false_price() -> None:
    assert after_quiet(traded(200.0), traded(100.0, high=200.0), traded(100.0)) == [2, 1, 0]


def test_a_false_wick_alone() -> None:
    assert after_quiet(traded(100.0, high=120.0), traded(100.0, low=50.0), traded(100.0)) == [1, 1, 0]


def test_a_crash_that_stays_is_agreed_with_by_the_next_bar() -> None:
    """The bar after it is far from 100 and agrees with 60; from then on 60 is what bars are held against."""
    assert after_quiet(traded(60.0), traded(61.0), traded(60.5), traded(100.0)) == [2, 0, 0, 2]


def test_the_bar_that_agrees_may_have_a_wick() -> None:
    assert after_quiet(traded(60.0), traded(60.0, high=100.0), traded(60.0)) == [2, 1, 0]


def test_a_close_that_a_later_bar_agrees_with_is_in_no_window() -> None:
    """Only moves between the closes that are not 2: 100 -> 61 is one of them, 60 is in none."""
    past = plain_suspects.Past()
    for now in [*quiet(), traded(60.0), traded(61.0)]:
        past.flags.append(plain_suspects.judge(past, now)[0])
        past.prints.append(now)
    assert past.flags[-2:] == [2, 0]
    assert past.moves()[-1] == abs(61.0 / 100.0 - 1.0)
    assert len(past.moves()) == 21


def test_two_false_prints_that_disagree() -> None:
    assert after_quiet(traded(200.0), traded(300.0), traded(100.0)) == [2, 2, 0]


def test_a_third_one_agrees_with_the_second() -> None:
    assert after_quiet(traded(200.0), traded(300.0), traded(301.0), traded(100.0)) == [2, 2, 0, 2]


def test_a_third_one_that_agrees_with_the_first_but_one_does_not_count() -> None:
    """The suspect print is the last one's close: 200 is far from 300."""
    assert after_quiet(traded(200.0), traded(300.0), traded(200.0)) == [2, 2, 2]


def test_three_bars_end_a_suspicion_whatever_the_fourth_prints() -> None:
    """The fourth close is then agreed, and the fifth is held against it."""
    assert after_quiet(traded(200.0), traded(300.0), traded(450.0), traded(700.0), traded(705.0)) == [2, 2, 2, 1, 0]
    assert after_quiet(traded(200.0), traded(300.0), traded(450.0), traded(700.0), traded(100.0)) == [2, 2, 2, 1, 2]


def test_coming_back_or_agreeing_is_asked_before_the_length() -> None:
    assert after_quiet(traded(200.0), traded(300.0), traded(450.0), traded(100.0)) == [2, 2, 2, 0]
    assert after_quiet(traded(200.0), traded(300.0), traded(450.0), traded(451.0)) == [2, 2, 2, 0]


def test_silence_keeps_a_suspicion_where_it_has_a_close() -> None:
    assert after_quiet(traded(200.0), silent(200.0), silent(), silent(100.0), traded(100.0)) == [2, 2, 0, 2, 0]


def test_silence_before_any_suspicion_is_sound() -> None:
    assert after_quiet(silent(500.0), silent(), traded(100.0), silent(100.0)) == [0, 0, 0, 0]


def test_silent_bars_do_not_count_for_the_length_and_are_in_no_window() -> None:
    gap = [silent(200.0)] * 5
    assert after_quiet(traded(200.0), *gap, traded(300.0), *gap, traded(450.0), *gap, traded(700.0))[::6] == [
        2,
        2,
        2,
        1,
    ]
    assert flags_of_symbol([*quiet(19), silent(300.0), traded(200.0)])[-1] == 0, "nineteen moves"


@pytest.mark.parametrize(("gap", "flag"), [(267, 2), (268, 0)])
def test_the_window_is_counted_in_rows(gap: int, flag: int) -> None:
    """Twenty-one closes and 267 silent rows are 288: the next row sees all of them, the one after misses one."""
    assert flags_of_symbol([*quiet(), *[silent()] * gap, traded(200.0)])[-1] == flag


def test_a_suspicion_is_forgotten_where_the_window_has_lost_its_moves() -> None:
    """Twenty-one closes, the suspect one and 266 rows; one row more, and nothing is judged any more."""
    assert flags_of_symbol([*quiet(), traded(200.0), *[silent(200.0)] * 266, traded(300.0)])[-1] == 2
    assert flags_of_symbol([*quiet(), traded(200.0), *[silent(200.0)] * 267, traded(300.0)])[-2:] == [2, 0]


def bars_of(rows: list[list[float]], states: list[int]) -> Bars:
    """Rows of (open, high, low, close, volume) of one symbol."""
    n = len(rows)
    return Bars(
        ohlcv=np.array(rows, dtype=np.float64)[:, None, :].copy(),
        open_time_ms=300_000 * np.arange(n, dtype=np.int64),
        interval_ms=300_000,
        state=np.array(states, dtype=np.uint8)[:, None].copy(),
        symbols=("S0",),
        instruments=(FREE,),
    )


FREE = Instrument(0.0, 0.0, 0.0, 0.03, maker_fee_bps=0.0, taker_fee_bps=0.0)
NO_COSTS = Costs(slippage_bps=0.0, participation=None, liquidation_fee_bps=0.0)


@pytest.mark.parametrize(
    ("state", "volume", "flag"),
    [
        (BarState.TRADED, 1.0, 2),
        (BarState.OUTSIDE, 1.0, 2),
        (BarState.OUTSIDE, 0.0, 0),
        (BarState.ZERO_VOLUME, 0.0, 0),
        (BarState.FILLED, 0.0, 0),
    ],
)
def test_traded_is_a_volume_in_the_universe_or_not(state: int, volume: float, flag: int) -> None:
    rows = [[p.close] * 4 + [1.0] for p in quiet()]
    bars = bars_of([*rows, [200.0] * 4 + [volume]], [BarState.TRADED] * 21 + [state])
    assert [row[0] for row in flags_of(bars)] == [0] * 21 + [flag]


# What a flagged cell does, each step of the plain simulator by hand.


def account_of(units: float, agreed: float = 100.0, mark: float = 100.0) -> Account:
    bars = bars_of([[100.0, 100.0, 100.0, 100.0, 1.0]], [BarState.TRADED])
    account = Account.empty(bars, CASH, NO_COSTS)
    account.positions[0] = Position(units=units, entry=100.0, agreed=agreed)
    account.marks[0] = mark
    return account


def bar_of(open_: float, high: float, low: float, close: float, flag: int, volume: float = 1e6) -> Bar:
    return Bar(open_, high, low, close, volume, traded=volume > 0.0, flag=flag)


@pytest.mark.parametrize(
    ("units", "close", "flag", "mark", "agreed"),
    [
        (1.0, 150.0, 2, 100.0, 100.0),
        (1.0, 50.0, 2, 50.0, 100.0),
        (-1.0, 150.0, 2, 150.0, 100.0),
        (-1.0, 50.0, 2, 100.0, 100.0),
        (1.0, 150.0, 1, 150.0, 150.0),
        (1.0, 150.0, 0, 150.0, 150.0),
        (0.0, 150.0, 2, 150.0, 100.0),
        (1.0, math.nan, 0, 90.0, 100.0),
    ],
)
def test_a_mark_counts_no_gain_by_a_suspect_close(
    units: float, close: float, flag: int, mark: float, agreed: float
) -> None:
    account = account_of(units, mark=90.0)
    plain_simulator._mark(account, [bar_of(close, close, close, close, flag)])
    assert (account.marks[0], account.positions[0].agreed) == (mark, agreed)


@pytest.mark.parametrize("flag", [0, 1, 2])
def test_funding_is_charged_at_the_agreed_price(flag: int) -> None:
    account = account_of(2.0, agreed=90.0)
    paid, missing = plain_simulator._pay_funding(account, [bar_of(300.0, 300.0, 300.0, 300.0, flag)], [0.01])
    assert (paid, missing) == (2.0 * (300.0 if flag == 0 else 90.0) * 0.01, 0)


@pytest.mark.parametrize(
    ("units", "open_", "flag", "price"),
    [
        (1.0, 150.0, 0, 150.0),
        (1.0, 150.0, 1, 100.0),
        (1.0, 150.0, 2, 100.0),
        (1.0, 50.0, 2, 50.0),
        (-1.0, 150.0, 2, 150.0),
        (-1.0, 50.0, 1, 100.0),
    ],
)
def test_a_reducing_leg_fills_at_the_worse_of_open_and_agreed_price(
    units: float, open_: float, flag: int, price: float
) -> None:
    account, bar = account_of(units), bar_of(open_, open_, open_, open_, flag)
    account.orders[0] = Order(reducing=-units, closes=True)
    plain_fills.fill_orders(account, 0, [bar], [Budget(bar, account.terms[0])], NO_COSTS)
    assert [(fill.units, fill.price) for fill in account.fills] == [(-units, price)]
    assert account.cuts.total() == 0


@pytest.mark.parametrize("flag", [1, 2])
def test_both_prices_are_slipped_and_rounded(flag: int) -> None:
    account, bar = account_of(-1.0, agreed=100.02), bar_of(50.0, 50.0, 50.0, 50.0, flag)
    rough = dataclasses.replace(FREE, tick=0.5)
    costs = dataclasses.replace(NO_COSTS, slippage_bps=50.0, coarsest_tick=0.01)
    account.terms = [Terms(rough, costs)]
    account.orders[0] = Order(reducing=1.0, closes=True)
    plain_fills.fill_orders(account, 0, [bar], [Budget(bar, account.terms[0])], costs)
    assert account.fills[0].price == 101.0, "100.02 and half a percent is 100.5201"


@pytest.mark.parametrize(
    ("held", "volume", "cuts", "filled"),
    [
        (0.0, 1e6, {"suspect": 1}, []),
        (1.0, 1e6, {"suspect": 1}, []),
        (0.0, 0.0, {"no_volume": 1}, []),
        (-1.0, 1e6, {"suspect": 1}, [1.0]),
        (-1.0, 0.0, {"no_volume": 2}, []),
    ],
)
@pytest.mark.parametrize("flag", [1, 2])
def test_an_increasing_leg_is_gone(
    flag: int, held: float, volume: float, cuts: dict[str, int], filled: list[float]
) -> None:
    """A short's leg is the second one of a flip: its close fills."""
    account, bar = account_of(held), bar_of(100.0, 100.0, 100.0, 100.0, flag, volume)
    account.orders[0] = Order(reducing=1.0 if held < 0.0 else 0.0, increasing=2.0)
    plain_fills.fill_orders(account, 0, [bar], [Budget(bar, account.terms[0])], NO_COSTS)
    assert dict(account.cuts) == cuts
    assert [fill.units for fill in account.fills] == filled
    assert account.orders == [None]


def test_the_opening_leg_of_a_cut_close_counts_like_the_close() -> None:
    account, bar = account_of(-1.0), bar_of(100.0, 100.0, 100.0, 100.0, 2, volume=5.0)
    account.orders[0] = Order(reducing=1.0, increasing=2.0)
    costs = dataclasses.replace(NO_COSTS, participation=0.1)
    plain_fills.fill_orders(account, 0, [bar], [Budget(bar, Terms(FREE, costs))], costs)
    assert dict(account.cuts) == {"participation": 2}


@pytest.mark.parametrize(("flag", "cuts", "reasons"), [(0, 0, [2]), (1, 1, []), (2, 1, [])])
def test_a_take_profit_keeps_resting(flag: int, cuts: int, reasons: list[int]) -> None:
    account = account_of(1.0)
    account.positions[0].take = 110.0
    bar = bar_of(100.0, 120.0, 100.0, 100.0, flag)
    plain_exits.protective_exits(account, 0, [bar], [Budget(bar, account.terms[0])], NO_COSTS)
    assert account.cuts["suspect"] == cuts
    assert [int(fill.reason) for fill in account.fills] == reasons
    assert account.positions[0].units == 0.0 or account.positions[0].take == 110.0


@pytest.mark.parametrize("flag", [1, 2])
def test_a_stop_fills_as_ever_and_comes_first(flag: int) -> None:
    account = account_of(1.0)
    account.positions[0].stop, account.positions[0].take = 95.0, 110.0
    bar = bar_of(100.0, 120.0, 50.0, 100.0, flag)
    plain_exits.protective_exits(account, 0, [bar], [Budget(bar, account.terms[0])], NO_COSTS)
    assert [(fill.reason, fill.price) for fill in account.fills] == [(OrderReason.STOP, 95.0)]
    assert account.cuts["suspect"] == 0


@pytest.mark.parametrize(("flag", "stop"), [(0, 110.0), (1, 90.0), (2, 90.0)])
def test_stops_do_not_move(flag: int, stop: float) -> None:
    account = account_of(1.0)
    position = account.positions[0]
    position.stop, position.trail, position.break_even = 90.0, 10.0, 105.0
    bar = bar_of(100.0, 120.0, 99.0, 100.0, flag)
    plain_exits.protective_exits(account, 0, [bar], [Budget(bar, account.terms[0])], NO_COSTS)
    assert position.stop == stop
    assert math.isnan(position.break_even) == (flag == 0)


@pytest.mark.parametrize(
    ("units", "flag", "mark", "extreme"),
    [
        (1.0, 2, 100.0, 100.0),
        (1.0, 0, 100.0, 130.0),
        (1.0, 1, 140.0, 130.0),
        (-1.0, 2, 150.0, 150.0),
        (-1.0, 2, 100.0, 145.0),
    ],
)
def test_the_adverse_extreme_is_no_better_than_the_mark(units: float, flag: int, mark: float, extreme: float) -> None:
    account = account_of(units, mark=mark)
    assert plain_liquidation._adverse(account, 0, bar_of(140.0, 145.0, 130.0, 140.0, flag)) == extreme


@pytest.mark.parametrize(
    ("held", "change", "flag", "is_traded", "cuts", "left"),
    [
        (0.0, 1.0, 2, True, {"suspect": 1}, None),
        (0.0, 1.0, 1, True, {}, 1.0),
        (0.0, 1.0, 2, False, {"tradable": 1}, None),
        (1.0, 1.0, 2, True, {"suspect": 1}, None),
        (1.0, -0.5, 2, True, {}, -0.5),
        (-1.0, 2.0, 2, True, {"suspect": 1}, 0.0),
    ],
)
def test_an_increase_is_refused_after_the_rule_tradable(
    held: float, change: float, flag: int, is_traded: bool, cuts: dict[str, int], left: float | None
) -> None:
    account = account_of(held)
    flips = held * (held + change) < 0.0
    want = plain_guard.Want(held, change, 0.1, Distances(), OrderReason.SIGNAL, closes=flips)
    wants: plain_guard.Wants = [want]
    bar = dataclasses.replace(bar_of(100.0, 100.0, 100.0, 100.0, flag), traded=is_traded)
    plain_guard.apply_rules(account, wants, [bar], NO_LIMITS, halted=False, flatten=False)
    assert dict(account.cuts) == cuts
    changes = [None if want is None else want.change for want in wants]
    assert changes == [left]


def test_a_reduction_is_sized_at_the_mark() -> None:
    """Half of 10,100 USD at the agreed 100, not at the false 200: 50.5 of 100 units go, and are worth it at 100."""
    account = account_of(100.0)
    account.bars = dataclasses.replace(account.bars, instruments=(dataclasses.replace(FREE, min_notional=4_951.0),))
    account.equity = 9_900.0
    order = Order(reducing=0.5 * account.equity / account.marks[0] - 100.0)
    assert order.reducing == pytest.approx(-50.5)
    assert plain_guard.size_rules(account, 0, order) is not None


# The product: the gate's flags and what the simulation makes of them.


def gate_input(bars: Bars) -> Any:
    """What the venue printed: nothing in cells that the gate is to fill."""
    raw = bars.ohlcv.copy()
    unsound = bar_codes(raw.reshape(-1, 5)).reshape(bars.state.shape) != 0
    raw[(bars.state == BarState.FILLED) | (bars.state == BarState.ABSENT) | unsound] = np.nan
    return raw


def through_the_gate(bars: Bars, *cuts: int) -> Bars:
    """History in one block, or in several that are cut at the rows `cuts`."""
    gate = QualityGate(bars.symbols, bars.instruments, bars.interval_ms)
    state, raw, pieces = gate.begin(), gate_input(bars), []
    for start, stop in zip((0, *cuts), (*cuts, bars.n_bars), strict=True):
        if start < stop:
            state, piece = gate.run(state, raw[start:stop], bars.open_time_ms[start:stop])
            pieces.append(piece)
    suspects = [_suspect(piece) for piece in pieces]
    changes: dict[str, Any] = {
        "ohlcv": np.concatenate([piece.ohlcv for piece in pieces]),
        "open_time_ms": np.concatenate([piece.open_time_ms for piece in pieces]),
        "state": np.concatenate([piece.state for piece in pieces]),
        "suspect": np.concatenate(suspects),
    }
    return dataclasses.replace(pieces[0], **changes)


def _suspect(bars: Any) -> Any:
    """The flags, also where the gate found none and says None."""
    return np.zeros(bars.state.shape, np.uint8) if bars.suspect is None else bars.suspect


@pytest.fixture(scope="module")
def gated() -> list[str]:
    """Seeds whose flags differ, in one block or in pieces."""
    found: list[str] = []
    for seed in range(N_GATED):
        bars = random_case(seed).bars
        whole = through_the_gate(bars)
        plain = flags_of(whole)
        if _suspect(whole).tolist() != plain:
            found.append(f"seed {seed}: {_first_difference(_suspect(whole).tolist(), plain)}")
        third = bars.n_bars // 3
        if _suspect(through_the_gate(bars, third, third + 1, 2 * third)).tolist() != plain:
            found.append(f"seed {seed}: in pieces")
    return found


def _first_difference(tested: list[list[int]], plain: list[list[int]]) -> str:
    cells = ((t, s) for t, row in enumerate(plain) for s in range(len(row)) if row[s] != tested[t][s])
    t, s = next(cells)
    return f"row {t}, symbol {s}: {tested[t][s]} against {plain[t][s]}"


def test_the_gate_and_the_plain_rule_flag_the_same_cells(gated: list[str]) -> None:
    assert gated == []


def test_random_cases_carry_flags() -> None:
    """Without them the comparison of both simulators would not meet a suspect print."""
    assert _suspect(random_case(0).bars) is not None
    assert CUT_RULES[-1] == "suspect"


@pytest.mark.parametrize("branch", [*CASES, *EFFECTS])
def test_random_markets_meet_every_case_and_effect_a_hundred_times(random_agreement: Any, branch: str) -> None:
    assert random_agreement.branches[branch] >= 100


Step = Callable[..., Any]


def _without(flag: int, step: Step) -> Step:
    """`step` in a world in which cells with `flag` are sound."""

    def blind(*arguments: Any) -> Any:
        return step(*[_cleared(argument, flag) for argument in arguments])

    return blind


def _cleared(argument: Any, flag: int) -> Any:
    if isinstance(argument, Bar) and argument.flag == flag:
        return dataclasses.replace(argument, flag=0)
    if isinstance(argument, list) and argument and isinstance(argument[0], Bar):
        return [_cleared(bar, flag) for bar in argument]
    return argument


BLIND: dict[str, tuple[Any, str, tuple[int, ...]]] = {
    "funding": (plain_simulator, "_pay_funding", (1, 2)),
    "fills": (plain_simulator, "fill_orders", (1, 2)),
    "increasing legs": (plain_fills, "_fill_increase", (1, 2)),
    "exits": (plain_simulator, "protective_exits", (1, 2)),
    "marks": (plain_simulator, "_mark", (2,)),
    "liquidation": (plain_simulator, "liquidate", (2,)),
    "decisions": (plain_simulator, "decide", (2,)),
}


@pytest.mark.parametrize(("name", "flag"), [(name, flag) for name, (_, _, flags) in BLIND.items() for flag in flags])
def test_a_step_that_is_blind_to_a_flag_is_noticed(
    name: str, flag: int, monkeypatch: pytest.MonkeyPatch, run_product: Callable[[Case], Any]
) -> None:
    room, attribute, _ = BLIND[name]
    monkeypatch.setattr(room, attribute, _without(flag, getattr(room, attribute)))

    def noticed(case: Case) -> bool:
        broken = plain_simulator.simulate(case.bars, case.signal, case.strategy, CASH, limits_on=case.limits_on)
        tested = run_product(case)
        return differences(tested, broken) + fill_cut_differences(tested, broken) != []

    assert any(noticed(random_case(seed)) for seed in range(1_200))


@pytest.mark.slow
def test_the_gate_and_the_plain_rule_agree_on_many_markets() -> None:
    for seed in range(50_000, 58_000):
        whole = through_the_gate(random_case(seed).bars)
        assert _suspect(whole).tolist() == flags_of(whole), seed


@pytest.mark.slow
def test_the_gate_and_the_plain_rule_agree_on_real_markets(april_bars: Bars) -> None:
    assert _suspect(april_bars).tolist() == flags_of(april_bars)
