"""A symbol that is gone while it is held, in a session: the backtest's settlement, whatever happens to the process."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from quantlab.backtest.scan import Scan
from quantlab.core.events import BarInputs, RawBar
from quantlab.core.market import BarState
from quantlab.core.results import OrderReason
from quantlab.data.quality.gate import MAX_FILLED, QualityGate
from quantlab.execution.journal.projections import read_tables
from quantlab.trading.lowlevel.layout import ABSENT_BARS, UNITS

CASH = 10_000.0
GONE, AFTER = 120, 9  # the first bar without the symbol; absent bars until it is settled
ENDS = GONE + MAX_FILLED + AFTER - 1


@pytest.fixture
def place(session_parts):
    """The parts of a session whose first symbol is held without exits when its last bar has gone by."""
    parts = session_parts(3, n_bars=160, n_symbols=2, resets=False, snapshot_every=5)
    bars, signal = parts.bars, parts.signal
    raw = np.where(bars.printed[:, :, None], bars.ohlcv, np.nan)
    raw[GONE:, 0] = np.nan
    gate = QualityGate(bars.symbols, bars.instruments, bars.interval_ms)
    _, bars = gate.run(gate.begin(), raw, bars.open_time_ms, bars.funding)
    given = {name: getattr(signal, name).copy() for name in ("side", "stop_distance", "take_distance")}
    given["side"][GONE - 40 :, 0] = 0
    given["side"][GONE - 5, 0] = 1
    given["stop_distance"][:, 0] = given["take_distance"][:, 0] = np.inf
    return dataclasses.replace(parts, bars=bars, signal=dataclasses.replace(signal, **given))


@pytest.fixture
def chosen(place):
    """The session's strategy, which gives a symbol up after a few bars, and halts for nothing."""
    one = place.strategy
    limits = dataclasses.replace(one.limits, daily_loss_limit=None, breaker=None, max_positions=2)
    return dataclasses.replace(one, limits=limits, costs=dataclasses.replace(one.costs, delisted_after_bars=AFTER))


def test_a_session_that_is_restarted_within_a_count_settles_as_the_backtest_does(place, chosen):
    scanned = Scan(CASH).run(place.bars, place.signal, chosen)
    assert scanned.orders["idx"][scanned.reasons == OrderReason.DELISTED].tolist() == [ENDS]
    assert place.bars.state[ENDS, 0] == BarState.ABSENT
    counts = []
    for most in (GONE, MAX_FILLED + 2, 1, 3, 1, 1, 100):
        with place.journal() as journal:
            session = place.session(journal, strategy=chosen)
            session.start()
            positions = session._engine.account.state.positions
            counts.append((positions[ABSENT_BARS, 0], positions[UNITS, 0] != 0.0))
            session.run(most_bars=most)
    assert counts == [(0, False), (0, True), (2, True), (3, True), (6, True), (7, True), (8, True)]
    with place.journal() as journal:
        tables = read_tables(journal._database)
    assert [row[1] for row in tables["equity"]] == scanned.equity.tolist()
    fills = [(row[2], row[4], row[5], row[6], row[7]) for row in tables["fills"]]
    assert fills == [
        (place.bars.symbols[o["col"]], float(o["size"]), float(o["price"]), float(o["fees"]), OrderReason(r).name)
        for o, r in zip(scanned.orders, scanned.reasons, strict=True)
    ]
    assert dict(tables["counters"])["fill.DELISTED"] == 1


def test_the_account_after_the_settlement_is_free_of_the_symbol(place, chosen):
    with place.journal() as journal:
        session = place.session(journal, strategy=chosen)
        session.start()
        session.run(most_bars=ENDS + 1)
        engine = session._engine
        assert place.bars.symbols[0] not in engine.broker.account().units
        before = engine.account.state.positions.copy()
        row = np.full((2, 5), np.nan)
        facts, _ = engine.process(RawBar(engine.last_ms + place.bars.interval_ms, row), BarInputs())
        assert facts["fills"] == []
        assert engine.account.state.positions[ABSENT_BARS, 0] == before[ABSENT_BARS, 0]
