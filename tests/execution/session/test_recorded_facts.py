"""Facts that pages about a session need: levels, votes, slippage, alerts and seconds, against independent oracles."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from quantlab.backtest.scan import Scan
from quantlab.core.errors import ArtifactError
from quantlab.core.events import Event
from quantlab.core.fakes import FixedSignal, ListFeed, MemoryJournal
from quantlab.core.types import Votes
from quantlab.execution.feeds.replay import ReplayFeed, raw_bar
from quantlab.execution.journal.projections import read_tables
from quantlab.execution.session.votes import votes_event, votes_of
from quantlab.jobs.parity.account_record import count_differing, record_of_backtest, record_of_journal

CASH = 10_000.0


def bars_of(journal):
    return [event.facts["bar"] for event in journal.replay() if event.kind == "bar"]


@pytest.fixture
def trailed(session_parts, strategy):
    """A market on which stops trail and move to the entry, and the strategy that asks for it."""
    place = session_parts(2, n_bars=250)
    close = np.nan_to_num(place.bars.close, nan=1.0)
    signal = dataclasses.replace(place.signal, trail_distance=0.005 * close, break_even_distance=0.004 * close)
    return dataclasses.replace(place, signal=signal), strategy(FixedSignal(signal))


def test_levels_and_distances_are_those_of_the_backtests_loop(trailed):
    """The backtest's own compiled loop, stopped after every bar, is the oracle; the session is stopped in between."""
    place, chosen = trailed
    for count in (120, 130):
        with place.journal() as journal:
            session = place.session(journal, strategy=chosen)
            session.start()
            assert session.run(most_bars=count) == count
    with place.journal() as journal:
        session = record_of_journal(journal.replay())
        last, table = bars_of(journal)[-1]["positions"], read_tables(journal._database)["positions"]
    backtest = record_of_backtest(place.bars, place.signal, chosen, Scan(CASH).run(place.bars, place.signal, chosen))
    assert count_differing(session, backtest) == {"orders": 0, "fills": 0, "risk_events": 0, "equity_marks": 0}
    positions = [position for mark in session.equity_marks for position in mark[-1]]
    assert all(sum(position[column] is not None for position in positions) > 20 for column in range(4, 8))
    assert max(position[8] for position in positions) > 3
    assert any(order[-2] is not None and order[-1] is not None for order in session.orders)
    assert [list(row) for row in table] == last


def test_a_fill_names_the_open_of_its_bar_and_the_close_that_it_was_decided_at(session_parts):
    place = session_parts(4, n_bars=250)
    with place.journal() as journal:
        session = place.session(journal)
        session.start()
        session.run()
        bars, table = bars_of(journal), read_tables(journal._database)["fills"]
    ohlcv, column = place.bars.ohlcv, {symbol: s for s, symbol in enumerate(place.bars.symbols)}
    fills = [(t, fill) for t, bar in enumerate(bars) for fill in bar["fills"]]
    for t, fill in fills:
        s = column[fill["symbol"]]
        assert fill["open"] == ohlcv[t, s, 0]
        assert fill["decided"] == (ohlcv[t - 1, s, 3] if fill["reason"] in ("SIGNAL", "FLATTEN") else None)
        if fill["reason"] == "SIGNAL":  # the assumed slippage, and at most a tick more
            assert abs(fill["price"] / fill["open"] - 1.0) <= 2e-4 + 0.01 / fill["open"]
    reasons = {fill["reason"] for _, fill in fills}
    assert {"SIGNAL", "STOP", "TAKE_PROFIT"} <= reasons
    assert [row[8:] for row in table] == [(fill["open"], fill["decided"]) for _, fill in fills]


def test_votes_pool_to_the_signal_that_was_journalled(session_parts, small_ensemble, strategy):
    """Pooled here without the kernel: weighted mean over the live members, and what the bar's entry counts of it."""
    place = session_parts(1, n_bars=1_760, n_symbols=3, resets=False, snapshot_every=25)
    source, first = small_ensemble(place.bars), 1_700
    chosen = strategy(source, daily_loss_limit=None, breaker=None)
    feed = ReplayFeed(place.bars, start=np.datetime64(int(place.bars.open_time_ms[first]), "ms"), pace=None)
    for count in (33, 27):
        with place.journal() as journal:
            session = place.session(journal, feed=feed, strategy=chosen, history=place.bars.rows(0, first))
            session.start()
            session.run(most_bars=count)
    with place.journal() as journal:
        entries = [event for event in journal.replay() if event.kind == "votes"]
        bars = bars_of(journal)
    assert [event.facts["open_ms"] for event in entries] == [bar["open_ms"] for bar in bars]
    assert {len(event.payload) for event in entries} == {4 * 3 * 3 * 3}
    last = 0
    for event, bar in zip(entries, bars, strict=True):
        votes, known = votes_of(event), bar["signal"]
        assert votes.names == ("one", "three", "stuck")
        assert votes.alive == (True, True, False)
        live = np.isfinite(votes.proba).all(axis=2) & np.array(votes.alive)[:, None]
        weights = np.array(votes.weights)[:, None] * live
        pooled = (np.nan_to_num(votes.proba) * weights[..., None]).sum(axis=0) / weights.sum(axis=0)[:, None]
        choice, own = pooled.argmax(axis=1), votes.proba.argmax(axis=2)
        decided = choice != 1
        agreed = (weights * (own == choice)).sum(axis=0) / weights.sum(axis=0)
        assert known["predictions"] == 3
        assert known["live_members"] == live.sum(axis=0).max() == 2
        assert known["decisions"] == decided.sum()
        assert known["confidence_sum"] == pytest.approx(pooled.max(axis=1)[decided].sum(), abs=1e-6)
        assert known["consensus_sum"] == pytest.approx(agreed[decided].sum(), abs=1e-9)
        last += known["decisions"]
    assert last > 20


def test_votes_come_back_from_their_entry_and_broken_ones_are_refused():
    proba = np.array([[[0.1, 0.2, 0.7], [np.nan] * 3]], np.float32)
    event = votes_event(7, Votes(("a",), (1.0,), (True,), proba))
    again = votes_of(event)
    assert (again.names, again.weights, again.alive) == (("a",), (1.0,), (True,))
    assert again.proba.tobytes() == proba.tobytes()
    for payload in (event.payload[:-1], event.payload[:-4]):
        with pytest.raises(ArtifactError, match="three forecasts of 1 members"):
            votes_of(Event("votes", event.facts, payload))


def test_a_signal_without_members_has_no_votes(session_parts):
    place, memory = session_parts(0, n_bars=20), MemoryJournal()
    session = place.session(memory)
    session.start()
    session.run()
    assert memory.latest("votes") is None


def test_what_a_person_was_alerted_of_is_journalled_once(session_parts):
    """A bar that was dropped, and a print that looks wrong: no other entry says so."""
    place = session_parts(0, n_bars=30, resets=False)
    raws = [raw_bar(place.bars, t) for t in range(30)]
    wrong = raws[4].ohlcv.copy()
    wrong[0, :4] *= 1.0001
    far = raws[20].ohlcv.copy()
    far[1, :4] *= 8.0
    raws[20] = dataclasses.replace(raws[20], ohlcv=far)
    feed = ListFeed([*raws[:6], dataclasses.replace(raws[4], ohlcv=wrong), *raws[6:]], place.bars.interval_ms)
    memory = MemoryJournal()
    session = place.session(memory, feed=feed)
    session.start()
    session.run()
    entries = [event for event in memory.replay() if event.kind == "alerted"]
    silent = [alert for alert in place.alerts.sent if alert.kind in ("corrected", "suspect_bar")]
    assert [event.facts for event in entries] == [
        {"kind": alert.kind, "message": alert.message, "at_ms": alert.time_ms} for alert in silent
    ]
    assert {event.facts["kind"] for event in entries} == {"corrected", "suspect_bar"}


def test_seconds_of_decision_and_commit_are_observed_and_no_restart_compares_them(session_parts):
    place, memory = session_parts(0, n_bars=30, snapshot_every=1_000), MemoryJournal()
    ticks = itertools.count()
    session = place.session(memory, counter_seconds=lambda: float(next(ticks)))
    session.start()
    session.run(most_bars=10)
    seconds = [event.facts["observed"]["seconds"] for event in memory.replay() if event.kind == "bar"]
    assert seconds == [{"decide": 1.0, "commit": None if t == 0 else 1.0} for t in range(10)]
    again = place.session(memory, counter_seconds=lambda: 3.0 * next(ticks))
    assert again.start() == 10
    again.run(most_bars=1)
    assert memory.latest("bar").facts["observed"]["seconds"] == {"decide": 3.0, "commit": None}
