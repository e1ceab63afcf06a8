"""Facts that no simulated account has: several trades an order, other people's trades, transfers, liquidation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from quantlab.core.errors import ContractError
from quantlab.core.market import Bars, Instrument
from quantlab.core.results import OrderReason, RiskEvent
from quantlab.trading.account.matching import whole_lots
from quantlab.trading.account.venue_facts import FloatFill, VenueFill, facts_in_floats, facts_in_lots, join_fills
from quantlab.trading.bar.stepper import Stepper
from quantlab.trading.lowlevel import layout

LOT, TICK, CASH = 0.1, 0.5, 10_000.0
RULES = Instrument(TICK, LOT, 0.0, 0.0, 0.0, 0.0)
FLAT = [100.0, 101.0, 99.0, 100.0, 1e6]
NAN = np.nan
SIGNAL, STOP, EXTERNAL, LIQUIDATION = (
    OrderReason.SIGNAL,
    OrderReason.STOP,
    OrderReason.EXTERNAL,
    OrderReason.LIQUIDATION,
)


class Venue:
    """One account of one or two symbols that is told its fills bar by bar."""

    def __init__(self, bars: Bars, signal: Any, strategy: Any) -> None:
        self.bars, self.signal, self.t = bars, signal, 0
        self.account = Stepper(strategy, bars.symbols, bars.instruments, bars.interval_ms, CASH)

    def bar(self, *fills: VenueFill, decide: bool = True, **payments: Any) -> np.ndarray:
        """Tell one bar's facts; the positions after them."""
        facts = facts_in_lots(fills, self.bars.rows(self.t, self.t + 1).instruments, **payments)
        self.account.settle_facts(self.bars.rows(self.t, self.t + 1), facts)
        if decide:
            self.account.decide(self.signal.rows(self.t, self.t + 1))
        self.t += 1
        return self.account.state.positions[:, 0]

    def slot(self, slot: int) -> float:
        return float(self.account.state.account[slot])

    def counter(self, counter: int) -> int:
        return int(self.account.state.counters[counter])


@pytest.fixture
def venue(market: Callable[..., Bars], signal: Any, strategy: Any) -> Callable[..., Venue]:
    """``venue(rows, limits=..., target=...)``: by default a decision to go long in the first bar, with all distances."""

    def begin(rows: Any = (FLAT,) * 8, *, instrument: Instrument = RULES, limits: Any = None, **given: Any) -> Venue:
        bars = market(list(rows), instrument=instrument)
        first = np.full(bars.n_bars, NAN)
        first[0] = 0.4
        usual = {"target": first, "stop_distance": 5.0, "take_distance": 8.0}
        return Venue(bars, signal(bars, **{**usual, **given}), strategy(limits=limits))

    return begin


def test_the_levels_of_an_opening_order_are_measured_from_the_mean_price_of_its_trades(venue: Any) -> None:
    ours, alone = venue(), venue()
    ours.bar()
    alone.bar()
    trades = [(100, 200, 0.1), (100, 202, 0.2), (200, 203, 0.3)]  # lots, ticks, fee: a mean of 202 ticks
    sliced = ours.bar(*(VenueFill(0, lots, ticks, fee, SIGNAL, 9) for lots, ticks, fee in trades)).copy()
    whole = alone.bar(VenueFill(0, 400, 202, 0.6, SIGNAL, 9))
    for row in (layout.UNITS, layout.ENTRY, layout.STOP_LEVEL, layout.TAKE_LEVEL, layout.BARS_HELD):
        assert sliced[row] == pytest.approx(whole[row], rel=1e-14), row
    assert (whole[layout.STOP_LEVEL], whole[layout.TAKE_LEVEL]) == (96.0, 109.0)
    assert ours.slot(layout.CASH) == pytest.approx(alone.slot(layout.CASH), rel=1e-14)


def test_an_add_leaves_the_levels_that_the_opening_set(venue: Any) -> None:
    ours = venue()
    ours.bar()
    ours.bar(VenueFill(0, 400, 200, 0.0, SIGNAL, 1))
    assert ours.bar(VenueFill(0, 100, 203, 0.0, SIGNAL, 2))[layout.STOP_LEVEL] == 95.0


def test_only_trades_of_the_order_that_opened_move_the_levels_of_its_bar(venue: Any) -> None:
    """An entry that became known a bar late is folded beside the order of the next decision, which adds."""
    ours = venue()
    ours.bar()
    both = [VenueFill(0, 400, 200, 0.0, SIGNAL, 1), *[VenueFill(0, 100, 206, 0.0, SIGNAL, 2)] * 2]
    assert ours.bar(*both)[layout.STOP_LEVEL] == 95.0
    outside = venue()
    outside.bar()
    mixed = [VenueFill(0, 400, 200, 0.0, EXTERNAL, 1), VenueFill(0, 100, 206, 0.0, SIGNAL, 2)]
    assert np.isnan(outside.bar(*mixed)[layout.STOP_LEVEL])


def test_a_stop_that_fills_in_many_trades_is_one_stop_once_it_has_closed(venue: Any) -> None:
    ours = venue()
    ours.bar()
    ours.bar(VenueFill(0, 400, 200, 0.0, SIGNAL, 1))
    half = ours.bar(VenueFill(0, -150, 190, 0.0, STOP, 2))
    assert (half[layout.STOPPED], ours.counter(layout.N_STOPS), half[layout.STOP_LEVEL]) == (0.0, 0, 95.0)
    done = ours.bar(VenueFill(0, -150, 190, 0.0, STOP, 2), VenueFill(0, -100, 189, 0.0, STOP, 2))
    assert (done[layout.UNITS], done[layout.STOPPED], ours.counter(layout.N_STOPS)) == (0.0, 1.0, 1)
    assert ours.account.state.stop_times[0] == ours.bars.open_time_ms[3]
    assert ours.bar()[layout.STOPPED] == 0.0, "the mark of a stop is its bar's"


def test_a_trade_from_outside_has_no_level_and_one_through_zero_is_a_close_and_an_opening(venue: Any) -> None:
    ours = venue()
    ours.bar()
    ours.bar(VenueFill(0, 400, 200, 0.0, SIGNAL, 1))
    after = ours.bar(VenueFill(0, -500, 210, 5.0, EXTERNAL, 2))
    fills = ours.account.happened()
    assert after[layout.UNITS] == pytest.approx(-10.0, rel=1e-14)
    assert after[layout.ENTRY] == 105.0
    assert np.isnan(after[[layout.STOP_LEVEL, layout.TAKE_LEVEL]]).all()
    assert after[layout.TRAIL] == np.inf
    assert fills.orders["size"].tolist() == pytest.approx([40.0, 10.0])
    assert fills.orders["fees"].tolist() == pytest.approx([4.0, 1.0])
    assert fills.reasons.tolist() == [EXTERNAL, EXTERNAL]
    # 40 bought at 100, 50 sold at 105, 5 paid; what is short is worth 10 x 100.
    assert ours.slot(layout.CASH) == pytest.approx(CASH - 4_000.0 + 5_250.0 - 5.0)
    assert ours.slot(layout.EQUITY) == pytest.approx(CASH - 4_000.0 + 5_250.0 - 5.0 - 1_000.0)


def test_orders_end_with_their_bar_whatever_filled(venue: Any) -> None:
    ours = venue()
    ours.bar()
    assert ours.account.state.orders[layout.INCREASE, 0] > 0.0
    assert ours.bar()[layout.UNITS] == 0.0
    assert ours.account.state.orders[layout.INCREASE, 0] == 0.0


@pytest.mark.parametrize("moved", [[-6_000.0], [9_000.0], [-5_000.0, 4_000.0]])
def test_money_that_moves_is_neither_gain_nor_loss(venue: Any, moved: list[float]) -> None:
    """The day has lost 4 % of a limit of 5 %: with half of the money gone, it still has."""
    rows = [FLAT, FLAT, [100.0, 100.0, 89.0, 90.0, 1e6], [90.0, 91.0, 89.0, 90.0, 1e6]]
    ours = venue(rows, limits={"daily_loss_limit": 0.05, "breaker": 0.05}, stop_distance=50.0)
    ours.bar()
    ours.bar(VenueFill(0, 400, 200, 0.0, SIGNAL, 1))
    ours.bar()
    before = [1.0 - ours.slot(layout.EQUITY) / ours.slot(slot) for slot in DRAWN]
    assert before == pytest.approx([0.04, 0.04])
    ours.bar(moved=moved)
    assert ours.slot(layout.EQUITY) == pytest.approx(9_600.0 + sum(moved))
    assert [1.0 - ours.slot(layout.EQUITY) / ours.slot(slot) for slot in DRAWN] == pytest.approx(before, rel=1e-12)
    assert ours.slot(layout.DAILY_HALT) == ours.slot(layout.BREAKER_HALT) == 0.0


DRAWN = (layout.DAY_START_EQUITY, layout.HIGH_WATER_MARK)


def test_where_nothing_is_left_the_limits_judge(venue: Any) -> None:
    ours = venue(limits={"daily_loss_limit": 0.05, "breaker": 0.05})
    ours.bar()
    ours.bar(moved=[-CASH])
    assert (ours.slot(layout.EQUITY), ours.slot(layout.HIGH_WATER_MARK)) == (0.0, CASH)
    assert ours.slot(layout.DAILY_HALT) == ours.slot(layout.BREAKER_HALT) == 1.0


def test_payments_are_the_venues_and_belong_to_their_bar(venue: Any) -> None:
    ours = venue()
    ours.bar(funding=[-3.0, 0.5], missing_funding=2)
    assert (ours.slot(layout.CASH), ours.slot(layout.FUNDING)) == (CASH - 2.5, 2.5)
    ours.bar(VenueFill(0, 400, 200, 7.25, SIGNAL, 1))
    assert (ours.slot(layout.FUNDING), ours.counter(layout.MISSING_FUNDING)) == (0.0, 2)
    assert ours.slot(layout.CASH) == CASH - 2.5 - 4_000.0 - 7.25


def test_a_liquidation_is_booked_as_a_simulated_one_and_is_an_event(market: Any, signal: Any, strategy: Any) -> None:
    """The simulated account closes its book itself; told the fill and its fee apart, the other has the same money."""
    instrument = Instrument(TICK, LOT, 0.0, 0.05, 0.0, 0.0)
    bars = market([FLAT, FLAT, [100.0, 100.0, 60.0, 70.0, 1e6], FLAT], instrument=instrument)
    chosen = strategy(costs={"liquidation_fee_bps": 125.0})
    rows = signal(bars, target=2.5, stop_distance=np.inf, take_distance=np.inf)
    simulated, told = (Stepper(chosen, bars.symbols, bars.instruments, bars.interval_ms, CASH) for _ in range(2))
    for t in range(bars.n_bars):
        simulated.settle(bars.rows(t, t + 1))
        done = simulated.happened()
        apart = float(simulated.state.account[layout.LIQUIDATION_FEE])
        fills = [
            FloatFill(0, float(o["size"]) * (-1 if o["side"] else 1), float(o["price"]), apart, OrderReason(int(r)), i)
            for i, (o, r) in enumerate(zip(done.orders, done.reasons, strict=True))
        ]
        told.settle_facts(bars.rows(t, t + 1), facts_in_floats(fills, 1))
        assert simulated.state.account.tobytes() == told.state.account.tobytes(), t
        assert done.orders.tobytes() == told.happened().orders.tobytes()
        if t == 2:
            (event,) = told.happened().events
            assert (event["kind"], event["equity"]) == (RiskEvent.LIQUIDATION, told.state.account[layout.EQUITY])
            assert apart > 0.0
            assert np.isnan(event["level"])
        for account in (simulated, told):
            account.decide(rows.rows(t, t + 1))


def test_many_fills_of_an_order_are_joined_at_their_mean_price_and_counted(venue: Any) -> None:
    ours = venue()
    ours.bar()
    rng = np.random.default_rng(3)
    entry = [VenueFill(0, 2, int(ticks), 0.01, SIGNAL, 1) for ticks in rng.integers(195, 206, 150)]
    stop = [VenueFill(0, -3, int(ticks), 0.02, STOP, 2) for ticks in rng.integers(185, 190, 100)]
    mixed = [*entry, *stop]
    after = ours.bar(*mixed)
    done = ours.account.happened()
    assert after[layout.UNITS] == 0.0
    assert ours.counter(layout.JOINED_FILLS) == 248
    assert done.reasons.tolist() == [SIGNAL, STOP]
    means = [np.mean([fill.ticks for fill in part]) * TICK for part in (entry, stop)]
    assert done.orders["price"].tolist() == pytest.approx(means, rel=1e-12)
    assert done.orders["fees"].tolist() == pytest.approx([1.5, 2.0])
    paid = sum(fill.lots * LOT * fill.ticks * TICK + fill.fee for fill in mixed)
    assert ours.slot(layout.CASH) == pytest.approx(CASH - paid, rel=1e-12)
    assert ours.counter(layout.N_STOPS) == 1


def test_only_a_crowded_symbol_is_joined_and_orders_never_are(market: Any, signal: Any, strategy: Any) -> None:
    bars = market([[FLAT] * 2] * 2, instrument=RULES)
    calm = [VenueFill(1, 1, 200, 0.0, EXTERNAL, 5) for _ in range(layout.FILLS_PER_SYMBOL)]
    crowd = [VenueFill(0, 1, 200, 0.0, EXTERNAL, order) for order in range(700)]
    ours = Venue(bars, signal(bars), strategy())
    ours.bar(*calm, *crowd)
    assert len(ours.account.happened().orders) == 764
    assert ours.counter(layout.JOINED_FILLS) == 0
    assert ours.account.state.positions[layout.UNITS].tolist() == pytest.approx([70.0, 6.4])
    assert ours.bar(decide=False)[layout.UNITS] == pytest.approx(70.0), "a larger buffer serves the next bar, too"


def test_a_fill_that_stands_alone_keeps_its_price_to_the_last_bit() -> None:
    crowd = [FloatFill(0, 0.1, 0.3, 0.0, SIGNAL, order) for order in (1, 1, 2)]
    joined = join_fills(facts_in_floats(crowd, 1), most=2)
    assert joined.price[1] == 0.3
    assert joined.order.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("held", "fills", "lot"),
    [
        (0.0, [0.1, 0.2, -0.3], 0.1),
        (0.0, [0.7] * 9 + [-6.3], 0.7),
        (0.015, [-0.01, -0.005], 0.01),
        (3e-3, [-3e-3], 1.0),
    ],
)
def test_positions_end_at_exactly_zero(held: float, fills: list[float], lot: float) -> None:
    """The last two were opened under a finer lot: what is no whole number of today's is not rounded to one."""
    sums = held
    for fill in fills:
        before = held
        held += whole_lots(held, fill, lot)
        sums += fill
        assert held == pytest.approx(before + fill, abs=1e-12)
    assert held == 0.0
    assert sums != 0.0 or len(fills) == 1


def fill(**given: Any) -> VenueFill:
    return VenueFill(**{"column": 0, "lots": 1, "ticks": 200, "fee": 0.0, "reason": SIGNAL, "order": 1, **given})


@pytest.mark.parametrize(
    "given",
    [
        {"lots": 0},
        {"ticks": 0},
        {"ticks": -1},
        {"fee": NAN},
        {"ticks": np.inf},
        {"reason": 99},
        {"column": 1},
        {"column": -1},
    ],
)
def test_what_is_no_fill_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match="a fill "):
        facts_in_lots([fill(**given)], (RULES,))


def test_a_symbol_without_lot_or_tick_and_payments_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ContractError, match=r"lot 0\.0, tick 0\.5"):
        facts_in_lots([fill()], (Instrument(TICK, 0.0, 0.0, 0.0, 0.0, 0.0),))
    with pytest.raises(ContractError, match="finite numbers"):
        facts_in_lots([], (RULES,), funding=[NAN])


def test_a_fill_of_another_market_is_refused_before_anything_is_booked(venue: Any) -> None:
    ours = venue()
    strange = facts_in_lots([fill(column=1)], (RULES, RULES))
    with pytest.raises(ContractError, match="fills in 1 symbols; found column 1"):
        ours.account.settle_facts(ours.bars.rows(0, 1), strange)
    assert ours.bar()[layout.UNITS] == 0.0
