"""The session against the backtest, bit for bit, and everything that a feed can bring."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from quantlab.backtest.scan import Scan
from quantlab.core.clock import FakeClock, iso_utc
from quantlab.core.errors import ArtifactError, ConfigError, ContractError, InstallationError
from quantlab.core.fakes import FixedSignal, ListFeed
from quantlab.core.market import BarState, Instrument
from quantlab.core.results import CUT_RULES, OrderReason
from quantlab.data import ParquetSource
from quantlab.execution.feeds.polled import PolledFeed
from quantlab.execution.feeds.replay import ReplayFeed, raw_bar
from quantlab.execution.journal.projections import read_tables
from quantlab.execution.journal.sqlite import SqliteJournal
from quantlab.execution.session.paper_broker import PaperBroker
from quantlab.trading import replay
from quantlab.trading.lowlevel.layout import BREAKER_HALT

CASH = 10_000.0


def tables(journal):
    return read_tables(journal._database)


def assert_ledger_is(journal, simulation):
    """Every number of the journal's tables is the scan's own."""
    found = tables(journal)
    symbols = simulation.symbols
    assert [row[1] for row in found["equity"]] == simulation.equity.tolist()
    assert [row[0] for row in found["equity"]] == simulation.open_time_ms.tolist()
    assert [row[3] for row in found["equity"]] == simulation.gross.tolist()
    assert [row[4] for row in found["equity"]] == simulation.funding.tolist()
    assert found["equity"][-1][2] == simulation.cash
    theirs = [
        (
            int(o["id"]),
            int(simulation.open_time_ms[o["idx"]]),
            symbols[o["col"]],
            -1 if o["side"] else 1,
            float(o["size"]),
            float(o["price"]),
            float(o["fees"]),
            OrderReason(int(r)).name,
        )
        for o, r in zip(simulation.orders, simulation.reasons, strict=True)
    ]
    assert [row[:8] for row in found["fills"]] == theirs
    held = {symbols[s]: simulation.units[s] for s in np.flatnonzero(simulation.units)}
    assert {row[0]: row[1] for row in found["positions"]} == held
    counters = dict(found["counters"])
    assert {rule: counters.get(f"cut.{rule}", 0) for rule in CUT_RULES} == simulation.cuts
    risk = sum(n for name, n in counters.items() if name.startswith("risk."))
    assert risk == len(simulation.events)


@pytest.mark.parametrize("seed", range(4))
def test_a_session_is_the_scan_bit_for_bit(session_parts, seed):
    place = session_parts(seed)
    scanned = Scan(CASH).run(place.bars, place.signal, place.strategy)
    with place.journal() as journal:
        session = place.session(journal)
        assert session.start() == 0
        assert session.run() == place.bars.n_bars
        assert_ledger_is(journal, scanned)
    assert len(scanned.orders) > 50
    assert len(scanned.events) > 0
    assert OrderReason.STOP in scanned.reasons


def test_rows_that_share_their_funding_pay_it_once_and_in_time(session_parts):
    """Rows of a history hand over all its stamps; the stepper remembers when the next one is due."""
    place = session_parts(1)
    scanned = Scan(CASH).run(place.bars, place.signal, place.strategy)
    rows = ((place.bars.rows(t, t + 1), place.signal.rows(t, t + 1)) for t in range(place.bars.n_bars))
    replayed = replay(rows, place.strategy, CASH)
    assert replayed.funding.tolist() == scanned.funding.tolist()
    assert replayed.equity.tolist() == scanned.equity.tolist()
    assert np.count_nonzero(scanned.funding) >= 5


@pytest.mark.parametrize("snapshot_every", [1, 7, 1_000])
def test_a_session_in_pieces_is_the_session_in_one(session_parts, snapshot_every):
    place = session_parts(2, snapshot_every=snapshot_every)
    scanned = Scan(CASH).run(place.bars, place.signal, place.strategy)
    rng = np.random.default_rng(5)
    done = 0
    while done < place.bars.n_bars:
        with place.journal() as journal:
            session = place.session(journal)
            session.start()
            done += session.run(most_bars=int(rng.integers(1, 90)))
            if rng.random() < 0.5:
                session.finish("test")
    with place.journal() as journal:
        assert_ledger_is(journal, scanned)


def test_a_journal_that_was_tampered_with_consistently_is_still_noticed(session_parts):
    """Facts that do not follow from the bar are found even where every hash was made again."""
    place = session_parts(1, snapshot_every=1_000)
    with place.journal() as journal:
        session = place.session(journal)
        session.start()
        session.run(most_bars=100)
        rows = list(journal.replay())
    forged = place.folder / "forged.db"
    with SqliteJournal(forged) as journal:
        snapshot = next(event for event in rows if event.kind == "snapshot")
        bars = [dataclasses.replace(event, facts=json.loads(json.dumps(event.facts))) for event in rows[3:]]
        bars[50].facts["bar"]["account"]["cash"] += 0.01
        journal.append([rows[0], snapshot, *bars])
    with SqliteJournal(forged) as journal, pytest.raises(ArtifactError, match="the journalled account"):
        place.session(journal).start()


@pytest.mark.parametrize(
    ("change", "name"),
    [({"initial_cash": 5_000.0}, "initial_cash"), ({"limits_on": False}, "limits_on")],
)
def test_a_session_goes_on_as_it_began_or_not_at_all(session_parts, change, name):
    place = session_parts()
    with place.journal() as journal:
        place.session(journal).start()
    with place.journal() as journal, pytest.raises(ConfigError, match=name):
        place.session(journal, **change).start()


def test_another_strategy_is_refused(session_parts, strategy):
    place = session_parts()
    with place.journal() as journal:
        place.session(journal).start()
    other = strategy(FixedSignal(place.signal), max_positions=2)
    with place.journal() as journal, pytest.raises(ConfigError, match="the session's strategy"):
        place.session(journal, strategy=other).start()


def test_the_decision_is_journalled_before_it_is_sent(session_parts):
    place = session_parts(3)

    class Nosy(PaperBroker):
        def submit(self, decision):
            last = journal.latest("bar").facts["bar"]
            seen.append((decision.open_time_ms, len(decision.legs)))
            assert last["open_ms"] == decision.open_time_ms
            assert [leg["order_id"] for leg in last["orders"]] == [leg.order_id for leg in decision.legs]
            super().submit(decision)

    seen = []
    with place.journal() as journal:
        session = place.session(journal, make_broker=Nosy)
        session.start()
        session.run()
    assert len(seen) == place.bars.n_bars
    assert sum(count for _, count in seen) > 50


def test_the_decision_of_the_last_commit_is_sent_again(session_parts):
    place = session_parts(3)
    with place.journal() as journal:
        session = place.session(journal)
        session.start()
        session.run(most_bars=77)  # and then the process dies
    brokers = []

    class Listening(PaperBroker):
        def __init__(self, account):
            super().__init__(account)
            self.heard = []
            brokers.append(self)

        def submit(self, decision):
            self.heard.append(decision.open_time_ms)
            super().submit(decision)

    with place.journal() as journal:
        place.session(journal, make_broker=Listening).start()
    assert brokers[0].heard == [int(place.bars.open_time_ms[76])]


def test_nothing_is_sent_when_the_journal_cannot_be_written(session_parts):
    place = session_parts(3)
    sent = []

    class Counting(PaperBroker):
        def submit(self, decision):
            sent.append(decision.open_time_ms)

    with place.journal() as journal:
        session = place.session(journal, make_broker=Counting)
        session.start()
        session.run(most_bars=10)
        journal._database.execute("PRAGMA query_only = ON")
        with pytest.raises(InstallationError, match="nothing was lost"):
            session.run()
        journal._database.execute("PRAGMA query_only = OFF")
    assert len(sent) == 10
    scanned = Scan(CASH).run(place.bars, place.signal, place.strategy)
    with place.journal() as journal:
        session = place.session(journal)
        session.start()
        session.run()
        assert_ledger_is(journal, scanned)


def test_a_stale_feed_stops_entries_and_says_so(session_parts):
    """Bars that come too late settle and exit as ever, but nothing is entered on them; a restart repeats that."""
    place = session_parts(0, n_bars=300, stale_after_ms=60_000, snapshot_every=1_000)
    feed = ReplayFeed(place.bars, start=None, pace=None)
    raws = list(ReplayFeed(place.bars, start=None, pace=None).bars(None))

    class Late:
        clock = feed.clock
        begins_ms = None

        def bars(self, after_ms):
            for t, raw in enumerate(raws):
                if after_ms is not None and raw.open_time_ms <= after_ms:
                    continue
                lag = 600_000 if 100 <= t < 150 else 0
                self.clock.time_ms = raw.open_time_ms + place.bars.interval_ms + lag
                yield raw

    with place.journal() as journal:
        session = place.session(journal, feed=Late())
        session.start()
        session.run(most_bars=200)
        bars = [event.facts["bar"] for event in journal.replay() if event.kind == "bar"]
    late = bars[100:150]
    assert all("feed" in bar["halts"] for bar in late)
    assert all(leg["reduce_only"] for bar in late for leg in bar["orders"])
    assert any(not leg["reduce_only"] for bar in bars[:100] for leg in bar["orders"])
    assert not any("feed" in bar["halts"] for bar in bars[:100] + bars[150:])
    assert [alert.kind for alert in place.alerts.sent if "feed" in alert.kind] == ["stale_feed", "fresh_feed"]
    with place.journal() as journal:
        assert place.session(journal, feed=Late()).start() == 200


def test_a_silent_feed_brings_one_alert(session_parts):
    place = session_parts(0, n_bars=20, stale_after_ms=60_000)
    raws = [raw_bar(place.bars, t) for t in range(5)]
    feed = ListFeed([*raws, None, None, None], place.bars.interval_ms)

    def silence(after_ms):
        for item in ListFeed.bars(feed, after_ms):
            if item is None:
                feed.clock.advance(200_000)
            yield item

    feed.bars = silence
    with place.journal() as journal:
        session = place.session(journal, feed=feed)
        session.start()
        session.run()
    assert [alert.kind for alert in place.alerts.sent] == ["stale_feed"]


def test_a_session_goes_on_with_the_history_that_it_warmed_up_on_and_with_no_other_data_of_the_same_bars(session_parts):
    """Prices that were adjusted since would meet a signal and an account in the old units."""
    place = session_parts(0, n_bars=60)
    history = place.bars.rows(0, 30)
    feed = ReplayFeed(place.bars, start=np.datetime64(int(place.bars.open_time_ms[30]), "ms"), pace=None)
    with place.journal() as journal:
        session = place.session(journal, feed=feed, history=history)
        session.start()
        session.run(most_bars=10)
        journalled = journal.latest("began").facts["history"]
    assert journalled["data_fingerprint"] == history.fingerprint()
    assert (journalled["first_ms"], journalled["last_ms"]) == tuple(history.open_time_ms[[0, -1]])
    ohlcv = history.ohlcv.copy()
    ohlcv[:20, 0, :4] *= 0.5
    ohlcv[:20, 0, 4] *= 2.0
    adjusted = dataclasses.replace(history, ohlcv=ohlcv)
    with (
        place.journal() as journal,
        pytest.raises(
            ConfigError, match=r"say what they said when the session warmed up on them.*other values.*data.adjustments"
        ),
    ):
        place.session(journal, feed=feed, history=adjusted).start()
    for same in (history, history.rows(1, 30), None):  # another span, as a live session has, is not compared
        with place.journal() as journal:
            place.session(journal, feed=feed, history=same).start()


def test_a_breaker_is_released_by_hand_and_stays_released_after_a_crash(session_parts, strategy):
    place = session_parts(0, snapshot_every=10_000)
    chosen = strategy(FixedSignal(place.signal), breaker=0.01)
    with place.journal() as journal:
        session = place.session(journal, strategy=chosen)
        session.start()
        while not session.account.state.account[BREAKER_HALT]:
            assert session.run(most_bars=1) == 1
        session.reset_breaker()
        session.run(most_bars=30)
        state = [part.tobytes() for part in session.account.state]
    with place.journal() as journal:
        again = place.session(journal, strategy=chosen)
        again.start()
        assert [part.tobytes() for part in again.account.state] == state


def test_a_broken_promise_of_the_features_is_journalled_and_stops(session_parts):
    place = session_parts(0, n_bars=60)

    class Broken(FixedSignal):
        def stream(self, symbols, interval_ms):
            stream = super().stream(symbols, interval_ms)
            update = stream.update

            def refuse(bar):
                if stream.row == 30:
                    raise ContractError("49 features", found="48", fix="fit again")
                return update(bar)

            stream.update = refuse
            return stream

    with place.journal() as journal:
        session = place.session(journal, strategy=dataclasses.replace(place.strategy, signal=Broken(place.signal)))
        session.start()
        with pytest.raises(ContractError, match="48"):
            session.run()
        assert journal.latest("feature_mismatch").facts["error"].startswith("expected 49 features")
        counters = dict(read_tables(journal._database)["counters"])
    assert counters["event.bar"] == 30
    assert counters["event.feature_mismatch"] == 1


def test_what_the_gate_report_needs_is_in_every_bar(session_parts):
    place = session_parts(5, n_bars=200)
    with place.journal() as journal:
        session = place.session(journal)
        session.start()
        session.run()
        bars = [event.facts["bar"] for event in journal.replay() if event.kind == "bar"]
        days = read_tables(journal._database)["days"]
    side, proba, consensus = place.signal.side, place.signal.proba, place.signal.consensus
    sell, hold, buy = proba[..., 0], proba[..., 1], proba[..., 2]
    decided = (buy > np.maximum(hold, sell)) | (sell > np.maximum(hold, buy))
    for t, bar in enumerate(bars):
        signals = bar["signal"]
        assert signals["predictions"] == side.shape[1]
        assert (signals["buy"], signals["sell"]) == ((side[t] > 0).sum(), (side[t] < 0).sum())
        assert signals["decisions"] == decided[t].sum()
        assert signals["agreed"] == (decided[t] & (consensus[t] >= 0.7)).sum()
    equity = np.array([bar["account"]["equity"] for bar in bars])
    start, worst, peak = CASH, {}, {}
    for t, bar in enumerate(bars):
        day = bar["day"]["utc"]
        if day not in peak:
            peak[day], worst[day] = start if t == 0 else equity[t - 1], 0.0
        peak[day] = max(peak[day], equity[t])
        worst[day] = max(worst[day], 1.0 - equity[t] / peak[day])
    assert {row[0]: row[4] for row in days} == worst


def test_a_model_in_the_loop_survives_a_restart_bit_for_bit(session_parts, small_ensemble, strategy):
    place = session_parts(1, n_bars=1_760, n_symbols=2, resets=False, snapshot_every=7)
    source = small_ensemble(place.bars)
    chosen = strategy(source)
    history = place.bars.rows(0, 1_600)
    rows = place.bars.rows(1_600, 1_760)
    scanned = Scan(CASH).run(rows, source.signal(place.bars).rows(1_600, 1_760), chosen)
    start = np.datetime_as_string(np.datetime64(int(rows.open_time_ms[0]), "ms"))
    for _ in range(4):
        with place.journal() as journal:
            feed = ReplayFeed(place.bars, start=str(start), pace=None)
            session = place.session(journal, feed=feed, strategy=chosen, history=history)
            session.start()
            session.run(most_bars=40)
    with place.journal() as journal:
        assert_ledger_is(journal, scanned)
    assert len(scanned.orders) > 10


def test_a_session_on_real_markets_is_the_scan_bit_for_bit(session_parts, perps_5m, wild_signal, strategy):
    symbols = ("BTC", "ETH", "SOL", "OM", "TST")
    instrument = Instrument(0.0, 0.0, 10.0, 0.03, 1.5, 4.5)
    source = ParquetSource(perps_5m, symbols, instrument, "2025-06-07", "2025-06-09", "auto", 0.05, ())
    bars = source.history()
    signal = wild_signal(bars, 4)
    place = dataclasses.replace(session_parts(), bars=bars, signal=signal)
    scanned = Scan(CASH).run(bars, signal, place.strategy)
    with place.journal() as journal:
        session = place.session(journal)
        session.start()
        session.run()
        assert_ledger_is(journal, scanned)
    assert (bars.state == BarState.ZERO_VOLUME).any()  # the venue stopped on 8 June
    assert len(scanned.orders) > 100


def test_a_polled_feed_gives_the_session_that_a_replay_gives(session_parts):
    """Bars asked for at their close, through the same gate, journal and account."""
    place = session_parts(0, n_bars=80, stale_after_ms=60_000)
    scanned = Scan(CASH).run(place.bars, place.signal, place.strategy)
    bars = place.bars
    clock = FakeClock(int(bars.open_time_ms[0]) + bars.interval_ms)

    class Venue:
        def fetch(self, start_ms, end_ms):
            there = bars.open_time_ms + bars.interval_ms + 4_000 <= clock.now_ms()
            return [
                raw_bar(bars, int(t))
                for t in np.flatnonzero(there & (bars.open_time_ms >= start_ms) & (bars.open_time_ms < end_ms))
            ]

        def close(self):
            """There is no connection."""

    feed = PolledFeed(
        Venue(),
        interval_ms=bars.interval_ms,
        delay_ms=1_000,
        retry_ms=2_000,
        most_bars=10,
        skip_after_ms=3_600_000,
        clock=clock,
        sleep=lambda seconds: clock.advance(max(1, round(seconds * 1000))),
    )
    with place.journal() as journal:
        session = place.session(journal, feed=feed)
        session.start()
        session._engine.gate.state = dataclasses.replace(
            session._engine.gate.state, open_time_ms=int(bars.open_time_ms[0]) - bars.interval_ms
        )
        session.run(most_bars=80)
        assert_ledger_is(journal, scanned)
        lags = [e.facts["observed"]["lag_ms"] for e in journal.replay() if e.kind == "bar"]
    assert max(lags) <= 7_000
    assert place.alerts.sent == [] or all(alert.kind in ("daily_limit", "breaker") for alert in place.alerts.sent)


def test_a_session_warms_up_on_what_its_signal_needs_and_no_more(session_parts, small_ensemble, strategy):
    """The account of the whole history, though a hole lies across the first bar that the signal saw."""
    place = session_parts(1, n_bars=2_600, n_symbols=3)
    source = small_ensemble(place.bars)
    chosen = strategy(source, daily_loss_limit=None, breaker=None)
    first = 2_600 // 3 + 2 + source.warmup
    assert place.bars.state[first - source.warmup, 0] == BarState.FILLED
    scanned = Scan(CASH).run(place.bars.rows(first, 2_600), source.signal(place.bars).rows(first, 2_600), chosen)
    feed = ReplayFeed(place.bars, start=iso_utc(int(place.bars.open_time_ms[first])), pace=None)
    with place.journal() as journal:
        session = place.session(journal, feed=feed, strategy=chosen, history=place.bars.rows(0, first))
        session.start()
        assert journal.latest("began").facts["warmed_up_on"] == source.warmup
        session.run()
        assert_ledger_is(journal, scanned)
    assert len(scanned.orders) > 10
