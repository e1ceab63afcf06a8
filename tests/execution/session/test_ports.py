"""A session runs with every stand-in of ``core/fakes`` in place of a real part, and comes to the same account."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quantlab.core import fakes, ports
from quantlab.core.clock import SystemClock
from quantlab.core.events import Event
from quantlab.core.market import Bars, Instrument
from quantlab.core.results import OrderReason
from quantlab.data.synthetic.source import SyntheticSource
from quantlab.execution.alerts import LogAlerts
from quantlab.execution.feeds.polled import PolledFeed
from quantlab.execution.feeds.replay import ReplayFeed, raw_bar
from quantlab.execution.journal.sqlite import SqliteJournal
from quantlab.execution.session.engine import Market
from quantlab.execution.session.handover import Release, release_of
from quantlab.execution.session.paper_broker import PaperBroker
from quantlab.execution.session.rules import SessionRules
from quantlab.execution.session.session import Session
from quantlab.trading import FileSignal
from quantlab.trading.account.venue_facts import FloatFill, facts_in_floats

#: What a session and the code that starts one are built of.
SESSION_PORTS = {
    "AlertSink",
    "BarFeed",
    "BarFetcher",
    "Broker",
    "Clock",
    "DataSource",
    "Journal",
    "ReleaseSource",
    "SignalSource",
}

CASH, N_BARS, WARM_UP, STOP = 10_000.0, 288, 30, 131
INSTRUMENT = Instrument(
    tick=0.01, lot=0.001, min_notional=10.0, maintenance_margin_rate=0.03, maker_fee_bps=1.5, taker_fee_bps=4.5
)


def stand_ins() -> dict[str, str]:
    """The fakes that name a port of a session in their first sentence, and that port."""
    found = {}
    for name in fakes.__all__:
        named = re.search(r":class:`~quantlab\.core\.ports\.(\w+)`", getattr(fakes, name).__doc__ or "")
        if named is not None and named[1] in SESSION_PORTS:
            found[name] = named[1]
    return found


@dataclasses.dataclass
class Parts:
    """The real parts of a session on one synthetic market; a test replaces one of them."""

    folder: Path
    bars: Bars
    strategy: Any
    history: Bars
    feed: Callable[[], Any]
    alerts: Any
    journal: Callable[[], AbstractContextManager[Any]]
    releases: Any = None
    make_broker: Callable[[Any], Any] = PaperBroker

    def session(self, journal: Any) -> Session:
        return Session(
            self.strategy,
            Market.of(self.bars),
            feed=self.feed(),
            journal=journal,
            make_broker=self.make_broker,
            alerts=self.alerts,
            rules=SessionRules(
                50,
                None,
                largest_funding_rate=0.05,
                repeat_alert_ms=86_400_000,
                clock_every_ms=3_600_000,
                clock_limit_ms=1_500.0,
            ),
            initial_cash=CASH,
            history=self.history,
            releases=self.releases,
        )

    def outcome(self) -> list[dict[str, Any]]:
        """What is journalled of every bar: fills, decisions, equity. The session stops and recovers on the way."""
        with self.journal() as journal:
            session = self.session(journal)
            assert session.start() == 0
            assert session.run(most_bars=STOP) == STOP
        with self.journal() as journal:
            session = self.session(journal)
            assert session.start() == STOP % 50
            rest = self.bars.n_bars - WARM_UP - STOP
            assert session.run(most_bars=rest) == rest
            assert release_of(journal) == (None if self.releases is None else "b")
            return [event.facts["bar"] for event in journal.replay() if event.kind == "bar"]


def source(**fields: Any) -> SyntheticSource:
    given = {"seed": 5, "days": 1, "n_symbols": 3, "interval_ms": 300_000, "start": "2025-01-01", "edge": 1.0}
    return SyntheticSource(**given, late_listings=0, instrument=INSTRUMENT, **fields)


def written_signal(path: Path, bars: Bars) -> FileSignal:
    """A real source of signals: a parquet file with sides, stops and take-profits for a third of the cells."""
    rng = np.random.default_rng(3)
    row, column = np.nonzero((rng.random(bars.state.shape) < 1 / 3) & np.isfinite(bars.close))
    close = bars.close[row, column]
    table = {
        "timestamp": pa.array(bars.open_time_ms[row], pa.timestamp("ms", tz="UTC")),
        "symbol": [bars.symbols[s] for s in column],
        "side": pa.array(rng.integers(-1, 2, len(row)), pa.int8()),
        "confidence": rng.random(len(row)),
        "stop_distance": 0.004 * close,
        "take_distance": 0.008 * close,
    }
    pq.write_table(pa.table(table), path)
    return FileSignal(str(path), None)


@pytest.fixture
def parts(tmp_path, strategy) -> Parts:
    bars = source().history()
    start = str(np.datetime64(int(bars.open_time_ms[WARM_UP]), "ms"))
    return Parts(
        folder=tmp_path,
        bars=bars,
        strategy=strategy(written_signal(tmp_path / "signal.parquet", bars)),
        history=bars.rows(0, WARM_UP),
        feed=lambda: ReplayFeed(bars, start=start, pace=None),
        alerts=LogAlerts(),
        journal=lambda: SqliteJournal(tmp_path / "journal.db"),
    )


def raw_bars(parts: Parts) -> list[Any]:
    return [raw_bar(parts.bars, t) for t in range(parts.bars.n_bars)]


def polled(parts: Parts, clock: Any) -> PolledFeed:
    """Every bar at once: by the clock all of them have closed long ago."""
    fetcher = fakes.ListFetcher(raw_bars(parts))
    return PolledFeed(
        fetcher,
        interval_ms=parts.bars.interval_ms,
        delay_ms=1,
        retry_ms=1,
        most_bars=500,
        skip_after_ms=10**9,
        clock=clock,
        sleep=len,
    )


def with_alerts(parts: Parts) -> Parts:
    return dataclasses.replace(parts, alerts=fakes.MemoryAlerts())


def with_source(parts: Parts) -> Parts:
    memory = fakes.BarsSource(parts.bars)
    until = int(parts.bars.open_time_ms[WARM_UP])
    whole = memory.history()
    start = str(np.datetime64(until, "ms"))
    return dataclasses.replace(
        parts,
        bars=whole,
        history=memory.history(None, until),
        feed=lambda: ReplayFeed(whole, start=start, pace=None),
    )


def with_clock(parts: Parts) -> Parts:
    late = int(parts.bars.open_time_ms[-1]) + 10 * parts.bars.interval_ms
    return dataclasses.replace(parts, feed=lambda: polled(parts, fakes.FakeClock(late)))


def with_fetcher(parts: Parts) -> Parts:
    return dataclasses.replace(parts, feed=lambda: polled(parts, SystemClock()))


def with_feed(parts: Parts) -> Parts:
    items = [None, *raw_bars(parts), None]
    return dataclasses.replace(parts, feed=lambda: fakes.ListFeed(items, parts.bars.interval_ms))


def with_journal(parts: Parts) -> Parts:
    memory = fakes.MemoryJournal()
    return dataclasses.replace(parts, journal=lambda: nullcontext(memory))


def played(parts: Parts) -> Any:
    """The strategy on a signal that plays back what the file says."""
    signal = fakes.FixedSignal(parts.strategy.signal.signal(parts.bars))
    return dataclasses.replace(parts.strategy, signal=signal)


def with_signal(parts: Parts) -> Parts:
    return dataclasses.replace(parts, strategy=played(parts))


def with_releases(parts: Parts) -> Parts:
    """A release that says the same by another source takes over: nothing else may change."""
    release = Release("b", played(parts), {}, "a test")
    return dataclasses.replace(parts, releases=fakes.ListReleases("a", [*[None] * (STOP + 20), release]))


def reporting(bars: list[dict[str, Any]]) -> Callable[[Any], fakes.FakeBroker]:
    """Make brokers of a venue that reports every fill of journalled bars, in the bar that it fell in."""
    script = [
        (bar["open_ms"], Event("fill", {"order": i, **fill})) for bar in bars for i, fill in enumerate(bar["fills"])
    ]

    def make_broker(account: Any) -> fakes.FakeBroker:
        def settle(bar: Bars, facts: Sequence[Event]) -> None:
            fills = [
                FloatFill(
                    account.symbols.index(fact.facts["symbol"]),
                    fact.facts["side"] * fact.facts["units"],
                    fact.facts["price"],
                    fact.facts["fee"],
                    OrderReason[fact.facts["reason"]],
                    fact.facts["order"],
                )
                for fact in facts
            ]
            account.settle_facts(bar, facts_in_floats(fills, bar.n_symbols))

        return fakes.FakeBroker(settle, script)

    return make_broker


#: But for the broker: another venue fills otherwise.
STAND_INS = {
    "BarsSource": with_source,
    "FakeClock": with_clock,
    "FixedSignal": with_signal,
    "ListFeed": with_feed,
    "ListFetcher": with_fetcher,
    "ListReleases": with_releases,
    "MemoryAlerts": with_alerts,
    "MemoryJournal": with_journal,
}


def test_no_stand_in_of_a_session_is_left_out():
    assert set(stand_ins()) == {*STAND_INS, "FakeBroker"}
    assert set(stand_ins().values()) == SESSION_PORTS


@pytest.mark.parametrize("name", sorted(stand_ins()))
def test_a_stand_in_has_everything_that_its_port_names(name):
    port, fake = getattr(ports, stand_ins()[name]), getattr(fakes, name)
    named = {member for member in {*vars(port), *port.__annotations__} if not member.startswith("_")}
    assert named
    assert named <= {*dir(fake), *(field.name for field in dataclasses.fields(fake))}


@pytest.fixture
def expected(parts, tmp_path) -> list[dict[str, Any]]:
    """The outcome of the session on real parts."""
    found = dataclasses.replace(parts, journal=lambda: SqliteJournal(tmp_path / "real.db")).outcome()
    assert sum(len(bar["fills"]) for bar in found) > 50
    assert any(fill["reason"] == "STOP" for bar in found for fill in bar["fills"])
    return found


@pytest.mark.parametrize("name", sorted(STAND_INS))
def test_a_session_comes_to_the_same_account_with_a_stand_in(name, parts, expected):
    assert STAND_INS[name](parts).outcome() == expected


def test_a_session_comes_to_the_same_account_with_a_fake_broker_that_reports_its_fills(parts):
    """Without funding, of which a session journals the sum alone; a venue does not count for us what it cuts off."""
    bars = dataclasses.replace(parts.bars, funding=None)
    start = str(np.datetime64(int(bars.open_time_ms[WARM_UP]), "ms"))
    parts = dataclasses.replace(
        parts, bars=bars, history=bars.rows(0, WARM_UP), feed=lambda: ReplayFeed(bars, start=start, pace=None)
    )
    real = dataclasses.replace(parts, journal=lambda: SqliteJournal(parts.folder / "real.db")).outcome()
    assert sum(len(bar["fills"]) for bar in real) > 50
    assert any(fill["reason"] == "STOP" for bar in real for fill in bar["fills"])
    told = dataclasses.replace(parts, make_broker=reporting(real)).outcome()
    assert without_cuts(told) == without_cuts(real)


def without_cuts(bars: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**bar, "counts": {name: n for name, n in bar["counts"].items() if not name.startswith("cut.")}} for bar in bars
    ]


def test_a_session_whose_broker_reports_nothing_fills_nothing(parts):
    made = []

    def make_broker(account: Any) -> fakes.FakeBroker:
        made.append(fakes.FakeBroker(lambda bar, facts: account.settle_facts(bar, facts_in_floats([], bar.n_symbols))))
        return made[-1]

    found = dataclasses.replace(parts, make_broker=make_broker).outcome()
    assert {bar["account"]["equity"] for bar in found} == {CASH}
    assert len(made[0].submitted) == len(made[0].synced) == STOP
    assert made[1].submitted[0] == made[0].submitted[-1]  # the last decision, sent again
    assert sum(len(decision.legs) for decision in made[0].submitted) > 50


def test_and_with_all_of_them_at_once(parts, expected):
    """The signal that is played back takes over on the way, and warms up on the journal in memory."""
    for name in ("BarsSource", "ListFeed", "ListReleases", "MemoryAlerts", "MemoryJournal"):
        parts = STAND_INS[name](parts)
    assert parts.outcome() == expected
    assert {alert.kind for alert in parts.alerts.sent} <= {"switched", "daily_limit", "breaker", "suspect_bar"}


def test_the_memory_journal_refuses_and_returns_what_the_real_one_does(tmp_path):
    """Numbers from 1, strict JSON, all or none."""
    first = [Event("drift", {"row": (1, 2.5)}, b"x"), Event("note", {})]
    bad = [Event("note", {}), Event("note", {"value": float("nan")})]
    with SqliteJournal(tmp_path / "j.db") as real:
        for journal in (real, fakes.MemoryJournal()):
            journal.append(first)
            journal.append([Event("drift", {"row": [3]}, b"y")])
            with pytest.raises(ValueError, match="JSON"):
                journal.append(bad)
            assert [(e.seq, e.kind, e.facts, e.payload) for e in journal.replay(1)] == [
                (2, "note", {}, b""),
                (3, "drift", {"row": [3]}, b"y"),
            ]
            assert [event.facts for event in journal.newest("drift", None)] == [{"row": [1, 2.5]}, {"row": [3]}]
            assert [event.seq for event in journal.newest("drift", 1)] == [3]
            assert journal.newest("snapshot", 2) == []
            assert journal.latest("drift").seq == 3
            assert journal.latest("began") is None
