"""The venue's time: best of five round trips, anew when it is old, refused or this machine's clock steps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab.core.clock import FakeClock
from quantlab.core.errors import DataError
from quantlab.venue.clock import ClockRules, VenueTime

BEGIN_MS = 1_800_000_000_000
RULES = ClockRules(samples=5, every_ms=3_600_000, step_ms=250)


class World:
    """True time, a machine whose clock may be wrong, and a venue whose clock is ahead; answers take their way."""

    def __init__(self, ahead_ms: int, trips: list[tuple[int, int]]) -> None:
        self.passed_ms, self.ahead_ms, self.wrong_ms, self.trips = 0.0, ahead_ms, 0, list(trips)
        self.time = VenueTime(RULES, self, lambda: self.passed_ms / 1_000)

    def now_ms(self) -> int:
        return int(BEGIN_MS + self.passed_ms + self.wrong_ms)

    def venue_ms(self) -> int:
        return int(BEGIN_MS + self.passed_ms + self.ahead_ms)

    async def read(self) -> int:
        there, back = self.trips.pop(0) if self.trips else (1, 1)
        self.passed_ms += there
        shown = self.venue_ms()
        self.passed_ms += back
        return shown

    def measure(self) -> None:
        asyncio.run(self.time.measure(self.read))


trip = st.tuples(st.integers(0, 3_000), st.integers(0, 3_000))


@given(ahead=st.integers(-(10**8), 10**8), trips=st.lists(trip, min_size=5, max_size=5), later=st.integers(0, 10**7))
def test_time_is_right_to_half_the_quickest_round_trip(ahead: int, trips: list[tuple[int, int]], later: int) -> None:
    world = World(ahead, trips)
    world.measure()
    world.passed_ms += later
    assert abs(world.time.now_ms() - world.venue_ms()) <= min(sum(one) for one in trips) / 2 + 1


def test_a_measurement_is_due_when_it_is_old_refused_or_the_machines_clock_stepped() -> None:
    world = World(700, [])
    assert world.time.is_wrong
    world.measure()
    assert not world.time.is_due
    world.passed_ms += 3_600_000 - 20
    assert not world.time.is_due
    world.passed_ms += 20
    assert (world.time.is_due, world.time.is_wrong) == (True, False)
    world.measure()
    world.wrong_ms = -3_600_000
    assert world.time.is_wrong
    assert abs(world.time.now_ms() - world.venue_ms()) <= 2, "a step of the machine's clock moves no time stamp"
    world.measure()
    assert not world.time.is_due
    world.time.note_refused()
    assert world.time.is_wrong


@pytest.mark.parametrize("shown", [0, 10**10, 10**15])
def test_a_venue_that_shows_no_time_changes_nothing(shown: int) -> None:
    time = VenueTime(RULES, FakeClock(BEGIN_MS), lambda: 0.0)

    async def read() -> int:
        return shown

    with pytest.raises(DataError, match="the venue's time as ms since 1970"):
        asyncio.run(time.measure(read))
    assert (time.now_ms(), time.is_wrong) == (BEGIN_MS, True)


def test_a_refused_time_stamp_leads_to_a_new_offset_and_the_next_request_works(
    desk: Any, market_order: Callable[..., Any]
) -> None:
    assert desk.run(desk.venue.send(market_order("qle1", 100))).status == 200
    for number, step in enumerate((-60_000, 90_000)):
        desk.running.exchange.skew_ms += step
        refused = desk.run(desk.venue.send(market_order(f"qle2{number}", 100)))
        assert (refused.status, refused.code, refused.order) == (400, -1021, None)
        assert desk.venue.time.measured == 1 + number
        taken = desk.run(desk.venue.send(market_order(f"qle3{number}", 100)))
        assert (taken.status, taken.order.filled_lots) == (200, 100)
        assert desk.venue.time.measured == 2 + number
    desk.running.exchange.skew_ms -= 45_000
    assert desk.run(desk.venue.books()).wallet > 0, "a read measures and asks again by itself"
    assert abs(desk.run(desk.venue.facts()).clock_offset_ms) < 250
