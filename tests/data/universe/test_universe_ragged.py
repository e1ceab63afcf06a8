"""Symbols that list late, halt and vanish, on real bars, through every stage: features, labels, training,
backtest, session. Nothing is dropped, nothing looks ahead, and a universe changes who may be entered only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantlab.backtest.portfolio import to_portfolio
from quantlab.backtest.scan import Scan
from quantlab.core.fakes import FixedSignal, MemoryAlerts
from quantlab.core.market import Bars, BarState
from quantlab.core.progress import SilentProgress
from quantlab.core.results import CUT_RULES, OrderReason, Simulation, Study
from quantlab.core.types import NO_LABEL, Features, Labels, Signal
from quantlab.data import MAX_FILLED, ParquetSource, QualityGate
from quantlab.data.universe.membership import Membership
from quantlab.execution.feeds.replay import ReplayFeed, raw_bar
from quantlab.execution.journal.projections import read_tables
from quantlab.execution.journal.sqlite import SqliteJournal
from quantlab.execution.session.engine import Market
from quantlab.execution.session.paper_broker import PaperBroker
from quantlab.execution.session.rules import SessionRules
from quantlab.execution.session.session import Session
from quantlab.execution.session.snapshot import pack_raw, unpack_raw
from quantlab.features import WARMUP, FeaturePipeline
from quantlab.jobs.config.composition import build, compose
from quantlab.learning.samples.dataset import build_dataset
from quantlab.learning.samples.triple_barrier import TripleBarrier
from quantlab.trading import Costs, FixedFraction, FromSignals, Limits, Strategy

SYMBOLS = ["BTC", "ETH", "AI", "RLB", "BABY", "PAXG", "AIXBT"]
BTC, ETH, AI, RLB, BABY, PAXG, AIXBT = range(7)
DAY = 288
CASH = 10_000.0
#: AIXBT, listed on 2025-03-29, is halted for 40 bars in this test: none of the real files has a long hole.
HALT = slice(13 * DAY + 2_200, 13 * DAY + 2_240)


@pytest.fixture(scope="module")
def bars(perps_5m: Path) -> Bars:
    """35 days of two symbols that are always there and five that are not."""
    instrument = build(compose().trading.instrument)
    source = ParquetSource(
        root=perps_5m,
        symbols=SYMBOLS,
        instrument=instrument,
        start=None,
        end="2025-04-20",
        funding="partial",
        largest_funding_rate=0.05,
        folders=["ragged"],
    )
    whole = source.history()
    raw = np.where(whole.printed[:, :, None], whole.ohlcv, np.nan)
    raw[HALT, AIXBT] = np.nan
    gate = QualityGate(whole.symbols, whole.instruments, whole.interval_ms)
    _, halted = gate.run(gate.begin(), raw, whole.open_time_ms, whole.funding)
    return halted


@pytest.fixture(scope="module")
def features(bars: Bars) -> Features:
    return FeaturePipeline(interval_ms=300_000, threads=2).transform(bars)


@pytest.fixture(scope="module")
def labels(bars: Bars, features: Features) -> Labels:
    return TripleBarrier(take_profit_atr=2.0, stop_atr=1.2, horizon=12).label(bars, atr_of(bars, features))


def atr_of(bars: Bars, features: Features) -> Any:
    return np.where(features.ready, features.column("natr_14").astype(np.float64), np.nan) * bars.close


def lives(bars: Bars) -> list[tuple[int, int]]:
    """First row and the row after the last of every symbol's bars."""
    rows = [np.flatnonzero(bars.printed[:, s]) for s in range(bars.n_symbols)]
    return [(int(found[0]), int(found[-1]) + 1) for found in rows]


def perturbed(bars: Bars, row: int) -> Bars:
    """Another future: from `row` on prices are a fifth higher, who printed is silent, and one symbol comes back."""
    ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
    ohlcv[row:, :, :4] *= 1.2
    ohlcv[row:, BTC, 4] *= 3.0
    ohlcv[row:, ETH], state[row:, ETH] = np.nan, BarState.ABSENT
    ohlcv[row:, AI], state[row:, AI] = ohlcv[row:, BTC], BarState.TRADED
    return dataclasses.replace(bars, ohlcv=ohlcv, state=state)


# ---- bars


def test_every_symbol_keeps_its_column_and_its_life(bars: Bars) -> None:
    assert bars.symbols == tuple(SYMBOLS)
    assert bars.n_bars == 35 * DAY
    life = dict(zip(SYMBOLS, lives(bars), strict=True))
    assert life["BTC"] == life["ETH"] == (0, bars.n_bars)
    assert life["AI"] == (0, 7545)
    assert life["RLB"] == (0, 5169)
    assert life["BABY"][0] == 24 * DAY
    assert life["AIXBT"][0] == 13 * DAY
    for s, (first, stop) in enumerate(lives(bars)):
        assert (bars.state[:first, s] == BarState.ABSENT).all()
        assert (bars.state[stop : stop + MAX_FILLED, s] == BarState.FILLED).all()
        assert (bars.state[stop + MAX_FILLED :, s] == BarState.ABSENT).all()
        assert not bars.tradable[stop:, s].any()
    halt = bars.state[HALT, AIXBT]
    assert (halt[:MAX_FILLED] == BarState.FILLED).all()
    assert (halt[MAX_FILLED:] == BarState.ABSENT).all()
    np.testing.assert_array_equal(np.isnan(bars.close), bars.state == BarState.ABSENT)
    assert life["PAXG"][0] == 21 * DAY + 186


# ---- features


def test_features_are_ready_a_warm_up_after_listing_and_after_a_halt(bars: Bars, features: Features) -> None:
    assert features.values.shape == (bars.n_bars, len(SYMBOLS), 49)
    for s in range(len(SYMBOLS)):
        seen, expected = 0, np.zeros(bars.n_bars, dtype=bool)
        for t in range(bars.n_bars):
            seen = 0 if bars.state[t, s] == BarState.ABSENT else seen + 1
            expected[t] = seen >= WARMUP
        np.testing.assert_array_equal(features.ready[:, s], expected, err_msg=SYMBOLS[s])
        assert expected.any()
    assert np.isfinite(features.values[features.ready]).all()
    assert np.isnan(features.values[~features.ready]).all()


def test_a_symbols_features_do_not_know_the_others(bars: Bars, features: Features) -> None:
    """Alone, and from its listing on, a late symbol has the same bits."""
    pipeline = FeaturePipeline(interval_ms=300_000, threads=1)
    for s in (BABY, AIXBT):
        first = lives(bars)[s][0]
        own = dataclasses.replace(
            bars.rows(first, bars.n_bars),
            ohlcv=np.ascontiguousarray(bars.ohlcv[first:, [s]]),
            state=np.ascontiguousarray(bars.state[first:, [s]]),
            symbols=(SYMBOLS[s],),
            instruments=bars.instruments[:1],
            funding=None,
            suspect=None,
        )
        assert pipeline.transform(own).values.tobytes() == features.values[first:, [s]].tobytes()


def test_features_of_the_past_do_not_move_with_the_future(bars: Bars, features: Features) -> None:
    row = 7_000
    again = FeaturePipeline(interval_ms=300_000, threads=2).transform(perturbed(bars, row))
    assert again.values[:row].tobytes() == features.values[:row].tobytes()
    assert again.values[row:].tobytes() != features.values[row:].tobytes()


# ---- labels and the data set


def test_labels_stand_only_where_a_position_could_have_been_entered(bars: Bars, labels: Labels) -> None:
    labelled = labels.label != NO_LABEL
    rows, columns = np.nonzero(labelled)
    assert np.bincount(columns, minlength=len(SYMBOLS)).min() > 5  # also RLB, which trades in 6 % of its bars
    assert bars.tradable[rows + 1, columns].all()
    assert bars.printed[rows, columns].all()
    for s, (first, stop) in enumerate(lives(bars)):
        own = np.flatnonzero(labelled[:, s])
        assert own.min() >= first + WARMUP - 1
        assert own.max() < stop
    halt = np.arange(HALT.start, HALT.stop)
    assert not labelled[halt[:-1], AIXBT].any()
    settled = labels.known_at_ms[labelled]
    assert (settled > bars.close_time_ms[rows]).all()
    assert (settled <= bars.close_time_ms[np.minimum(rows + 12, bars.n_bars - 1)]).all()


def test_no_label_is_settled_by_bars_that_were_never_printed(bars: Bars, labels: Labels) -> None:
    """A race that a delisting cuts off has no winner, and no filled bar settles one before the horizon."""
    for s in (AI, RLB):
        stop = lives(bars)[s][1]
        assert (labels.label[stop + MAX_FILLED - 11 :, s] == NO_LABEL).all()
        late = np.flatnonzero(labels.label[:, s] != NO_LABEL)
        touched = late[labels.label[late, s] != 1]
        settled_row = (labels.known_at_ms[touched, s] - int(bars.open_time_ms[0])) // bars.interval_ms - 1
        assert bars.tradable[settled_row, s].all()


def test_labels_known_by_then_do_not_move_with_the_future(bars: Bars, features: Features, labels: Labels) -> None:
    row = 7_000
    other = perturbed(bars, row)
    again = TripleBarrier(take_profit_atr=2.0, stop_atr=1.2, horizon=12).label(
        other, atr_of(other, FeaturePipeline(interval_ms=300_000, threads=2).transform(other))
    )
    known = labels.known_at_ms <= int(bars.open_time_ms[row])
    assert known.sum() > 10_000
    for name in ("label", "weight", "known_at_ms"):
        np.testing.assert_array_equal(getattr(again, name)[known], getattr(labels, name)[known])
    np.testing.assert_array_equal(again.known_at_ms <= int(bars.open_time_ms[row]), known)


def test_the_data_set_holds_every_symbol(bars: Bars, features: Features, labels: Labels) -> None:
    dataset = build_dataset(bars, features, labels, 12)
    assert dataset.mask.any(axis=0).all()
    np.testing.assert_array_equal(dataset.mask, features.ready & (labels.label != NO_LABEL))
    assert dataset.forward_returns.shape == (bars.n_bars, len(SYMBOLS), 12)


# ---- training


def study(bars: Bars, cache: Path) -> Study:
    """Two folds of a small LightGBM, as the configuration builds it."""
    others = [f"~learning.members.{member}" for member in ("xgboost", "nhits", "patchtst")]
    small = [
        "learning.tuning=null",
        "learning.members.lightgbm.max_rounds=20",
        "learning.ensemble.quorum=1",
        "learning.ensemble.max_weight=1",
    ]
    cfg = compose("experiment=ensemble_v2", "debug=tiny", "workers=1", f"cache_dir={cache}", *others, *small)
    learned: Study = build(cfg.signal).study(bars, SilentProgress())
    return learned


def test_training_speaks_of_every_symbol_and_never_of_the_future(
    bars: Bars, features: Features, tmp_path: Path
) -> None:
    found = study(bars, tmp_path / "one")
    rows = slice(found.first_row, found.last_row)
    spoke = np.isfinite(found.signal.proba[rows, :, 0])
    np.testing.assert_array_equal(spoke, features.ready[rows])
    assert spoke.any(axis=0)[[BTC, ETH, AI, BABY, PAXG, AIXBT]].all()
    assert (found.signal.side[rows][~spoke] == 0).all()

    row = found.last_test + 600  # inside the last test period
    again = study(perturbed(bars, row), tmp_path / "two")
    assert (again.first_row, again.last_row, again.last_test) == (found.first_row, found.last_row, found.last_test)
    for name in ("side", "proba", "confidence", "consensus", "atr"):
        ours, theirs = getattr(found.signal, name)[:row], getattr(again.signal, name)[:row]
        np.testing.assert_array_equal(ours, theirs, err_msg=name)
    assert found.signal.proba[row:].tobytes() != again.signal.proba[row:].tobytes()


# ---- backtest


def strategy(signal: Signal, **limits: Any) -> Strategy:
    usual = {"daily_loss_limit": 0.08, "daily_flatten": False, "breaker": None, "max_positions": 7}
    usual |= {"max_weight": 0.2, "max_gross_leverage": 1.4, "rollout": 1.0}
    rest = {field.name for field in dataclasses.fields(Limits)} - set(usual)
    return Strategy(
        signal=FixedSignal(signal),
        policy=FromSignals(rebalance=False),
        sizer=FixedFraction(0.1),
        limits=Limits(**{**usual, **dict.fromkeys(rest), **limits}),
        costs=Costs(slippage_bps=2.0, participation=1.0, liquidation_fee_bps=125.0),
    )


def signal_of(bars: Bars, atr: Any, every: int = 97) -> Signal:
    """Buys and sells that look at nothing but the row's number, stops at two ATR."""
    side = np.zeros(bars.state.shape, dtype=np.int8)
    for s in range(bars.n_symbols):
        rows = np.arange(13 * s % every, bars.n_bars, every)
        side[rows, s] = np.where(np.arange(len(rows)) % 3 == 2, -1, 1)
    ones = np.ones(bars.state.shape)
    return Signal(
        side=side,
        proba=np.full((*side.shape, 3), 1.0 / 3.0),
        confidence=ones,
        consensus=ones,
        live_members=np.ones_like(side),
        atr=atr,
        stop_distance=2.0 * atr,
        take_distance=3.0 * atr,
    )


@pytest.fixture(scope="module")
def signal(bars: Bars, features: Features) -> Signal:
    return signal_of(bars, atr_of(bars, features))


def held(simulation: Simulation, s: int, before: int) -> float:
    """Units of a symbol after the fills of all bars before `before`."""
    own = simulation.orders[(simulation.orders["col"] == s) & (simulation.orders["idx"] < before)]
    return float(np.sum(np.where(own["side"] == 0, own["size"], -own["size"])))


def test_a_backtest_trades_every_symbol_only_where_it_prints(bars: Bars, signal: Signal) -> None:
    simulation = Scan(CASH).run(bars, signal, strategy(signal))
    orders = simulation.orders
    assert set(orders["col"].tolist()) >= set(range(len(SYMBOLS))) - {RLB}  # it trades in 6 % of its bars
    gone = simulation.reasons == OrderReason.DELISTED
    assert bars.tradable[orders["idx"], orders["col"]].tolist() == (~gone).tolist()
    assert OrderReason.STOP in simulation.reasons
    assert np.isfinite(simulation.equity).all()
    for s, (first, _) in enumerate(lives(bars)):
        assert (orders["idx"][orders["col"] == s] >= first + WARMUP).all()


def lone_buy(bars: Bars, row: int, s: int, sell: int | None = None) -> Signal:
    """BUY one symbol at one row, without stop or take-profit; SELL it later, if asked."""
    base = signal_of(bars, np.full(bars.state.shape, 1.0))
    side = np.zeros_like(base.side)
    side[row, s] = 1
    if sell is not None:
        side[sell, s] = -1
    never = np.full(bars.state.shape, np.inf)
    return dataclasses.replace(base, side=side, stop_distance=never, take_distance=never)


def test_a_symbol_that_hardly_ever_trades_is_still_there(bars: Bars) -> None:
    """An order meets a bar with volume, or nothing at all."""
    trades = bars.tradable[:, RLB]
    lucky = int(np.flatnonzero(trades[:-1] & trades[1:])[0])
    unlucky = int(np.flatnonzero(trades[:-1] & ~trades[1:])[0])
    for row, fills in ((lucky, 1), (unlucky, 0)):
        asked = lone_buy(bars, row, RLB)
        simulation = Scan(CASH).run(bars, asked, strategy(asked))
        assert simulation.reasons.tolist() == [OrderReason.SIGNAL, OrderReason.DELISTED][: 2 * fills]
        assert simulation.cuts["no_volume"] == 1 - fills


def test_a_position_in_a_delisted_symbol_is_settled_at_its_last_mark_after_a_day(bars: Bars) -> None:
    stop = lives(bars)[AI][1]
    ends = stop + MAX_FILLED + DAY - 1
    asked = lone_buy(bars, stop - 50, AI, sell=stop + 100)
    simulation = Scan(CASH).run(bars, asked, strategy(asked))
    assert [OrderReason(reason).name for reason in simulation.reasons] == ["SIGNAL", "DELISTED"]
    bought, settled = simulation.orders
    last_close = bars.close[stop - 1, AI]
    assert (int(settled["idx"]), float(settled["size"])) == (ends, float(bought["size"]))
    assert settled["price"] == last_close
    assert settled["fees"] == settled["size"] * last_close * (bars.instruments[AI].taker_fee_bps / 1e4) > 0.0
    # Its marks stand still until then; only funding that is still known for it could move the account.
    moved = np.diff(simulation.equity[stop:ends]) + simulation.funding[stop + 1 : ends]
    np.testing.assert_allclose(moved, 0.0, atol=1e-9)
    np.testing.assert_allclose(simulation.gross[stop:ends], settled["size"] * last_close, rtol=1e-12)
    assert simulation.stale_marks == DAY - 1
    assert (simulation.gross[ends:] == 0.0).all()
    assert (simulation.equity[ends:] == simulation.cash).all()
    # The later SELL cannot be carried out, and opens nothing.
    assert simulation.cuts["tradable"] + simulation.cuts["no_volume"] > 0
    assert float(to_portfolio(simulation, bars).value().iloc[-1]) == pytest.approx(
        simulation.equity[-1] + simulation.funding.sum(), rel=1e-12
    )


def test_a_halted_position_is_stale_during_the_halt_and_leaves_after_it(bars: Bars) -> None:
    asked = lone_buy(bars, HALT.start - 20, AIXBT, sell=HALT.start + 20)
    simulation = Scan(CASH).run(bars, asked, strategy(asked))
    assert simulation.stale_marks == HALT.stop - HALT.start - MAX_FILLED
    first = simulation.orders[0]
    assert int(first["idx"]) == HALT.start - 19
    units = float(first["size"])
    np.testing.assert_allclose(simulation.gross[HALT], units * bars.close[HALT.start - 1, AIXBT], rtol=1e-12)
    closing = simulation.orders[1]
    assert int(closing["idx"]) == HALT.stop  # the first bar that trades again: a wanted close is issued until it fills
    assert bars.tradable[HALT.stop, AIXBT]
    assert float(closing["size"]) == units
    assert simulation.units[AIXBT] == 0.0


def test_a_backtest_of_the_past_does_not_move_with_the_future(bars: Bars, features: Features, signal: Signal) -> None:
    row = 7_000
    other = perturbed(bars, row)
    theirs = signal_of(other, atr_of(other, FeaturePipeline(interval_ms=300_000, threads=2).transform(other)))
    one, two = Scan(CASH).run(bars, signal, strategy(signal)), Scan(CASH).run(other, theirs, strategy(theirs))
    assert one.equity[:row].tobytes() == two.equity[:row].tobytes()
    ours, others = (run.orders[run.orders["idx"] < row] for run in (one, two))
    assert len(ours) > 100
    assert ours.tobytes() == others.tobytes()
    assert one.equity[row:].tobytes() != two.equity[row:].tobytes()


# ---- a universe on top


@pytest.fixture(scope="module")
def marked(bars: Bars) -> Bars:
    """BTC leaves after 20 days and comes back after 28; AI never belongs; the others always do."""
    member = np.ones((3, len(SYMBOLS)), dtype=bool)
    member[:, AI] = False
    member[1, BTC] = False
    taken = bars.open_time_ms[[0, 20 * DAY, 28 * DAY]].copy()
    return Membership(taken, member, bars.symbols).mark(bars)


def test_outside_the_universe_nothing_is_entered_and_what_is_held_may_leave(bars: Bars, marked: Bars) -> None:
    gone, back = 20 * DAY, 28 * DAY
    asked = lone_buy(bars, gone - 100, BTC, sell=gone + 100)
    side = asked.side.copy()
    side[gone + 200, BTC] = 1  # refused
    side[back + 50, BTC] = 1
    asked = dataclasses.replace(asked, side=side)
    simulation = Scan(CASH).run(marked, asked, strategy(asked))
    assert [(int(o["idx"]), int(o["side"])) for o in simulation.orders] == [
        (gone - 99, 0),
        (gone + 101, 1),  # the closing leg of the flip; the opening leg was refused
        (back + 51, 0),
    ]
    assert held(simulation, BTC, gone + 102) == 0.0
    assert simulation.cuts["tradable"] == 2
    free = Scan(CASH).run(bars, asked, strategy(asked))
    assert len(free.orders) > len(simulation.orders)


def test_no_label_enters_outside_the_universe(marked: Bars, features: Features, labels: Labels) -> None:
    inside = TripleBarrier(take_profit_atr=2.0, stop_atr=1.2, horizon=12).label(marked, atr_of(marked, features))
    kept = inside.label != NO_LABEL
    enters = np.vstack([marked.tradable[1:], np.zeros((1, len(SYMBOLS)), dtype=bool)])
    np.testing.assert_array_equal(kept, (labels.label != NO_LABEL) & enters)
    np.testing.assert_array_equal(inside.label[kept], labels.label[kept])
    assert not kept[:, AI].any()
    assert kept[:, BTC].any()


# ---- sessions


@pytest.fixture
def replayed(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """A paper session over bars, in two pieces with a restart between them; its journal's tables."""

    def run(history: Bars, signals: Signal) -> dict[str, Any]:
        def session(journal: SqliteJournal) -> Session:
            return Session(
                strategy(signals),
                Market.of(history),
                feed=ReplayFeed(history, start=None, pace=None),
                journal=journal,
                make_broker=PaperBroker,
                alerts=MemoryAlerts(),
                rules=SessionRules(
                    1_000,
                    None,
                    largest_funding_rate=0.05,
                    repeat_alert_ms=86_400_000,
                    clock_every_ms=3_600_000,
                    clock_limit_ms=1_500.0,
                ),
                initial_cash=CASH,
            )

        for most in (history.n_bars // 2, None):
            with SqliteJournal(tmp_path / "journal.db") as journal:
                one = session(journal)
                one.start()
                one.run(most_bars=most)
                tables: dict[str, Any] = read_tables(journal._database)
        return tables

    return run


@pytest.mark.parametrize("universe", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_paper_session_lives_what_the_backtest_lived(
    bars: Bars, marked: Bars, features: Features, replayed: Callable[..., dict[str, Any]], universe: bool
) -> None:
    """Over two late listings, the halt, a delisting and, once, a symbol that leaves the universe."""
    rows = slice(5_700, 7_850)
    history = (marked if universe else bars).rows(rows.start, rows.stop)
    whole = signal_of(bars, atr_of(bars, features), every=31)
    last = lives(bars)[AI][1] - 5  # AI is sold without exits, and is gone
    sides = {name: getattr(whole, name).copy() for name in ("side", "stop_distance", "take_distance")}
    sides["side"][last, AI] = -1
    sides["stop_distance"][last, AI] = sides["take_distance"][last, AI] = np.inf
    signals = dataclasses.replace(whole, **sides).rows(rows.start, rows.stop)
    simulation = Scan(CASH).run(history, signals, strategy(signals))
    tables = replayed(history, signals)
    assert [row[1] for row in tables["equity"]] == simulation.equity.tolist()
    assert [row[0] for row in tables["equity"]] == simulation.open_time_ms.tolist()
    orders = [(int(history.open_time_ms[o["idx"]]), SYMBOLS[o["col"]], float(o["size"])) for o in simulation.orders]
    assert [(row[1], row[2], row[4]) for row in tables["fills"]] == orders
    counters = dict(tables["counters"])
    assert {rule: counters.get(f"cut.{rule}", 0) for rule in CUT_RULES} == simulation.cuts
    assert len(orders) > 80
    ended = [row[2] for row in tables["fills"] if row[7] == "DELISTED"]
    assert ended == ([] if universe else ["AI"])
    assert len(ended) == simulation.reasons.tolist().count(OrderReason.DELISTED)
    opened_btc = {idx for idx, symbol, _ in orders if symbol == "BTC"}
    outside = history.open_time_ms[history.state[:, BTC] == BarState.OUTSIDE]
    assert (len(outside) > 0) == universe
    if universe:
        assert simulation.cuts["tradable"] > 0
        assert not opened_btc & set(outside[300:].tolist())  # nothing of BTC is traded once what was held had left


def test_who_was_outside_is_journalled_with_the_bar(marked: Bars) -> None:
    t = 21 * DAY
    raw = raw_bar(marked, t)
    assert raw.outside is not None
    assert [SYMBOLS[s] for s in np.flatnonzero(raw.outside)] == ["BTC", "AI"]
    again = unpack_raw(pack_raw(raw))
    np.testing.assert_array_equal(again.outside, raw.outside)
    assert again.ohlcv.tobytes() == raw.ohlcv.tobytes()
    assert unpack_raw(pack_raw(dataclasses.replace(raw, outside=None))).outside is None
