"""Unsound numbers that a feed brings: they are missing, counted, journalled and alerted, and the session goes on."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from quantlab.core.errors import DataError
from quantlab.core.events import RawBar
from quantlab.core.fakes import ListFeed
from quantlab.core.market import Funding
from quantlab.data.quality.gate import MAX_JUMP
from quantlab.execution.feeds.replay import raw_bar
from quantlab.execution.journal.reader import read_session
from quantlab.execution.session.refused_cells import RefusalAlerts, RefusedCell
from quantlab.jobs.config.composition import build, compose
from quantlab.jobs.session.status import status_facts, status_tables

#: Bars that the kernels refuse, by the bar and the symbol that they come with.
HUGE = [1e101, 1e101, 1e101, 1e101, 1.0]
UNSOUND = {
    (30, 0): HUGE,
    (31, 0): [1e-101, 1e-101, 1e-101, 1e-101, 1.0],
    (32, 1): [100.0, 101.0, 99.0, 100.0, 1e101],
    (33, 1): [100.0, np.inf, 99.0, 100.0, 1.0],
    (34, 0): [100.0, 99.0, 98.0, 100.0, 1.0],
}
DAY_MS = 86_400_000


def with_cells(raw: RawBar, cells) -> RawBar:
    ohlcv = raw.ohlcv.copy()
    for symbol, numbers in cells.items():
        ohlcv[symbol] = numbers
    return dataclasses.replace(raw, ohlcv=ohlcv)


def with_rates(raw: RawBar, rates) -> RawBar:
    """A bar whose rates of some symbols are replaced, where any is due."""
    if not len(raw.funding.time_ms):
        return raw
    rate = raw.funding.rate.copy()
    for symbol, value in rates.items():
        rate[:, symbol] = value
    return dataclasses.replace(raw, funding=Funding(raw.funding.time_ms, rate))


def bars_of(journal):
    return [event.facts["bar"] for event in journal.replay() if event.kind == "bar"]


def run(place, raws, *, stops=(), folder="session", **parts):
    """The journalled facts of every bar, with restarts after so many raw bars, and the counters."""
    place = dataclasses.replace(place, folder=place.folder.with_name(folder))
    for stop in (*stops, len(raws)):
        with place.journal() as journal:
            session = place.session(journal, feed=ListFeed(raws[:stop], place.bars.interval_ms), **parts)
            session.start()
            session.run()
            facts = bars_of(journal)
            counters = dict(journal._database.execute("SELECT * FROM counters"))
    return facts, counters


def test_a_bar_that_no_kernel_takes_is_missing_and_the_session_goes_on_and_starts_again(
    session_parts, small_ensemble, strategy
):
    """A price of 1e101 killed the session, and killed it again on the same bar at every start."""
    place = session_parts(0, n_bars=60, n_symbols=2, resets=False, snapshot_every=20)
    clean = [raw_bar(place.bars, t) for t in range(place.bars.n_bars)]
    cells = {t: {s: numbers for (at, s), numbers in UNSOUND.items() if at == t} for t in {t for t, _ in UNSOUND}}
    broken = [with_cells(raw, cells.get(t, {})) for t, raw in enumerate(clean)]
    holes = [with_cells(raw, dict.fromkeys(cells.get(t, {}), np.nan)) for t, raw in enumerate(clean)]
    parts = {"strategy": strategy(small_ensemble(place.bars))}
    expected, _ = run(place, holes, folder="holes", **parts)
    found, counters = run(place, broken, **parts)
    assert len(found) == 60
    assert found == expected
    assert counters["bar_gate.malformed_cell"] == len(UNSOUND)
    again, counters = run(place, broken, stops=(31, 33), folder="again", **parts)
    assert again == expected
    assert counters["bar_gate.malformed_cell"] == len(UNSOUND)


def test_an_account_that_trades_is_the_one_without_those_cells_and_everybody_hears_of_it(session_parts):
    place = session_parts(0, n_bars=120, resets=False)
    clean = [raw_bar(place.bars, t) for t in range(place.bars.n_bars)]
    broken = [with_cells(raw, {2: HUGE} if 60 <= t < 100 else {}) for t, raw in enumerate(clean)]
    holes = [with_cells(raw, {2: np.nan} if 60 <= t < 100 else {}) for t, raw in enumerate(clean)]
    expected, _ = run(place, holes, folder="holes")
    place.alerts.sent.clear()
    found, counters = run(place, broken)
    assert found == expected
    assert sum(len(bar["fills"]) for bar in found) > 50
    assert counters["bar_gate.malformed_cell"] == 40
    assert counters["event.malformed_cell"] == 1  # not once a bar
    [alert] = [alert for alert in place.alerts.sent if alert.kind == "malformed_cell"]
    assert "S2: a price or volume that is not between 1e-100 and 1e+100 (open 1e+101" in alert.message
    view = read_session(place.folder.with_name("session") / "journal.db", check=True)
    assert status_facts(view, 0)["counters"]["bar_gate.malformed_cell"] == 40


def test_an_unsound_cell_that_comes_again_is_a_repetition_and_no_correction(session_parts):
    place = session_parts(0, n_bars=40, resets=False)
    raws = [raw_bar(place.bars, t) for t in range(40)]
    raws[20] = with_cells(raws[20], {1: HUGE})
    _, counters = run(place, [*raws[:21], raws[20], *raws[21:]])
    assert counters["bar_gate.duplicate"] == 1
    assert "bar_gate.corrected" not in counters
    assert counters["bar_gate.malformed_cell"] == 1


@pytest.mark.parametrize("rate", [-1_000.0, np.inf, -np.inf, 0.050001])
def test_an_unsound_funding_rate_is_charged_to_nobody(session_parts, rate):
    """A rate of -1000 made 598,782 USD of 10,000, and one of infinity an account without a number."""
    place = session_parts(0, n_bars=120, resets=False)
    clean = [raw_bar(place.bars, t) for t in range(place.bars.n_bars)]
    bad, none = dict.fromkeys(range(4), rate), dict.fromkeys(range(4), np.nan)
    broken = [with_rates(raw, bad if t >= 6 else {}) for t, raw in enumerate(clean)]
    unknown = [with_rates(raw, none if t >= 6 else {}) for t, raw in enumerate(clean)]
    stamps = sum(len(raw.funding.time_ms) for raw in clean[6:])
    expected, counters = run(place, unknown, folder="unknown")
    assert "bar_gate.malformed_rate" not in counters  # a rate that the venue does not have is no fault
    held = [bar for bar, raw in zip(expected[6:], clean[6:], strict=True) if len(raw.funding.time_ms)]
    assert any(bar["positions"] for bar in held)
    place.alerts.sent.clear()
    found, counters = run(place, broken, stops=(20, 75))
    assert found == expected
    assert 9_000.0 < found[-1]["account"]["equity"] < 11_000.0
    assert found[-1]["account"]["cash"] is not None
    assert counters["bar_gate.malformed_rate"] == 4 * stamps
    alerts = [alert for alert in place.alerts.sent if alert.kind == "malformed_rate"]
    assert len(alerts) == counters["event.malformed_rate"] == 3  # one of each process, for all symbols
    assert f"S0: a funding rate of {rate:g} at 2025-03-16T01:00:00Z" in alerts[0].message
    view = read_session(place.folder.with_name("session") / "journal.db", check=True)
    assert json.loads(json.dumps(status_facts(view, 0)))["counters"]["bar_gate.malformed_rate"] == 4 * stamps
    assert any("bar_gate.malformed_rate" in table.columns[0]._cells for table in status_tables(view, None))


def test_the_largest_sound_rate_is_charged(session_parts):
    place = session_parts(0, n_bars=60, resets=False)
    raws = [with_rates(raw_bar(place.bars, t), {0: 0.05, 1: -0.05}) for t in range(60)]
    _, counters = run(place, raws)
    assert "bar_gate.malformed_rate" not in counters


def test_rates_of_another_market_are_refused_with_their_bar(session_parts):
    place = session_parts(0, n_bars=40, resets=False)
    raws = [raw_bar(place.bars, t) for t in range(40)]
    stamp = np.array([raws[20].open_time_ms])
    raws[20] = dataclasses.replace(raws[20], funding=Funding(stamp, np.zeros((1, 3))))
    found, counters = run(place, raws)
    assert counters["bar_gate.malformed"] == 1
    assert counters["bar_gate.missing"] == 1
    assert len(found) == 40


def test_prices_at_the_bounds_are_taken_without_a_warning(session_parts):
    """Warnings are errors in these tests."""
    place = session_parts(0, n_bars=60, resets=False)
    edges = ([1e100] * 5, [1e-100] * 5, [1e-100, 1e100, 1e-100, 1e100, 0.0])
    raws = [with_cells(raw_bar(place.bars, t), {3: edges[t % 3]} if t >= 20 else {}) for t in range(60)]
    found, counters = run(place, raws)
    assert len(found) == 60
    assert "bar_gate.malformed_cell" not in counters


def test_alerts_come_once_a_day_for_each_symbol_and_kind():
    alerts = RefusalAlerts(DAY_MS)
    cells = [RefusedCell("malformed_cell", name, 0, "x") for name in ("A", "B")]
    [first] = alerts.events(cells)
    assert [cell["symbol"] for cell in first.facts["cells"]] == ["A", "B"]
    later = [dataclasses.replace(cells[0], open_ms=DAY_MS - 1)]
    assert alerts.events(later) == []
    assert len(alerts.events([dataclasses.replace(later[0], kind="malformed_rate")])) == 1
    assert len(alerts.events([dataclasses.replace(cells[0], symbol="C")])) == 1
    assert len(alerts.events([dataclasses.replace(cells[0], open_ms=DAY_MS)])) == 1


@pytest.mark.parametrize("name", ["data.largest_funding_rate", "data.source.largest_funding_rate"])
def test_a_session_takes_the_cap_of_its_data_and_the_doctor_the_sessions_limit(name):
    """What was tested with a rate must be charged it, and one offset must not be called two names."""
    data = ("data=universe",) if "source" in name else ("data=parquet", "data.root=x")
    cfg = compose("job=doctor", *data, f"{name}=0.2", "execution.session.clock_limit_ms=900")
    assert build(cfg.execution.session).largest_funding_rate == 0.2
    assert cfg.job.clock_limit_ms == build(cfg.execution.session).clock_limit_ms == 900
    assert build(compose("job=paper").execution.session).largest_funding_rate == 0.05


def test_a_session_that_missed_too_much_says_so_and_ends(session_parts):
    """Every bar was dropped, with an alert each, for ever. One bar far ahead is still a wrong stamp."""
    place = session_parts(0, n_bars=60, resets=False)
    step, raws = place.bars.interval_ms, [raw_bar(place.bars, t) for t in range(60)]

    def moved(t, steps):
        return dataclasses.replace(raws[t], open_time_ms=raws[t].open_time_ms + steps * step, funding=None)

    found, counters = run(place, [*raws[:20], moved(20, MAX_JUMP), *raws[20:30]], folder="stamp")
    assert counters["bar_gate.malformed"] == 1
    assert len(found) == 30
    place.alerts.sent.clear()
    with pytest.raises(DataError, match=r"at most 10,000 after .* 10,001 bars later.*Begin a session in a new folder"):
        run(place, [*raws[:20], *(moved(t, MAX_JUMP) for t in range(20, 40))])
    assert [alert.kind for alert in place.alerts.sent][-2:] == ["malformed", "gap_too_long"]
    found, counters = run(place, [*raws[:20], moved(20, 30)], folder="hole")
    assert len(found) == 51
    assert counters["bar_gate.missing"] == 30
