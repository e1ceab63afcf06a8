"""A machine whose clock is wrong: bars are judged by the venue's, by the session, by job=status and by the doctor."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from quantlab.core.clock import ClockOffset, FakeClock
from quantlab.core.errors import DataError
from quantlab.core.fakes import ListFeed, MemoryAlerts
from quantlab.execution.feeds.live import LiveFeed
from quantlab.execution.feeds.polled import PolledFeed
from quantlab.execution.feeds.replay import raw_bar
from quantlab.execution.feeds.venue_clock import measure_offset
from quantlab.execution.journal.reader import read_session
from quantlab.execution.session.clock_watch import ClockWatch
from quantlab.jobs.session.status import status_facts, status_tables

HOUR = 3_600_000


@dataclasses.dataclass
class World:
    """True time, in ms; machines and venues show it with an error of their own."""

    true_ms: int

    def sleep(self, seconds):
        self.true_ms += max(1, round(seconds * 1000))

    def counter(self):
        return self.true_ms / 1000


@dataclasses.dataclass
class Machine:
    """A machine's clock, so far ahead of the true time."""

    world: World
    error_ms: int

    def now_ms(self):
        return self.world.true_ms + self.error_ms


@dataclasses.dataclass
class Venue:
    """A fetcher over a history by the true time; its closed bars lie open `held_back_ms` later."""

    bars: object
    world: World
    held_back_ms: int = 0
    fails: bool = False

    def fetch(self, start_ms, end_ms):
        opens, closed = self.bars.open_time_ms, self.world.true_ms - self.held_back_ms - self.bars.interval_ms
        return [
            raw_bar(self.bars, int(t))
            for t in np.flatnonzero((opens >= start_ms) & (opens < end_ms) & (opens <= closed))
        ]

    def venue_ms(self):
        if self.fails:
            raise DataError("its clock", found="none", fix="wait")
        return self.world.true_ms

    def close(self):
        """There is no connection."""


@dataclasses.dataclass
class Untimed:
    """The same fetcher without a clock to read."""

    venue: Venue

    def fetch(self, start_ms, end_ms):
        return self.venue.fetch(start_ms, end_ms)

    def close(self):
        """There is no connection."""


def feed_of(venue, world, error_ms, interval_ms):
    return PolledFeed(
        venue, interval_ms=interval_ms, delay_ms=3_000, retry_ms=2_000, most_bars=500, skip_after_ms=HOUR,
        clock=Machine(world, error_ms), sleep=world.sleep,
    )  # fmt: skip


def lived(place, error_ms, folder, *, most_bars=60, stops=(), wrap=lambda venue: venue, **venue):
    """The journalled bars of a session that begins at bar 12, their lags and the alerts."""
    bars, alerts = place.bars, MemoryAlerts()
    world = World(int(bars.open_time_ms[12]) + 1)
    place = dataclasses.replace(place, folder=place.folder.with_name(folder), stale_after_ms=120_000, alerts=alerts)
    for count in (*stops, most_bars - sum(stops)):
        with place.journal() as journal:
            feed = feed_of(wrap(Venue(bars, world, **venue)), world, error_ms, bars.interval_ms)
            session = place.session(journal, feed=feed, history=bars.rows(0, 12), counter_seconds=world.counter)
            session.start()
            session.run(most_bars=count)
            events = list(journal.replay())
    found = [event.facts for event in events if event.kind == "bar"]
    true_lag = world.true_ms - found[-1]["bar"]["open_ms"] - bars.interval_ms
    assert true_lag - venue.get("held_back_ms", 0) <= 5_000 or wrap is Untimed
    return found, alerts.sent, events


@pytest.mark.parametrize("error_ms", [-HOUR, HOUR])
def test_a_wrong_clock_changes_no_decision_and_is_alerted(session_parts, error_ms):
    place = session_parts(0, n_bars=120, resets=False)
    right, alerts, _ = lived(place, 0, "right")
    assert not [alert for alert in alerts if alert.kind.startswith("clock")]
    assert sum(len(bar["bar"]["fills"]) for bar in right) > 20
    wrong, alerts, events = lived(place, error_ms, "wrong")
    assert [bar["bar"] for bar in wrong] == [bar["bar"] for bar in right]
    assert [bar["observed"] for bar in wrong] == [bar["observed"] for bar in right]
    assert all(bar["observed"]["lag_ms"] <= 5_000 for bar in wrong)
    [alert] = [alert for alert in alerts if alert.kind == "clock_offset"]
    assert f"{-error_ms:+,} ms ahead of this machine's" in alert.message
    offsets = [event.facts["ahead_ms"] for event in events if event.kind == "clock_offset"]
    assert offsets == [-error_ms] * 6  # at the start and hourly, over five hours
    again, alerts, _ = lived(place, error_ms, "again", stops=(25, 10))
    assert [bar["bar"] for bar in again] == [bar["bar"] for bar in right]
    assert len([alert for alert in alerts if alert.kind == "clock_offset"]) == 3  # one of each process


def test_nothing_is_entered_on_bars_an_hour_old_whatever_the_machine_shows(session_parts):
    """60 of 60 decisions were taken on bars an hour old by a machine an hour behind, which saw them fresh."""
    place = session_parts(0, n_bars=120, resets=False)
    stale, alerts, _ = lived(place, -HOUR, "stale", held_back_ms=HOUR)
    assert len(stale) == 60
    assert all(bar["observed"]["lag_ms"] >= HOUR for bar in stale)
    assert all("feed" in bar["bar"]["halts"] for bar in stale)
    assert not [leg for bar in stale for leg in bar["bar"]["orders"] if not leg["reduce_only"]]
    assert {"stale_feed", "clock_offset"} <= {alert.kind for alert in alerts}
    fooled, alerts, _ = lived(place, -HOUR, "fooled", held_back_ms=HOUR, wrap=Untimed)
    assert any(bar["bar"]["orders"] for bar in fooled)  # judged by its own clock, as the port says
    assert not [alert for alert in alerts if alert.kind.startswith("clock")]


def test_a_clock_that_is_set_while_a_session_runs_is_measured_at_once(session_parts):
    place = session_parts(0, n_bars=120, resets=False)
    right, _, _ = lived(place, 0, "right")

    class Set(Machine):
        def now_ms(self):
            return super().now_ms() - (HOUR if self.world.true_ms > int(place.bars.open_time_ms[30]) + 1_000 else 0)

    world, alerts = World(int(place.bars.open_time_ms[12]) + 1), MemoryAlerts()
    place = dataclasses.replace(place, folder=place.folder.with_name("set"), stale_after_ms=120_000, alerts=alerts)
    with place.journal() as journal:
        feed = feed_of(Venue(place.bars, world), world, 0, place.bars.interval_ms)
        feed.clock.machine = Set(world, 0)
        session = place.session(journal, feed=feed, history=place.bars.rows(0, 12), counter_seconds=world.counter)
        session.start()
        session.run(most_bars=60)
        found = [event.facts for event in journal.replay() if event.kind == "bar"]
    assert [bar["bar"] for bar in found] == [bar["bar"] for bar in right]
    assert [alert.facts["ahead_ms"] for alert in alerts.sent if alert.kind == "clock_offset"] == [HOUR]


def test_a_clock_that_cannot_be_read_is_alerted_once_and_tried_again(session_parts):
    place = session_parts(0, n_bars=120, resets=False)
    right, _, _ = lived(place, 0, "right")
    found, alerts, events = lived(place, 0, "unread", fails=True)
    assert [bar["bar"] for bar in found] == [bar["bar"] for bar in right]
    assert [alert.kind for alert in alerts if alert.kind.startswith("clock")] == ["clock_unread"]
    assert len([event for event in events if event.kind == "clock_unread"]) == 1


def test_the_real_client_and_status_tell_the_same_offset(session_parts, exchange, loopback):
    """Over HTTP: the machine is an hour behind, and the session trades on fresh bars alone."""
    bars = exchange.bars
    place = dataclasses.replace(
        session_parts(2, n_bars=60, n_symbols=3), bars=bars, stale_after_ms=120_000, folder=session_parts().folder
    )
    world = World(int(bars.open_time_ms[30]) + 1)
    exchange.now_ms = lambda: world.true_ms
    feed = LiveFeed(
        bars, source=lambda symbols, interval_ms: loopback(), universe=None, delay_ms=3_000, retry_ms=2_000,
        most_bars=500, skip_after_ms=HOUR, clock=Machine(world, -HOUR), sleep=world.sleep,
    )  # fmt: skip
    with place.journal() as journal:
        session = place.session(journal, feed=feed, history=bars.rows(0, 30), counter_seconds=world.counter)
        session.start()
        assert session.run(most_bars=20) == 20
        lags = [event.facts["observed"]["lag_ms"] for event in journal.replay() if event.kind == "bar"]
    assert max(lags) <= 5_000
    assert [alert.facts["ahead_ms"] for alert in place.alerts.sent if alert.kind == "clock_offset"] == [HOUR]
    view = read_session(place.folder / "journal.db", check=True)
    assert view.clock["ahead_ms"] == HOUR
    machine_ms = world.true_ms - HOUR
    facts = json.loads(json.dumps(status_facts(view, machine_ms)))
    assert facts["age_ms"] == lags[-1]
    assert facts["clock"]["ahead_ms"] == HOUR
    summary = status_tables(view, machine_ms)[0]
    [row] = [i for i, name in enumerate(summary.columns[0].cells) if name == "venue's clock ahead, ms"]
    shown = list(summary.columns[1].cells)[row]
    assert shown.startswith("+3,600,000 (+/- 0) on 2025-03-16T")
    assert shown.endswith("too far: set this machine's clock")


def test_the_quickest_of_three_answers_counts():
    clock = FakeClock(1_742_083_200_000)
    delays = iter([400, 60, 900])

    def venue_ms():
        delay = next(delays)
        clock.advance(delay // 2)
        shown = clock.now_ms() + 5_000
        clock.advance(delay - delay // 2)
        return shown

    assert measure_offset(venue_ms, clock) == ClockOffset(5_000.0, 30.0)
    assert measure_offset(lambda: None, clock) is None
    for nonsense in (0, -1, 10**30, 10**12):
        with pytest.raises(DataError, match="ms since 1970"):
            measure_offset(lambda shown=nonsense: shown, clock)


def test_alerts_come_where_the_limit_is_crossed_and_not_every_hour():
    clock, offsets = FakeClock(0), iter([0.0, 2_000.0, 2_500.0, 1_499.0, -2_000.0, -1_540.0])

    class Feed(ListFeed):
        def measure_clock(self):
            return ClockOffset(next(offsets), 50.0)

    watch = ClockWatch(Feed([], 300_000, clock), HOUR, 1_500.0, lambda: clock.now_ms() / 1000)
    alerted = []
    for _ in range(6):
        alerted.append(watch.reading().message is not None)
        clock.advance(HOUR - 1)
        assert watch.reading() is None
        clock.advance(1)
    assert alerted == [False, True, False, False, True, False]


def test_a_feed_without_the_power_is_left_alone(session_parts):
    watch = ClockWatch(ListFeed([], 300_000), HOUR, 1_500.0, lambda: 0.0)
    assert watch.reading() is None
