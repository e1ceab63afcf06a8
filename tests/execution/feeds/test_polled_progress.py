"""A polled feed goes on where bars do not exist, and waits where it has had no answer."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from quantlab.core.clock import FakeClock
from quantlab.core.errors import DataError
from quantlab.execution.feeds.polled import PolledFeed
from quantlab.execution.feeds.replay import raw_bar

MINUTE = 60_000


@dataclasses.dataclass
class Venue:
    """A fetcher over some rows of a history, which may fail; with a clock of its own."""

    bars: object
    clock: FakeClock
    rows: tuple
    failing: tuple = ()
    ahead_ms: int = 0
    clock_fails: bool = False
    spans: list = dataclasses.field(default_factory=list)

    def fetch(self, start_ms, end_ms):
        self.spans.append((start_ms, end_ms))
        if len(self.spans) in self.failing:
            raise DataError("an answer", found="none", fix="wait")
        found = [raw_bar(self.bars, t) for t in self.rows]
        closed = self.venue_ms() - self.bars.interval_ms if not self.clock_fails else 10**15
        return [raw for raw in found if start_ms <= raw.open_time_ms < end_ms and raw.open_time_ms <= closed]

    def venue_ms(self):
        if self.clock_fails:
            raise DataError("its clock", found="none", fix="wait")
        return self.clock.now_ms() + self.ahead_ms

    def close(self):
        """There is no connection."""


def feed_of(venue, clock, **given):
    numbers = {"delay_ms": 3_000, "retry_ms": 2_000, "most_bars": 5, "skip_after_ms": 10 * MINUTE, **given}
    return PolledFeed(
        venue,
        interval_ms=venue.bars.interval_ms,
        clock=clock,
        sleep=lambda seconds: clock.advance(max(1, round(seconds * 1000))),
        **numbers,
    )


def opens(feed, after_ms, looks):
    return [raw.open_time_ms for raw in itertools.islice(feed.bars(after_ms), looks) if raw is not None]


def test_bars_that_a_venue_never_had_are_moved_over_and_counted(random_market, caplog):
    """It asked for the same five bars for ever."""
    bars = random_market(0, n_bars=60)
    clock = FakeClock(int(bars.open_time_ms[50]) + bars.interval_ms + 5_000)
    venue = Venue(bars, clock, tuple(range(40, 60)))
    feed = feed_of(venue, clock)
    got = opens(feed, int(bars.open_time_ms[9]), 20)
    assert got[:11] == bars.open_time_ms[40:51].tolist()
    assert feed.skipped == 30  # 10 .. 39
    assert [end for _, end in venue.spans[:6]] == bars.open_time_ms[15:45:5].tolist()
    assert "none of the 5 bars from 2025-03-16T00:50:00Z to 2025-03-16T01:15:00Z: moved over" in caplog.text


def test_an_outage_is_asked_for_until_it_is_long_over(random_market):
    """Bars may come late: nothing is moved over before all that was asked for closed so long ago."""
    bars = random_market(0, n_bars=60)
    clock = FakeClock(int(bars.open_time_ms[10]) + bars.interval_ms + 5_000)
    venue = Venue(bars, clock, (*range(11), *range(25, 60)))
    feed = feed_of(venue, clock)
    got, skipped_at = [], None
    for raw in itertools.islice(feed.bars(int(bars.open_time_ms[9])), 4_000):
        if feed.skipped and skipped_at is None:
            skipped_at = clock.now_ms()
        if raw is not None:
            got.append(raw.open_time_ms)
        if len(got) == 10:
            break
    assert got == [int(bars.open_time_ms[10]), *bars.open_time_ms[25:34].tolist()]
    assert skipped_at >= int(bars.open_time_ms[15]) + bars.interval_ms + 10 * MINUTE
    assert feed.skipped <= 14


def test_an_error_is_no_answer_and_moves_over_nothing(random_market):
    bars = random_market(0, n_bars=60)
    clock = FakeClock(int(bars.open_time_ms[50]) + bars.interval_ms + 5_000)
    venue = Venue(bars, clock, tuple(range(60)), failing=tuple(range(1, 30)))
    feed = feed_of(venue, clock)
    got = opens(feed, int(bars.open_time_ms[9]), 60)
    assert feed.failures == {"DataError": 29}
    assert feed.skipped == 0
    assert set(venue.spans[:30]) == {(int(bars.open_time_ms[10]), int(bars.open_time_ms[15]))}
    assert got[:20] == bars.open_time_ms[10:30].tolist()


@pytest.mark.parametrize("given", [{"ahead_ms": -86_400_000}, {"clock_fails": True}])
def test_only_the_venues_clock_says_that_a_span_has_passed(random_market, given):
    """This machine is a day ahead, or the venue's clock cannot be read: the bars are still to come."""
    bars = random_market(0, n_bars=60)
    clock = FakeClock(int(bars.open_time_ms[50]) + 86_400_000)
    venue = Venue(bars, clock, (), **given)
    feed = feed_of(venue, clock)
    assert opens(feed, int(bars.open_time_ms[49]), 30) == []
    assert feed.skipped == 0
    assert {start for start, _ in venue.spans} == {int(bars.open_time_ms[50])}


def test_a_stamp_far_ahead_or_behind_does_not_move_what_is_asked_for(random_market):
    bars = random_market(0, n_bars=60)
    clock = FakeClock(int(bars.open_time_ms[50]) + bars.interval_ms + 5_000)

    class Crooked(Venue):
        def fetch(self, start_ms, end_ms):
            self.spans.append((start_ms, end_ms))
            raw = raw_bar(self.bars, 20)
            return [dataclasses.replace(raw, open_time_ms=ms) for ms in (start_ms - bars.interval_ms, 4 * 10**12)]

    venue = Crooked(bars, clock, ())
    feed, before = feed_of(venue, clock), clock.now_ms()
    list(itertools.islice(feed.bars(int(bars.open_time_ms[9])), 30))
    assert {start for start, _ in venue.spans} == {int(bars.open_time_ms[10])}
    assert clock.now_ms() - before >= 9 * 2_000  # and it waits between two such answers


def test_an_exchange_that_keeps_the_newest_bars_only_is_caught_up_with(exchange, loopback):
    """The real client: a session that was off for longer than the exchange keeps."""
    bars, source = exchange.bars, loopback()
    exchange.first_ms = int(bars.open_time_ms[45])
    clock = FakeClock(exchange.now_ms + 5_000)
    feed = PolledFeed(
        source, interval_ms=bars.interval_ms, delay_ms=3_000, retry_ms=2_000, most_bars=10, skip_after_ms=10 * MINUTE,
        clock=clock, sleep=lambda seconds: clock.advance(max(1, round(seconds * 1000))),
    )  # fmt: skip
    got = []
    for raw in itertools.islice(feed.bars(int(bars.open_time_ms[4])), 40):
        if raw is not None:
            got.append(raw.open_time_ms)
        if len(got) == 15:
            break
    assert got == bars.open_time_ms[45:60].tolist()
    assert feed.skipped == 40
    assert exchange.paths.count("klines") <= 3 * 7


def test_a_span_is_empty_only_if_every_symbol_said_so(exchange, loopback):
    bars, source = exchange.bars, loopback()
    exchange.first_ms = int(bars.open_time_ms[45])
    exchange.mute.add("BBBUSDT")
    with pytest.raises(DataError, match="none, and no answer for 1 of 3 symbols"):
        source.fetch(int(bars.open_time_ms[0]), int(bars.open_time_ms[10]))
    exchange.mute.clear()
    assert source.fetch(int(bars.open_time_ms[0]), int(bars.open_time_ms[10])) == []
    source.close()


def test_a_rate_stamped_some_milliseconds_early_is_charged_at_its_hour(exchange, loopback):
    bars, source = exchange.bars, loopback()
    span = (int(bars.open_time_ms[20]), int(bars.open_time_ms[40]))
    usual = source.fetch(*span)
    exchange.stamp_ms = -10
    early = source.fetch(*span)
    source.close()
    for one, other in zip(usual, early, strict=True):
        assert one.funding.time_ms.tolist() == other.funding.time_ms.tolist()
        assert one.funding.rate.tobytes() == other.funding.rate.tobytes()
    assert sum(len(raw.funding.time_ms) for raw in early) == 2
