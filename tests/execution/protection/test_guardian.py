"""The guardian: each rule of protection by hand, and 3,000 random lives of a position on a venue that loses and refuses."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from decimal import Decimal

import numpy as np
import pytest

from quantlab.core.errors import ConfigError
from quantlab.core.venue.grid import Grid
from quantlab.core.venue.requests import OrderKind
from quantlab.execution.protection.guardian import (
    Action,
    CancelOrder,
    CloseNow,
    OwnOrder,
    Phase,
    PlaceStop,
    PlaceTake,
    ProtectionRules,
    SymbolView,
    next_actions,
    phase,
)
from quantlab.execution.protection.levels import Distances, Levels, clamp, level_ticks, levels_of_fill

LEVELS = Levels(stop_ticks=95, take_ticks=110)
RULES = ProtectionRules()
CANCEL_FIRST = ProtectionRules(move="cancel_then_place")


def stop(
    ticks: int = 95, *, name: str = "s", side: int = -1, confirmed: bool = True, cancelled: bool = False
) -> OwnOrder:
    return OwnOrder(name, OrderKind.STOP, side, None, ticks, confirmed, cancelled)


def take(ticks: int = 110, lots: int = 3, *, confirmed: bool = True, cancelled: bool = False) -> OwnOrder:
    return OwnOrder("t", OrderKind.TAKE, -1, lots, ticks, confirmed, cancelled)


def reduce() -> OwnOrder:
    return OwnOrder("r", OrderKind.REDUCE, -1, 3, None, is_confirmed=False)


def long(*orders: OwnOrder, **changes: object) -> SymbolView:
    return SymbolView(**{"symbol": "BTC", "lots": 3, "levels": LEVELS, "orders": orders, **changes})


PLACE_STOP, PLACE_TAKE = PlaceStop("BTC", -1, 95), PlaceTake("BTC", -1, 3, 110, post_only=True)
CANCEL_STOP, CANCEL_TAKE = CancelOrder("BTC", "s"), CancelOrder("BTC", "t")


@pytest.mark.parametrize(
    ("view", "actions", "state"),
    [
        # a position without a stop
        (long(naked_ms=0, is_opening=True), (PLACE_STOP,), Phase.NAKED),
        (long(stop(confirmed=False), naked_ms=900, is_opening=True), (), Phase.NAKED),
        (
            long(stop(confirmed=False), naked_ms=5_000),
            (CloseNow("BTC", -1, 3, "no stop after 5000 ms"),),
            Phase.CLOSING,
        ),
        (long(naked_ms=40, refused_stops=1, is_opening=True), (PLACE_STOP,), Phase.NAKED),
        (long(naked_ms=40, refused_stops=2), (CloseNow("BTC", -1, 3, "2 stops were refused"),), Phase.CLOSING),
        (
            long(naked_ms=40, is_stop_passed=True),
            (CloseNow("BTC", -1, 3, "the price is beyond the stop"),),
            Phase.CLOSING,
        ),
        (long(stop(93), is_stop_passed=True), (CloseNow("BTC", -1, 3, "the price is beyond the stop"),), Phase.CLOSING),
        (long(levels=Levels(None, 110)), (CloseNow("BTC", -1, 3, "no stop level"),), Phase.CLOSING),
        # stopped, then bracketed
        (long(stop(), is_opening=True), (), Phase.STOPPED),
        (long(stop()), (PLACE_TAKE,), Phase.STOPPED),
        (long(stop(), is_post_only_refused=True), (replace(PLACE_TAKE, post_only=False),), Phase.STOPPED),
        (long(stop(), take(confirmed=False)), (), Phase.STOPPED),
        (long(stop(), take()), (), Phase.BRACKETED),
        (long(stop(), levels=Levels(95, None)), (), Phase.STOPPED),
        (long(stop(), take(), levels=Levels(95, None)), (CANCEL_TAKE,), Phase.BRACKETED),
        # the position grew: the take follows when the order has ended, and only when the old one is gone
        (long(stop(), take(), lots=5, is_opening=True), (), Phase.BRACKETED),
        (long(stop(), take(), lots=5), (CANCEL_TAKE,), Phase.BRACKETED),
        (long(stop(), take(cancelled=True), lots=5), (), Phase.STOPPED),
        # a level that moves
        (long(stop(93), take()), (PLACE_STOP,), Phase.MOVING),
        (long(stop(93), stop(name="n", confirmed=False), take()), (), Phase.MOVING),
        (long(stop(93), stop(name="n"), take()), (CANCEL_STOP,), Phase.MOVING),
        (long(stop(93, cancelled=True), stop(name="n"), take()), (), Phase.BRACKETED),
        # what the decision closes: the take, then the position, and the stop when it is flat
        (long(stop(), take(), is_closing=True), (CANCEL_TAKE,), Phase.CLOSING),
        (long(stop(), take(cancelled=True), is_closing=True), (), Phase.CLOSING),
        (long(stop(), is_closing=True), (CloseNow("BTC", -1, 3, "decided"),), Phase.CLOSING),
        (long(stop(), reduce(), is_closing=True), (), Phase.CLOSING),
        (long(stop(), lots=0), (CANCEL_STOP,), Phase.CLEARING),
        (long(stop(), take(), lots=0), (CANCEL_STOP, CANCEL_TAKE), Phase.CLEARING),
        (long(stop(cancelled=True), lots=0), (), Phase.CLEARING),
        (long(lots=0), (), Phase.FLAT),
        # strangers of ours: a second stop, one of the wrong side, somebody who cancelled ours
        (long(stop(), stop(name="n"), take()), (CancelOrder("BTC", "n"),), Phase.MOVING),
        (long(stop(side=1), naked_ms=0, is_opening=True), (PLACE_STOP, CANCEL_STOP), Phase.NAKED),
        (long(take(), naked_ms=10), (PLACE_STOP,), Phase.NAKED),
        (long(stop(cancelled=True), take(), naked_ms=10), (PLACE_STOP,), Phase.NAKED),
    ],
)
def test_every_rule_of_protection(view: SymbolView, actions: tuple[Action, ...], state: Phase) -> None:
    assert next_actions(view, RULES) == actions
    assert phase(view, RULES) is state


def test_where_two_stops_of_a_side_are_refused_the_old_one_goes_first() -> None:
    assert next_actions(long(stop(93), take()), CANCEL_FIRST) == (CANCEL_STOP,)
    assert next_actions(long(stop(93, cancelled=True), take(), naked_ms=3), CANCEL_FIRST) == ()
    assert next_actions(long(take(), naked_ms=6), CANCEL_FIRST) == (PLACE_STOP,)


def test_a_short_is_protected_from_the_other_side() -> None:
    view = SymbolView("BTC", -3, Levels(105, 90), naked_ms=0)
    assert next_actions(view, RULES) == (PlaceStop("BTC", 1, 105), PlaceTake("BTC", 1, 3, 90, post_only=True))


@pytest.mark.parametrize("settings", [{"naked_ms": 0}, {"move": "amend"}])
def test_impossible_rules_are_refused(settings: dict) -> None:
    with pytest.raises(ConfigError, match=r"execution\.broker\.protection"):
        ProtectionRules(**settings)


# --- levels


@pytest.mark.parametrize(
    ("side", "price", "distances", "expected"),
    [
        (1, 100.0, Distances(5.03, 10.01, np.inf), Levels(949, 1_101)),  # away from the fill: 94.97 down, 110.01 up
        (-1, 100.0, Distances(5.03, 10.01, np.inf), Levels(1_051, 899)),
        (1, 100.0, Distances(5.0, np.inf, 2.0), Levels(980, None)),  # the tighter of stop and trail
        (1, 100.0, Distances(np.inf, 10.0, np.inf), Levels(None, 1_100)),
        (1, 4.0, Distances(5.0, 1.0, np.inf), Levels(None, 50)),  # a stop below zero protects nothing
    ],
)
def test_levels_are_measured_from_the_fill_and_rounded_away_from_it(side, price, distances, expected) -> None:
    assert levels_of_fill(side, price, distances, Grid(Decimal("0.1"), Decimal(1)), 1.0) == expected


def test_a_level_is_moved_into_the_band_and_never_dropped() -> None:
    grid, mark = Grid(Decimal("0.1"), Decimal(1)), Decimal(100)
    assert clamp(700, grid, mark, Decimal("0.8"), Decimal("1.2")) == 800
    assert clamp(1_300, grid, mark, Decimal("0.8"), Decimal("1.2")) == 1_200
    assert clamp(990, grid, mark, Decimal("0.8"), Decimal("1.2")) == 990
    assert clamp(-5, grid, mark, None, None) == 1
    assert [level_ticks(level, grid) for level in (float("nan"), float("inf"), 0.0, -3.0, 12.3)] == [None] * 4 + [123]


# --- random lives


@dataclass
class Life:
    """One symbol on a venue that loses requests and answers, refuses, and is told to move by a random market."""

    chance: random.Random
    rules: ProtectionRules
    now: int = 0
    lots: int = 0
    levels: Levels = LEVELS
    is_opening: bool = False
    is_closing: bool = False
    naked_since: int | None = None
    refused_stops: int = 0
    calm: bool = False
    real: dict[str, OwnOrder] = field(default_factory=dict)  # what rests at the venue
    known: dict[str, OwnOrder] = field(default_factory=dict)  # what we think
    lost: dict[str, int] = field(default_factory=dict)  # unknown until then
    names: int = 0
    longest_naked: int = 0
    wrong: list[str] = field(default_factory=list)

    def view(self) -> SymbolView:
        protected = any(
            o.kind is OrderKind.STOP and o.is_confirmed and not o.is_cancelled and o.side == -_sign(self.lots)
            for o in self.known.values()
        )
        if self.lots == 0 or protected:
            self.naked_since, self.refused_stops = None, 0
        elif self.naked_since is None:
            self.naked_since = self.now
        naked = None if self.naked_since is None else self.now - self.naked_since
        view = SymbolView(
            "BTC", self.lots, self.levels, tuple(self.known.values()), naked, self.refused_stops,
            is_opening=self.is_opening, is_closing=self.is_closing,
        )  # fmt: skip
        if self.lots and naked is not None and naked >= self.rules.naked_ms:
            self.is_closing = True
        return view

    def judge(self, action: Action) -> None:
        """Note what no venue should ever see from us."""
        kinds = [order.kind for order in self.real.values()]
        if isinstance(action, PlaceTake) and OrderKind.TAKE in kinds:
            self.wrong.append("a second take")
        if isinstance(action, CloseNow) and any(order.kind is OrderKind.REDUCE for order in self.known.values()):
            self.wrong.append("a second close while one is under way")
        if isinstance(action, CancelOrder) and self.lots and self.rules.move == "place_then_cancel":
            left = [
                name
                for name, order in self.real.items()
                if order.kind is OrderKind.STOP and order.side == -_sign(self.lots)
            ]
            if left == [action.client_id]:
                self.wrong.append("the last stop of an open position was cancelled")

    def act(self, action: Action) -> None:
        self.judge(action)
        fate = 1.0 if self.calm else self.chance.random()
        if isinstance(action, CancelOrder):
            if fate < 0.2:
                return
            self.real.pop(action.client_id, None)
            if fate < 0.3:
                self.known[action.client_id] = replace(self.known[action.client_id], is_cancelled=True)
                self.lost[action.client_id] = self.now + 1_500
            else:
                self.known.pop(action.client_id)
            return
        self.names += 1
        name = f"o{self.names}"
        order = _order_of(action, name)
        if order.side == _sign(self.lots):
            self.wrong.append(f"{action} opens")
        if fate < 0.15:  # refused
            self.refused_stops += isinstance(action, PlaceStop)
            return
        arrives = fate >= 0.22
        if arrives and isinstance(action, CloseNow):
            self.lots = 0
        elif arrives:
            self.real[name] = replace(order, is_confirmed=True)
        if fate < 0.35:  # its answer is lost
            self.known[name] = order
            self.lost[name] = self.now + 1_500
        elif arrives and not isinstance(action, CloseNow):
            self.known[name] = self.real[name]

    def settle(self) -> None:
        """Resolve what was unknown long enough, as the order protocol does."""
        for name, until in list(self.lost.items()):
            if self.now >= until:
                del self.lost[name]
                if name in self.real:
                    self.known[name] = replace(self.real[name], is_confirmed=True)
                else:
                    self.known.pop(name, None)

    def happen(self) -> None:
        """Something that the market, the strategy or a person does."""
        what = self.chance.randrange(7)
        if what == 0 and self.lots == 0 and not self.known:
            self.lots, self.is_opening = self.chance.choice([-3, -1, 2, 5]), True
            self.is_closing = False
            self.levels = Levels(95, 110) if self.lots > 0 else Levels(105, 90)
        elif what == 1:
            self.is_opening = False
        elif what == 2 and self.lots:
            self.is_closing = self.chance.random() < 0.4 or self.is_closing
        elif what == 3 and self.lots and self.levels.stop_ticks is not None:
            self.levels = Levels(self.levels.stop_ticks + _sign(self.lots), self.levels.take_ticks)
        elif what == 4 and self.lots:
            self.lots += _sign(self.lots)
        elif what == 5:  # a stop fires
            for name, order in list(self.real.items()):
                if order.kind is OrderKind.STOP and order.side == -_sign(self.lots):
                    self.lots = 0
                    self.real.pop(name), self.known.pop(name, None), self.lost.pop(name, None)
                    break
        elif what == 6 and self.real:  # somebody cancels one of ours
            name = self.chance.choice(sorted(self.real))
            self.real.pop(name), self.known.pop(name, None), self.lost.pop(name, None)

    def step(self, *, quiet: bool) -> None:
        self.now += 100
        if not quiet and self.chance.random() < 0.2:
            self.happen()
        self.settle()
        for action in next_actions(self.view(), self.rules):
            self.act(action)
        if self.lots and self.naked_since is not None:
            self.longest_naked = max(self.longest_naked, self.now - self.naked_since)


def _sign(lots: int) -> int:
    return (lots > 0) - (lots < 0)


def _order_of(action: Action, name: str) -> OwnOrder:
    if isinstance(action, PlaceStop):
        return OwnOrder(name, OrderKind.STOP, action.side, None, action.trigger_ticks, is_confirmed=False)
    if isinstance(action, PlaceTake):
        return OwnOrder(name, OrderKind.TAKE, action.side, action.lots, action.price_ticks, is_confirmed=False)
    assert isinstance(action, CloseNow)
    return OwnOrder(name, OrderKind.REDUCE, action.side, action.lots, None, is_confirmed=False)


@pytest.mark.parametrize("rules", [RULES, CANCEL_FIRST], ids=["place first", "cancel first"])
def test_whatever_happens_a_quiet_position_has_one_stop_and_a_flat_one_nothing(rules: ProtectionRules) -> None:
    for seed in range(1_500):
        life = Life(random.Random(seed), rules)  # noqa: S311
        for _ in range(60):
            life.step(quiet=False)
        life.calm, life.is_opening = True, False
        for _ in range(40):
            life.step(quiet=True)
        assert not life.wrong, (seed, life.wrong)
        kinds = sorted((order.kind, order.side, order.ticks, order.lots) for order in life.real.values())
        if life.lots == 0:
            assert kinds == [], seed
        else:
            side = -_sign(life.lots)
            assert kinds == [
                (OrderKind.STOP, side, life.levels.stop_ticks, None),
                (OrderKind.TAKE, side, life.levels.take_ticks, abs(life.lots)),
            ], seed
        assert life.known == life.real, seed
        # closing begins at the limit; it takes at most some refused or lost attempts more
        assert life.longest_naked <= rules.naked_ms + 15_000, seed
