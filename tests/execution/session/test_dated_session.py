"""A session over trading rules that change: the scan bit for bit, through restarts, and never by other rules."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from quantlab.backtest.scan import Scan
from quantlab.core.errors import ConfigError
from quantlab.core.market import RuleChange
from quantlab.execution.feeds.replay import ReplayFeed
from quantlab.execution.journal.projections import read_tables
from quantlab.execution.session.engine import Market

CASH = 10_000.0


def dated(bars, rows, **rules):
    """Every symbol's rules are others from these rows on, each time with double the fees."""
    changes = [
        RuleChange(
            int(bars.open_time_ms[row]),
            symbol,
            dataclasses.replace(before, **rules, taker_fee_bps=before.taker_fee_bps * 2.0 ** (k + 1)),
        )
        for k, row in enumerate(rows)
        for symbol, before in zip(bars.symbols, bars.instruments, strict=True)
    ]
    return dataclasses.replace(bars, rule_changes=tuple(changes))


@pytest.fixture
def place(session_parts):
    """Changes at rows 40, 41 and 70; positions are held over the first two."""
    parts = session_parts(6, snapshot_every=23)
    return dataclasses.replace(parts, bars=dated(parts.bars, (40, 41, 70), tick=0.05, lot=0.01))


def run(place, most_bars=None, **given):
    with place.journal() as journal:
        session = place.session(journal, **given)
        repeated = session.start()
        session.run(most_bars=most_bars)
        return repeated


def test_the_session_is_the_scan_through_restarts_at_and_beside_a_change(place):
    scanned = Scan(CASH).run(place.bars, place.signal, place.strategy)
    plain = dataclasses.replace(place.bars, rule_changes=())
    assert scanned.equity.tobytes() != Scan(CASH).run(plain, place.signal, place.strategy).equity.tobytes()
    assert (scanned.gross[[39, 40]] > 0.0).all()  # held into the first bars of new rules
    for most in (30, 9, 1, 1, 5, 23, 1, None):  # the next row is 30, 39, 40, 41, 46, 69, 70
        run(place, most)
    with place.journal() as journal:
        found = read_tables(journal._database)
        observed = [event.facts["observed"]["instruments"] for event in journal.replay() if event.kind == "bar"]
    assert [row[1] for row in found["equity"]] == scanned.equity.tolist()
    assert [row[5:7] for row in found["fills"]] == [
        (float(order["price"]), float(order["fees"])) for order in scanned.orders
    ]
    assert [observed.index(one) for one in dict.fromkeys(observed)] == [0, 40, 41, 70]


def test_a_crash_between_two_rules_repeats_the_bars_by_their_own(place):
    """The last snapshot lies before the change: its bars are repeated over it, to the journalled facts."""
    with place.journal() as journal:
        session = place.session(journal)
        session.start()
        session.run(most_bars=45)  # no snapshot at the end: the process dies
    assert run(place) == 45 - 23


def test_other_rules_of_the_last_bar_are_refused_and_later_ones_may_be_added(place):
    bars = place.bars
    run(place, 50)
    without = dataclasses.replace(bars, rule_changes=())
    with place.journal() as journal, pytest.raises(ConfigError, match="the session's instruments as it is journalled"):
        place.session(journal, market=Market.of(without)).start()
    other = dataclasses.replace(bars, rule_changes=dated(bars, (40, 41), tick=0.01, lot=0.01).rule_changes)
    with place.journal() as journal, pytest.raises(ConfigError, match="the session's instruments as it is journalled"):
        place.session(journal, market=Market.of(other)).start()
    added = (*bars.rule_changes, RuleChange(int(bars.open_time_ms[75]), "S0", bars.instruments[0]))
    more = dataclasses.replace(bars, rule_changes=added)
    assert run(place, market=Market.of(more), feed=ReplayFeed(more, start=None, pace=None)) >= 0
    ours = Scan(CASH).run(more, place.signal, place.strategy)
    with place.journal() as journal:
        equity = [row[1] for row in read_tables(journal._database)["equity"]]
    assert equity == ours.equity.tolist()
    assert not np.array_equal(ours.equity, Scan(CASH).run(bars, place.signal, place.strategy).equity)


def test_a_session_without_dates_journals_what_it_always_did(session_parts):
    place = session_parts(3, n_bars=40)
    run(place)
    with place.journal() as journal:
        assert "instruments" not in journal.latest("bar").facts["observed"]


def test_warm_up_and_first_bar_each_follow_their_own_rules(place):
    """A session that begins after a change trades by the rules of its own time."""
    bars, first = place.bars, 60
    start = np.datetime_as_string(np.datetime64(int(bars.open_time_ms[first]), "ms"))
    rows = bars.rows(first, bars.n_bars)
    scanned = Scan(CASH).run(rows, place.signal.rows(first, bars.n_bars), place.strategy)
    feed = ReplayFeed(bars, start=str(start), pace=None)
    parts = dataclasses.replace(place, signal=place.signal.rows(first, bars.n_bars))
    run(parts, feed=feed, history=None)
    with place.journal() as journal:
        assert [row[1] for row in read_tables(journal._database)["equity"]] == scanned.equity.tolist()
