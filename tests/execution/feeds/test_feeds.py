"""What a feed can bring, and what the gate makes of it."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from quantlab.core.clock import FakeClock
from quantlab.core.errors import ConfigError, DataError
from quantlab.core.events import RawBar
from quantlab.core.fakes import ListFeed
from quantlab.core.market import BarState, Funding
from quantlab.data.quality.gate import QualityGate
from quantlab.data.universe.snapshot import Row, Snapshot
from quantlab.execution.feeds.live import LiveFeed
from quantlab.execution.feeds.live_universe import LiveUniverse
from quantlab.execution.feeds.polled import PolledFeed
from quantlab.execution.feeds.replay import ReplayFeed, raw_bar
from quantlab.execution.session.bar_gate import FAULTS, BarGate, gate_state_after

LATER = 10**15


def assert_same_bars(one, two):
    assert one.open_time_ms.tolist() == two.open_time_ms.tolist()
    assert one.ohlcv.tobytes() == two.ohlcv.tobytes()
    assert one.state.tobytes() == two.state.tobytes()


def through(bar_gate, raws, now_ms=LATER):
    """The bars that pass."""
    passed = []
    for raw in raws:
        fault = bar_gate.find_fault(raw, now_ms)
        if fault:
            bar_gate.counts[fault] += 1
        else:
            passed += [bar_gate.update(step) for step in bar_gate.bars_of_grid(raw)]
    return passed


def bar_gate_for(bars):
    gate = QualityGate(bars.symbols, bars.instruments, bars.interval_ms)
    return BarGate(gate, gate.begin(), 0.05)


@pytest.mark.parametrize("start", [0, 1, 66, 67, 134, 136, 138, 139, 200, 205, 213, 221, 399])
def test_a_replayed_history_passes_the_gate_unchanged_from_any_row(random_market, start):
    """Filled bars are taken out and filled again: the gate behind a part of a history is exactly where it was."""
    bars = random_market(0)
    bar_gate = bar_gate_for(bars)
    if start:
        bar_gate.state = gate_state_after(bars.rows(0, start))
    for t, bar in enumerate(through(bar_gate, [raw_bar(bars, t) for t in range(start, bars.n_bars)])):
        assert_same_bars(bar, bars.rows(start + t, start + t + 1))
    assert not any(bar_gate.counts.values())


def test_the_gate_behind_thirteen_bars_is_the_gate_behind_them_all(random_market):
    bars = random_market(3)
    for t in range(13, bars.n_bars):
        whole, part = gate_state_after(bars.rows(0, t)), gate_state_after(bars.rows(t - 13, t))
        still = ~np.isnan(part.last_close)
        assert np.array_equal(whole.last_close[still], part.last_close[still])
        assert np.array_equal(np.minimum(whole.missing, 13)[still], np.minimum(part.missing, 13)[still])


def damaged(raw, symbol, values):
    ohlcv = raw.ohlcv.copy()
    ohlcv[symbol] = values
    return dataclasses.replace(raw, ohlcv=ohlcv)


def test_every_kind_of_arrival_is_counted_and_only_sound_ones_pass(random_market):
    bars = random_market(1, n_bars=60)
    raws = [raw_bar(bars, t) for t in range(40)]
    step = bars.interval_ms
    arriving = [
        *raws[:20],
        raws[19],  # again
        raws[10],  # again, later
        damaged(raws[15], 0, [9.0, 9.0, 9.0, 9.0, 9.0]),  # corrected afterwards
        raws[22],  # 20 and 21 are missing
        raws[20],  # out of order
        damaged(raws[23], 0, [10.0, 5.0, 1.0, 7.0, 3.0]),  # high below the open
        damaged(raws[24], 0, [np.nan, 5.0, 1.0, 7.0, 3.0]),  # half a bar
        damaged(raws[25], 0, [10.0, 11.0, 9.0, -1.0, 3.0]),
        RawBar(raws[26].open_time_ms + 1, raws[26].ohlcv),  # off the grid
        RawBar(raws[26].open_time_ms, raws[26].ohlcv[:2].copy()),  # of another market
        RawBar(raws[26].open_time_ms + 20_000 * step, raws[26].ohlcv),  # in a month's time
        *raws[26:30],
    ]
    bar_gate = bar_gate_for(bars)
    passed = through(bar_gate, arriving)
    assert [int(bar.open_time_ms[0]) for bar in passed] == bars.open_time_ms[:30].tolist()
    assert bar_gate.counts == {
        **dict.fromkeys(FAULTS, 0),
        "duplicate": 2,
        "corrected": 1,
        "missing": 2,
        "out_of_order": 1,
        "malformed_cell": 3,
        "malformed": 3,
    }
    for t in (20, 21):
        assert set(passed[t].state[0]) <= {BarState.FILLED, BarState.ABSENT}
    for t in (23, 24, 25):
        assert passed[t].state[0, 0] == BarState.FILLED
    assert not any(bar.tradable[0].any() for bar in (passed[20], passed[21]))
    for t in [*range(20), 22, *range(26, 30)]:
        assert_same_bars(passed[t], bars.rows(t, t + 1))


def test_a_bar_that_has_not_closed_yet_is_early(random_market):
    bars = random_market(1, n_bars=10)
    bar_gate, raw = bar_gate_for(bars), raw_bar(bars, 0)
    close = raw.open_time_ms + bars.interval_ms
    assert bar_gate.find_fault(raw, close - 1) == "early"
    assert bar_gate.find_fault(raw, close) is None


def test_what_arrived_wrong_is_counted_in_the_journal_and_changes_no_result(session_parts):
    place = session_parts(0, n_bars=120)
    clean = [raw_bar(place.bars, t) for t in range(place.bars.n_bars)]
    noisy = []
    for t, raw in enumerate(clean):
        noisy += [raw, raw] if t % 3 == 0 else [raw]
        noisy += [clean[t - 5]] if t % 7 == 0 and t >= 5 else []
        noisy += [damaged(clean[t - 1], 0, [1.0, 1.0, 1.0, 1.0, 1.0])] if t % 40 == 39 else []
    with place.journal() as journal:
        session = place.session(journal, feed=ListFeed(noisy, place.bars.interval_ms))
        session.start()
        session.run()
        session.finish("test")
        equity = [e.facts["bar"]["account"]["equity"] for e in journal.replay() if e.kind == "bar"]
        counters = dict(journal._database.execute("SELECT * FROM counters WHERE name LIKE 'bar_gate.%'"))
    quiet = dataclasses.replace(place, folder=place.folder / "quiet")
    with quiet.journal() as journal:
        session = quiet.session(journal)
        session.start()
        session.run()
        assert [e.facts["bar"]["account"]["equity"] for e in journal.replay() if e.kind == "bar"] == equity
    assert counters == {"bar_gate.duplicate": 40 + 17, "bar_gate.corrected": 3}
    assert [alert.kind for alert in place.alerts.sent].count("corrected") == 3


def test_a_replay_is_paced_by_the_markets_clock(random_market):
    bars, slept = random_market(0, n_bars=10), []
    feed = ReplayFeed(bars, start=None, pace=100.0, sleep=slept.append)
    times = [feed.clock.now_ms() for _ in feed.bars(None)]
    assert slept == [3.0] * 10
    assert times == (bars.open_time_ms + bars.interval_ms).tolist()
    assert [raw.open_time_ms for raw in feed.bars(int(bars.open_time_ms[6]))] == bars.open_time_ms[7:].tolist()


@pytest.mark.parametrize(
    ("given", "name"), [({"start": "soon"}, "start"), ({"start": "2031-01-01"}, "start"), ({"pace": 0.0}, "pace")]
)
def test_an_impossible_replay_is_refused(random_market, given, name):
    with pytest.raises(ConfigError, match=f"execution.feed.{name}"):
        ReplayFeed(random_market(0, n_bars=10), **{"start": None, "pace": None, **given})


class Venue:
    """A :class:`BarFetcher` over a history, which answers late and fails at times."""

    def __init__(self, bars, clock, *, delay_ms=0, broken=()):
        self.bars, self.clock, self.delay_ms, self.broken, self.asked = bars, clock, delay_ms, set(broken), 0
        self.closed = False

    def fetch(self, start_ms, end_ms):
        self.asked += 1
        if self.asked in self.broken:
            raise DataError("an answer", found="none", fix="wait")
        there = self.bars.open_time_ms + self.bars.interval_ms + self.delay_ms <= self.clock.now_ms()
        wanted = (self.bars.open_time_ms >= start_ms) & (self.bars.open_time_ms < end_ms) & there
        return [raw_bar(self.bars, int(t)) for t in np.flatnonzero(wanted)[::-1]]

    def close(self):
        self.closed = True


@pytest.mark.parametrize("delay_ms", [0, 7_000])
def test_bars_are_asked_for_when_they_close_and_again_until_they_come(random_market, delay_ms):
    bars = random_market(0, n_bars=40)
    clock = FakeClock(int(bars.open_time_ms[9]) + bars.interval_ms + 1)
    venue = Venue(bars, clock, delay_ms=delay_ms, broken={3, 4})
    feed = PolledFeed(
        venue,
        interval_ms=bars.interval_ms,
        delay_ms=1_000,
        retry_ms=2_000,
        most_bars=4,
        skip_after_ms=3_600_000,
        clock=clock,
        sleep=lambda seconds: clock.advance(max(1, round(seconds * 1000))),
    )
    got, lags = [], []
    for raw in feed.bars(int(bars.open_time_ms[0])):
        if raw is not None:
            got.append(raw.open_time_ms)
            lags.append(clock.now_ms() - raw.open_time_ms - bars.interval_ms)
        if got and got[-1] == bars.open_time_ms[30]:
            break
    assert got == bars.open_time_ms[1:31].tolist()
    assert max(lags[15:]) <= delay_ms + 2_000 + 1_000
    assert feed.failures == {"DataError": 2}


@pytest.fixture
def source(exchange, loopback):
    """The exchange's bars, and their connection closed in the end."""
    made = loopback()
    yield made
    made.close()


def test_bars_and_funding_come_from_an_exchange_bit_for_bit(exchange, source):
    """The stamps of an exchange are some milliseconds late; what is charged is what a replay charges."""
    bars = exchange.bars
    got = source.fetch(int(bars.open_time_ms[20]), int(bars.open_time_ms[40]))
    assert [raw.open_time_ms for raw in got] == bars.open_time_ms[20:40].tolist()
    for t, raw in enumerate(got, 20):
        replayed = raw_bar(bars, t)
        assert raw.ohlcv.tobytes() == replayed.ohlcv.tobytes()
        paid = ~np.isnan(replayed.funding.rate).all(axis=1)  # at an hour that nobody pays there is no row
        assert raw.funding.time_ms.tolist() == replayed.funding.time_ms[paid].tolist()
        assert raw.funding.rate.tobytes() == replayed.funding.rate[paid].tobytes()
    assert sum(len(raw.funding.time_ms) for raw in got) == 2


def test_funding_is_asked_for_when_an_hour_begins_and_not_before(exchange, source):
    bars = exchange.bars
    hours = np.flatnonzero(bars.open_time_ms % 3_600_000 == 0)
    t = int(hours[1])
    for row, asked in ((t - 1, 0), (t, 3), (t + 1, 0)):
        exchange.paths.clear()
        source.fetch(int(bars.open_time_ms[row]), int(bars.open_time_ms[row + 1]))
        assert exchange.paths.count("fundingRate") == asked
    [quiet] = source.fetch(int(bars.open_time_ms[t + 1]), int(bars.open_time_ms[t + 2]))
    assert quiet.funding is not None
    assert len(quiet.funding.time_ms) == 0  # nothing due is not the same as nothing known


def test_a_rate_that_cannot_be_had_is_unknown_and_none_at_all_is_an_error(exchange, source):
    bars = exchange.bars
    t = int(np.flatnonzero(bars.open_time_ms % 3_600_000 == 0)[1])
    span = (int(bars.open_time_ms[t]), int(bars.open_time_ms[t + 1]))
    exchange.mute_funding.add("BBBUSDT")
    [raw] = source.fetch(*span)
    assert np.isnan(raw.funding.rate[0, 1])
    assert raw.funding.rate[0, 0] == bars.funding.rate[bars.funding.time_ms == raw.funding.time_ms[0]][0, 0]
    exchange.mute_funding.update(bars.symbols)
    with pytest.raises(DataError, match="funding rates of the exchange"):
        source.fetch(*span)


def test_a_rate_given_twice_is_one_and_one_given_differently_is_unknown(exchange, source):
    bars = exchange.bars
    hours = np.flatnonzero(bars.open_time_ms % 3_600_000 == 0)
    span = (int(bars.open_time_ms[hours[1]]), int(bars.open_time_ms[hours[3]]) + bars.interval_ms)

    def rates_of():
        return np.concatenate([raw.funding.rate for raw in source.fetch(*span)])

    usual = rates_of()
    times, rates = (np.repeat(column, 2, axis=0) for column in (bars.funding.time_ms, bars.funding.rate))
    shown = {name: getattr(bars, name) for name in ("open_time_ms", "ohlcv", "state", "symbols", "interval_ms")}
    exchange.bars = SimpleNamespace(**shown, funding=SimpleNamespace(time_ms=times, rate=rates))
    assert rates_of().tobytes() == usual.tobytes()
    rates[::2, 1] += 1e-4
    assert np.isnan(rates_of()[:, 1]).all()
    assert rates_of()[:, [0, 2]].tobytes() == usual[:, [0, 2]].tobytes()


def test_what_fell_due_while_no_bar_came_is_charged_in_its_place(random_market):
    """Twenty bars are missing; the session's gate gets every rate, once, on the bar that it falls due on."""
    bars = random_market(0, n_bars=60)
    bar_gate = bar_gate_for(bars)
    through(bar_gate, [raw_bar(bars, t) for t in range(10)])
    late = raw_bar(bars, 30)
    stamps = bars.funding.time_ms
    owed = (stamps > bars.open_time_ms[9]) & (stamps <= bars.open_time_ms[30])
    assert owed.sum() == 2
    late = dataclasses.replace(late, funding=Funding(stamps[owed].copy(), bars.funding.rate[owed].copy()))
    steps = bar_gate.bars_of_grid(late)
    for step in steps:
        assert all(step.open_time_ms - bars.interval_ms < ms <= step.open_time_ms for ms in step.funding.time_ms)
    assert [int(ms) for step in steps for ms in step.funding.time_ms] == stamps[owed].tolist()


def test_without_funding_it_is_unknown_and_not_nothing(exchange, loopback):
    bars, silent = exchange.bars, loopback(funding=False)
    got = silent.fetch(int(bars.open_time_ms[20]), int(bars.open_time_ms[40]))
    silent.close()
    assert all(raw.funding is None for raw in got)
    assert "fundingRate" not in exchange.paths


def test_one_connection_serves_a_session_and_ends_with_it(exchange, loopback):
    """Markets are read once; the sockets are kept, and closed with the iterator, also by a session that stops."""
    bars = exchange.bars
    clock = FakeClock(int(bars.open_time_ms[20]) + bars.interval_ms)
    feed = LiveFeed(
        bars,
        source=lambda symbols, interval_ms: loopback(),
        universe=None,
        delay_ms=1,
        retry_ms=1,
        most_bars=5,
        skip_after_ms=3_600_000,
        clock=clock,
        sleep=lambda seconds: clock.advance(max(1, round(seconds * 1000))),
    )
    got = []
    arriving = feed.bars(int(bars.open_time_ms[9]))
    for raw in arriving:
        if raw is not None:
            got.append(raw.open_time_ms)
        if len(got) == 20:
            break
    assert got == bars.open_time_ms[10:30].tolist()
    assert exchange.paths.count("exchangeInfo") == 1
    assert len(exchange.connections) <= 3  # as many as requests under way at once
    client = feed._source._client
    assert not client.api.session.closed
    arriving.close()
    assert client.api.session is None or client.api.session.closed
    assert feed._source._client is None


def test_a_symbol_that_fails_is_missing_and_a_dead_exchange_is_an_error(exchange, source):
    bars = exchange.bars
    exchange.mute.add("BBBUSDT")
    got = source.fetch(int(bars.open_time_ms[52]), int(bars.open_time_ms[54]))
    assert all(np.isnan(raw.ohlcv[1]).all() and not np.isnan(raw.ohlcv[0]).any() for raw in got)
    exchange.mute.update(bars.symbols)
    with pytest.raises(DataError, match="bars of the exchange"):
        source.fetch(int(bars.open_time_ms[52]), int(bars.open_time_ms[54]))


def test_a_bar_that_runs_by_the_exchanges_clock_is_not_taken(exchange, source):
    """This machine may be ahead: what it takes for closed is then still being made."""
    bars = exchange.bars
    t = int(np.flatnonzero(bars.printed.all(axis=1))[5])
    span = (int(bars.open_time_ms[t]), int(bars.open_time_ms[t + 1]))
    exchange.now_ms = span[1] - 1
    with pytest.raises(DataError, match="one that closes 1 ms from now by the exchange's clock"):
        source.fetch(*span)
    exchange.now_ms += 1
    assert len(source.fetch(*span)) == 1


def test_numbers_that_are_partly_missing_are_left_to_the_gate_and_counted(exchange, source):
    bars = exchange.bars
    ohlcv = bars.ohlcv.copy()
    ohlcv[30, 1, 4] = np.nan
    exchange.bars = SimpleNamespace(
        open_time_ms=bars.open_time_ms, ohlcv=ohlcv, state=bars.state, symbols=bars.symbols,
        interval_ms=bars.interval_ms, funding=bars.funding,
    )  # fmt: skip
    [raw] = source.fetch(int(bars.open_time_ms[30]), int(bars.open_time_ms[31]))
    bar_gate = bar_gate_for(bars)
    bar_gate.bars_of_grid(raw)
    assert bar_gate.counts["malformed_cell"] == 1


def test_a_stamp_off_the_grid_does_not_move_what_is_asked_for_next(random_market):
    bars = random_market(0, n_bars=20)
    clock = FakeClock(int(bars.open_time_ms[9]) + bars.interval_ms)
    asked = []

    class Crooked(Venue):
        def fetch(self, start_ms, end_ms):
            asked.append(start_ms)
            return [
                dataclasses.replace(raw, open_time_ms=raw.open_time_ms + 1000)
                for raw in super().fetch(start_ms, end_ms)
            ]

    feed = PolledFeed(
        Crooked(bars, clock), interval_ms=bars.interval_ms, delay_ms=1, retry_ms=1, most_bars=5, skip_after_ms=3_600_000, clock=clock,
        sleep=lambda seconds: clock.advance(max(1, round(seconds * 1000))),
    )  # fmt: skip
    arriving = feed.bars(int(bars.open_time_ms[4]))
    while len(asked) < 3:
        next(arriving)
    assert all(start % bars.interval_ms == 0 for start in asked)


def test_catching_up_needs_more_than_one_page(exchange, loopback):
    bars, small = exchange.bars, loopback(bars_per_request=7, rates_per_request=1)
    got = small.fetch(int(bars.open_time_ms[0]), int(bars.open_time_ms[59]))
    small.close()
    assert [raw.open_time_ms for raw in got] == bars.open_time_ms[:59].tolist()
    assert all(raw.ohlcv.tobytes() == raw_bar(bars, t).ohlcv.tobytes() for t, raw in enumerate(got))


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"exchange": "nowhere"}, "ccxt knows"),
        ({"settings": {"secret": "x"}}, "without keys"),
        ({"concurrency": 0}, "concurrency"),
        ({"rates_per_request": 0}, "rates_per_request"),
    ],
)
def test_an_impossible_exchange_is_refused(given, what, loopback):
    with pytest.raises(ConfigError, match=what):
        loopback(**given)


def test_a_live_feed_takes_market_and_interval_from_the_history(random_market):
    bars = random_market(0, n_bars=20)
    clock = FakeClock(int(bars.open_time_ms[-1]) + bars.interval_ms + 1)
    seen = []

    def source(symbols, interval_ms):
        seen.append((symbols, interval_ms))
        return Venue(bars, clock)

    feed = LiveFeed(
        bars, source=source, universe=None, delay_ms=1, retry_ms=1, most_bars=5, skip_after_ms=3_600_000, clock=clock
    )
    assert seen == [(bars.symbols, bars.interval_ms)]
    assert feed.begins_ms is None
    got = []
    for raw in feed.bars(int(bars.open_time_ms[9])):
        got.append(raw.open_time_ms)
        if len(got) == 10:
            break
    assert got == bars.open_time_ms[10:].tolist()


def snapshot(root, taken_ms, members):
    rows = tuple(Row(name, None, name, None, 1, rank + 1, *[None] * 4, "") for rank, name in enumerate(members))
    return Snapshot(taken_ms, "binanceusdm", "rules", rows).write(root, replace=True)


def test_a_live_bar_is_marked_by_the_last_snapshot_known_at_its_open(random_market, tmp_path):
    """Snapshots are read as they appear; one that cannot be read lets nothing be opened."""
    bars = random_market(0, n_bars=20)
    day = 86_400_000
    first = int(bars.open_time_ms[0])
    snapshot(tmp_path, first - day, bars.symbols[:2])
    members = LiveUniverse(tmp_path, bars.symbols)

    def outside(t):
        found = members.mark(RawBar(first + t, bars.ohlcv[0])).outside
        return [] if found is None else np.flatnonzero(found).tolist()

    assert outside(0) == [2, 3]
    later = snapshot(tmp_path, first + day, bars.symbols[1:])
    assert outside(0) == [2, 3]  # taken later than this bar opened
    assert outside(day - 1) == [2, 3]
    assert outside(day) == [0]
    assert outside(-2 * day) == [0, 1, 2, 3]  # before any snapshot
    text = later.read_text()
    later.write_text(text[:-9])
    assert outside(0) == [0, 1, 2, 3]
    later.write_text(text)
    assert outside(day) == [0]
    with pytest.raises(DataError, match="universe snapshots in"):
        LiveUniverse(tmp_path / "none", bars.symbols)


def test_a_live_feed_hands_on_who_is_outside_and_the_gate_marks_it(random_market, tmp_path):
    bars = random_market(0, n_bars=20)
    clock = FakeClock(int(bars.open_time_ms[-1]) + bars.interval_ms)
    snapshot(tmp_path, int(bars.open_time_ms[0]) - 1_000, bars.symbols[:1])
    venue = Venue(bars, clock)
    feed = LiveFeed(
        bars,
        source=lambda symbols, interval_ms: venue,
        universe=tmp_path,
        delay_ms=1,
        retry_ms=1,
        most_bars=5,
        skip_after_ms=3_600_000,
        clock=clock,
    )
    raw = next(feed.bars(int(bars.open_time_ms[9])))
    assert raw.outside.tolist() == [False, True, True, True]
    [bar] = through(bar_gate_for(bars), [raw])
    assert (bar.state[0, 1:] != BarState.TRADED).all()
    assert venue.closed  # the iterator is gone


def test_an_odd_bar_is_counted_and_alerted_and_traded_on(session_parts):
    """A fall to a tenth and back: nothing is changed, everything is alerted, a restart alerts nothing twice."""
    place = session_parts(0, n_bars=120, resets=False)
    raws = [raw_bar(place.bars, t) for t in range(place.bars.n_bars)]
    spiked = raws[80].ohlcv.copy()
    spiked[0, 2:4] *= 0.1
    raws[80] = dataclasses.replace(raws[80], ohlcv=spiked)
    with place.journal() as journal:
        session = place.session(journal, feed=ListFeed(raws[:90], place.bars.interval_ms))
        session.start()
        session.run()
    with place.journal() as journal:
        session = place.session(journal, feed=ListFeed(raws, place.bars.interval_ms))
        session.start()
        session.run()
        counters = dict(journal._database.execute("SELECT * FROM counters WHERE name LIKE 'bar_gate.suspect%'"))
    assert counters == {"bar_gate.suspect_jump": 2, "bar_gate.suspect_spike": 1}
    alerts = [alert.facts["kind"] for alert in place.alerts.sent if alert.kind == "suspect_bar"]
    assert alerts == ["jump", "jump", "spike"]
