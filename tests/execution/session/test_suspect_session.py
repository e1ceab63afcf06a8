"""Suspect prints in a session: the backtest's flags, fills and marks, bit for bit, whatever happens to the process."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from quantlab.backtest.scan import Scan
from quantlab.execution.feeds.replay import ReplayFeed
from quantlab.execution.journal.projections import read_tables
from quantlab.execution.session.bar_gate import gate_state_after

CASH = 10_000.0


@pytest.fixture
def place(session_parts, false_prints):
    def make(seed: int, **given: object):
        parts = session_parts(seed, **given)
        return dataclasses.replace(parts, bars=false_prints(parts.bars, seed))

    return make


def equities(journal) -> list[float]:
    return [row[1] for row in read_tables(journal._database)["equity"]]


@pytest.mark.parametrize("seed", range(3))
def test_a_session_in_pieces_holds_what_the_backtest_holds(place, seed):
    parts = place(seed, snapshot_every=7)
    scanned = Scan(CASH).run(parts.bars, parts.signal, parts.strategy)
    trusting = Scan(CASH).run(dataclasses.replace(parts.bars, suspect=None), parts.signal, parts.strategy)
    assert (parts.bars.suspect == 2).sum() > 3
    assert scanned.cuts["suspect"] > 0
    assert scanned.equity[-1] != trusting.equity[-1]
    rng = np.random.default_rng(seed)
    done = 0
    while done < parts.bars.n_bars:
        with parts.journal() as journal:
            session = parts.session(journal)
            session.start()
            done += session.run(most_bars=int(rng.integers(1, 90)))
    with parts.journal() as journal:
        assert equities(journal) == scanned.equity.tolist()


def test_a_session_after_a_warm_up_flags_as_the_backtest_does(place):
    parts = place(4)
    cut = 340
    history = parts.bars.rows(0, cut)
    with parts.journal() as journal:
        feed = ReplayFeed(parts.bars, start=None, pace=None)
        session = parts.session(journal, feed, history=history)
        session.start()
        gate = session._engine.gate
        state = gate_state_after(history)
        for ours, theirs in zip(gate.state.holds, state.holds, strict=True):
            assert np.array_equal(ours, theirs, equal_nan=True)
        session.run()
        after = gate_state_after(parts.bars)
        for name in ("closes", "agreed", "length"):
            assert np.array_equal(getattr(gate.state.holds, name), getattr(after.holds, name), equal_nan=True), name
