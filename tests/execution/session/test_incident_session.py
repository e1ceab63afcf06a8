"""The incident replayed through a real session: feed, gate, features, stream, broker and journal on the market's clock.

Seven stops in 42 minutes, 15.81 % of the account: a model that was fed with 22 columns in place of 49 said BUY, again
and again, and each position was the whole account and lost 2.43 % at its stop. `tests/trading/bar/test_incident.py` has the
same through the backtest. Here it begins at 23:00 UTC, and the model does not change its mind at midnight.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantlab.backtest.scan import Scan
from quantlab.core.clock import iso_utc, parse_utc
from quantlab.core.errors import ContractError
from quantlab.core.fakes import MemoryAlerts
from quantlab.core.fingerprint import fingerprint
from quantlab.core.market import Bars, Instrument
from quantlab.core.types import Features, Signal
from quantlab.data.quality.gate import QualityGate
from quantlab.execution.feeds.replay import ReplayFeed
from quantlab.execution.journal.projections import read_tables
from quantlab.execution.journal.sqlite import SqliteJournal
from quantlab.execution.session.engine import Market
from quantlab.execution.session.paper_broker import PaperBroker
from quantlab.execution.session.rules import SessionRules
from quantlab.execution.session.session import Session
from quantlab.features.contract import FeatureContract, feature_mismatch_total
from quantlab.features.pipeline import FeaturePipeline
from quantlab.trading import Costs, FixedFraction, FromSignals, Limits, Strategy

CASH = 10_000.0
MINUTE_MS = 60_000
START_MS = parse_utc("2025-03-16T23:00:00")
MIDNIGHT = 60  # row of the next UTC day's first bar
LOST = 0.1581
STOPS, SPACING = 7, 7  # minutes from one stop to the next: six times seven are 42
STOP = 100.0 * (1.0 - (1.0 - LOST) ** (1.0 / STOPS))  # distance, at an entry of 100
FIRST = 3  # row of the first stop
THIRD = FIRST + 2 * SPACING
N_BARS = 100
LIMIT = 0.05
COLUMNS_FED = 22

FREE = Instrument(
    tick=0.0, lot=0.0, min_notional=0.0, maintenance_margin_rate=0.0, maker_fee_bps=0.0, taker_fee_bps=0.0
)


def make_market(open_at_third_stop: float = 99.0) -> Bars:
    """One-minute bars: every entry is at 100, and one minute in seven touches the stop, or opens below it."""
    rows = np.tile([100.0, 100.2, 99.5, 100.0, 1e9], (N_BARS, 1, 1))
    for row in range(FIRST, N_BARS, SPACING):
        rows[row] = [99.0, 100.2, 100.0 - STOP - 0.1, 100.0, 1e9]
    rows[THIRD, 0, 0] = open_at_third_stop
    rows[THIRD, 0, 2] = min(rows[THIRD, 0, 2], open_at_third_stop)
    gate = QualityGate(("S0",), (FREE,), MINUTE_MS)
    times = START_MS + MINUTE_MS * np.arange(N_BARS, dtype=np.int64)
    return gate.run(gate.begin(), rows, times, None)[1]


def make_signal(until: int = N_BARS) -> Signal:
    """BUY at every close before row `until`, at a confidence of 0.9."""
    shape = (N_BARS, 1)
    return Signal(
        side=np.where(np.arange(N_BARS) < until, 1, 0).astype(np.int8)[:, None],
        proba=np.tile([0.05, 0.05, 0.9], (*shape, 1)),
        confidence=np.full(shape, 0.9),
        consensus=np.ones(shape),
        live_members=np.full(shape, 4, np.int8),
        atr=np.ones(shape),
        stop_distance=np.full(shape, STOP),
    )


#: The record ends with the seventh stop; there is no eighth entry in it.
RECORDED = FIRST + (STOPS - 1) * SPACING


@dataclass(frozen=True)
class Misfed:
    """The incident's source: the pipeline makes 49 columns, 22 of them reach a model that was fitted on all."""

    signals: Signal
    contract: FeatureContract | None

    @property
    def features(self) -> FeaturePipeline:
        return FeaturePipeline(MINUTE_MS, 1)

    @property
    def fingerprint(self) -> str:
        return fingerprint("Misfed", self.signals, self.contract is None)

    def signal(self, bars: Bars) -> Signal:
        return self.signals.rows(0, bars.n_bars)

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> MisfedStream:
        return MisfedStream(self, self.features.stream(symbols, interval_ms))


@dataclass
class MisfedStream:
    source: Misfed
    features: Any
    row: int = 0

    def update(self, bar: Bars) -> Signal:
        made = self.features.update(bar)
        fed = np.ascontiguousarray(made.values[:, :, :COLUMNS_FED])
        if self.source.contract is not None:
            self.source.contract.check(Features(fed, made.ready, made.names[:COLUMNS_FED], made.fingerprint))
        self.row += 1
        return self.source.signals.rows(self.row - 1, self.row)

    def state(self) -> bytes:
        return self.row.to_bytes(8, "little") + bytes(self.features.state())

    def restore(self, state: bytes) -> None:
        self.row = int.from_bytes(state[:8], "little")
        self.features.restore(state[8:])


def make_strategy(source: Misfed, **limits: Any) -> Strategy:
    """The whole account in every position, no friction, and no rule but those given."""
    off = dict.fromkeys(field.name for field in dataclasses.fields(Limits))
    return Strategy(
        signal=source,
        policy=FromSignals(rebalance=False),
        sizer=FixedFraction(1.0),
        limits=Limits(**{**off, "daily_flatten": False, "rollout": 1.0, **limits}),
        costs=Costs(slippage_bps=0.0, participation=None, liquidation_fee_bps=0.0),
    )


class SpiedBroker(PaperBroker):
    """The paper broker, and how many legs it was sent."""

    legs_sent = 0

    def submit(self, decision: Any) -> None:
        type(self).legs_sent += len(decision.legs)
        super().submit(decision)


@dataclass
class Place:
    """A market, a strategy and a folder; every :meth:`trade` is a process of its own."""

    bars: Bars
    strategy: Strategy
    folder: Path
    snapshot_every: int = 1_000
    alerts: MemoryAlerts = dataclasses.field(default_factory=MemoryAlerts)

    def journal(self) -> SqliteJournal:
        return SqliteJournal(self.folder / "journal.db")

    def trade(self, most_bars: int | None = None, *, finish: bool = False, broker: Any = PaperBroker) -> int:
        """Start or go on; without `finish` the process then dies as it is. Returns how many bars were taken."""
        with self.journal() as journal:
            session = Session(
                self.strategy,
                Market.of(self.bars),
                feed=ReplayFeed(self.bars, start=None, pace=None),
                journal=journal,
                make_broker=broker,
                alerts=self.alerts,
                rules=SessionRules(
                    self.snapshot_every,
                    stale_after_ms=90_000,
                    largest_funding_rate=0.05,
                    repeat_alert_ms=86_400_000,
                    clock_every_ms=3_600_000,
                    clock_limit_ms=1_500.0,
                ),
                initial_cash=CASH,
            )
            session.start()
            taken = session.run(most_bars=most_bars)
            if finish:
                session.finish("asked to")
        return taken

    def journalled(self) -> list[dict[str, Any]]:
        """The facts of every bar."""
        with self.journal() as journal:
            return [event.facts["bar"] for event in journal.replay() if event.kind == "bar"]

    def counters(self) -> dict[str, int]:
        with self.journal() as journal:
            return dict(read_tables(journal._database)["counters"])


@pytest.fixture
def place(tmp_path: Path) -> Callable[..., Place]:
    """``place(limits, **options)``: a session in a folder of its own."""

    def make(
        limits: dict[str, Any], *, until: int = N_BARS, opens: float = 99.0, contract: FeatureContract | None = None
    ) -> Place:
        source = Misfed(make_signal(until), contract)
        return Place(make_market(opens), make_strategy(source, **limits), tmp_path / "session")

    return make


def fills(bars: list[dict[str, Any]], reason: str) -> list[int]:
    """Rows in which something was filled for this reason."""
    return [t for t, bar in enumerate(bars) for fill in bar["fills"] if fill["reason"] == reason]


def equity(bars: list[dict[str, Any]]) -> Any:
    return np.array([bar["account"]["equity"] for bar in bars])


def entered(bars: list[dict[str, Any]]) -> list[int]:
    """Rows at whose close more was asked for."""
    return [t for t, bar in enumerate(bars) if any(not leg["reduce_only"] for leg in bar["orders"])]


def limits_hit(bars: list[dict[str, Any]]) -> list[int]:
    return [t for t, bar in enumerate(bars) for event in bar["events"] if event["kind"] == "daily_limit"]


def test_unguarded_a_session_lives_the_incident(place):
    where = place({}, until=RECORDED)
    assert where.trade() == N_BARS
    bars = where.journalled()
    stops = fills(bars, "STOP")
    assert len(stops) == 7
    assert stops[-1] - stops[0] == 42
    assert 1.0 - equity(bars)[-1] / CASH == pytest.approx(LOST, abs=1e-9)
    assert not any(bar["halts"] or bar["events"] for bar in bars)


@pytest.mark.parametrize("opens", [99.0, 90.0, 60.0])
def test_the_guard_ends_it_within_the_limit_and_one_bars_gap(place, opens):
    """Third stop: the first fall past 5 %, at its level or, where the market opens below it, at that open."""
    where = place({"daily_loss_limit": LIMIT}, opens=opens)
    where.trade()
    bars = where.journalled()
    (hit, *_) = limits_hit(bars)
    assert hit == THIRD
    assert fills(bars[:MIDNIGHT], "STOP") == [FIRST, FIRST + SPACING, THIRD]
    marks = np.array([CASH, *equity(bars)])
    lost = (CASH - marks) / CASH
    gap = lost[hit + 1] - lost[hit]  # of bar `hit`, on what was open
    assert lost[hit] < LIMIT <= lost[hit + 1]
    assert lost[: MIDNIGHT + 1].max() <= LIMIT + gap
    by_hand = (1.0 - STOP / 100.0) ** 2 * min(1.0 - STOP / 100.0, opens / 100.0)
    assert marks[MIDNIGHT] == pytest.approx(CASH * by_hand, rel=1e-12)
    assert len(set(marks[hit + 1 : MIDNIGHT + 1])) == 1  # not a cent moves until the day is over


def test_the_journal_holds_the_halt_and_an_alert_is_sent(place):
    where = place({"daily_loss_limit": LIMIT})
    where.trade(MIDNIGHT)
    bars = where.journalled()
    (event,) = bars[THIRD]["events"]
    assert (event["kind"], event["equity"]) == ("daily_limit", bars[THIRD]["account"]["equity"])
    assert event["level"] == pytest.approx((1.0 - LIMIT) * CASH, rel=1e-12)
    assert [t for t, bar in enumerate(bars) if bar["halts"] == ["daily"]] == list(range(THIRD, MIDNIGHT))
    assert all(bar["signal"]["buy"] == 1 for bar in bars)  # the model goes on saying BUY
    assert entered(bars) == [0, FIRST, FIRST + SPACING]
    counters = where.counters()
    assert counters["risk.daily_limit"] == 1
    assert counters["cut.halt"] == MIDNIGHT - THIRD
    (alert,) = [alert for alert in where.alerts.sent if alert.kind == "daily_limit"]
    assert alert.time_ms == where.bars.open_time_ms[THIRD] + MINUTE_MS


@pytest.mark.parametrize(
    ("ended_after", "snapshot_every", "finish"),
    [(THIRD + 1, 1_000, False), (THIRD + 1, 1, False), (THIRD + 9, 10, True), (MIDNIGHT, 1_000, False)],
)
def test_a_restart_stays_halted_until_the_next_utc_day(place, ended_after, snapshot_every, finish):
    """With the halt in the last bar, some bars later, or the day's last bar: from snapshot and from repeated bars."""
    where = place({"daily_loss_limit": LIMIT})
    where.snapshot_every = snapshot_every
    where.trade(ended_after, finish=finish)
    assert where.trade(1) == 1
    where.trade()
    bars = where.journalled()
    assert len(bars) == N_BARS
    assert iso_utc(bars[MIDNIGHT]["open_ms"]) == "2025-03-17T00:00:00Z"
    assert all("daily" in bar["halts"] for bar in bars[THIRD:MIDNIGHT])
    assert [t for t in entered(bars) if THIRD <= t < MIDNIGHT] == []
    assert bars[MIDNIGHT]["halts"] == []
    assert bars[MIDNIGHT]["day"]["start_equity"] == bars[MIDNIGHT - 1]["account"]["equity"]
    assert MIDNIGHT in entered(bars)
    assert where.counters()["risk.daily_limit"] == len(limits_hit(bars)) == 2


def test_every_day_has_its_own_limit(place):
    """Nobody looked at the model over night: the next day ends the same way, from a smaller account."""
    where = place({"daily_loss_limit": LIMIT})
    where.trade()
    bars = where.journalled()
    marks = equity(bars)
    _, second = limits_hit(bars)
    assert second == THIRD + 9 * SPACING
    start = marks[MIDNIGHT - 1]
    gap = marks[second - 1] - marks[second]
    assert (start - marks[second:].min()) / start <= LIMIT + gap / start
    assert marks[-1] == pytest.approx(CASH * (1.0 - STOP / 100.0) ** 6, rel=1e-12)


def test_killed_behind_every_third_bar_it_is_the_backtest(place):
    """Every process dies without a word: to the last bit what the scan makes of the same signal."""
    where = place({"daily_loss_limit": LIMIT})
    where.snapshot_every = 7
    scanned = Scan(CASH).run(where.bars, where.strategy.signal.signals, where.strategy)
    while where.trade(3):
        pass
    bars = where.journalled()
    assert equity(bars).tolist() == scanned.equity.tolist()
    assert sum(len(bar["fills"]) for bar in bars) == len(scanned.orders) == 12
    assert limits_hit(bars) == scanned.events["idx"].tolist()


def contract() -> FeatureContract:
    """What the model was fitted on: the pipeline's 49 columns."""
    pipeline = FeaturePipeline(MINUTE_MS, 1)
    assert len(pipeline.names) == 49
    return FeatureContract(tuple(pipeline.names), pipeline.fingerprint)


def test_with_the_contract_on_a_session_refuses_before_the_first_order(place):
    """With no limit at all, and at every further start too."""
    where = place({}, contract=contract())
    refused = feature_mismatch_total()
    for attempt in (1, 2):
        with pytest.raises(ContractError, match=f"49 features.*{COLUMNS_FED}"):
            where.trade(broker=SpiedBroker)
        assert SpiedBroker.legs_sent == 0
        assert where.journalled() == []
        assert where.counters()["event.feature_mismatch"] == attempt
    assert feature_mismatch_total() == refused + 2
    alerts = [alert.message for alert in where.alerts.sent if alert.kind == "feature_mismatch"]
    assert len(alerts) == 2
    with where.journal() as journal:
        tables = read_tables(journal._database)
        assert journal.latest("feature_mismatch").facts["open_ms"] == START_MS
    assert tables["orders"] == tables["fills"] == tables["positions"] == tables["equity"] == []
