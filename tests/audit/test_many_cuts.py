"""Leaks that are rare or keep a rhythm: even cuts miss them, and hundreds that are drawn at random do not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from quantlab.audit.draws import cuts, drawn_rows, found_share, many_cuts
from quantlab.audit.features import check_features
from quantlab.audit.fills import AuditedAccount, check_fills
from quantlab.audit.findings import AuditLog
from quantlab.audit.many_cuts import (
    ManyCuts,
    check_feature_cuts,
    check_fill_cuts,
    check_label_cuts,
    check_signal_cuts,
)
from quantlab.audit.page import audit_page
from quantlab.backtest.scan import Scan
from quantlab.core.fakes import FixedSignal
from quantlab.core.market import OPEN, Bars
from quantlab.core.results import Simulation
from quantlab.core.types import NO_LABEL, Features, Labels, Signal
from quantlab.jobs.config.composition import build, compose
from quantlab.learning.samples.triple_barrier import TripleBarrier

MakeBars = Callable[..., Bars]
N_BARS, WARMUP = 1_200, 30
DEPTH = ManyCuts(count=150, reach=30, seed=0)
BARRIERS = TripleBarrier(2.0, 1.2, 12)


def leaking_rows(bars: Bars, when: str) -> Any:
    """bool (T, S): rows whose next bar is looked at."""
    rows = np.zeros(bars.state.shape, dtype=np.bool_)
    if when == "one bar in a dozen":
        rows[:] = (bars.open_time_ms // bars.interval_ms % 12 == 11)[:, None]  # the last of each hour
    if when == "before large moves":
        rows[:-1] = np.abs(np.log(bars.close[1:] / bars.ohlcv[1:, :, OPEN])) > 0.0065
    return rows


def with_next_return(bars: Bars, values: Any, when: str) -> Any:
    rows = leaking_rows(bars, when)
    coming = np.zeros(bars.state.shape)
    coming[:-1] = np.log(bars.close[1:] / bars.close[:-1])
    return np.where(rows, coming, values)


@dataclass(frozen=True)
class Returns:
    when: str = ""
    names: tuple[str, ...] = ("ret_1",)
    fingerprint: str = "returns"
    warmup: int = WARMUP

    def transform(self, bars: Bars) -> Features:
        values = np.full((*bars.state.shape, 1), np.nan, dtype=np.float32)
        values[1:, :, 0] = np.log(bars.close[1:] / bars.close[:-1])
        values[:, :, 0] = with_next_return(bars, values[:, :, 0], self.when)
        ready = np.zeros(bars.state.shape, dtype=np.bool_)
        ready[WARMUP:] = True
        return Features(values, ready, self.names, self.fingerprint)

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> Any:
        raise AssertionError("nobody streams here")


RARE = ["one bar in a dozen", "before large moves"]


@pytest.mark.parametrize("when", ["", *RARE])
def test_a_feature_that_leaks_rarely_is_found(random_bars: MakeBars, when: str) -> None:
    bars, log, source = random_bars(n_bars=N_BARS), AuditLog(), Returns(when)
    assert not when or leaking_rows(bars, when).any(axis=1).mean() < 0.1
    check_feature_cuts(log, source, bars, DEPTH)
    assert [(one.stage, one.column) for one in log.findings] == ([("feature", "ret_1")] if when else [])
    assert [(one.stage, one.rows, one.finds_99) for one in log.powers] == [("feature", 150, found_share(150))]


def test_cuts_of_whole_histories_inside_hours_miss_what_happens_at_their_end(random_bars: MakeBars) -> None:
    """The reason for the others: not one of these rows is the first of an hour."""
    bars, log, source = random_bars(n_bars=N_BARS), AuditLog(), Returns(RARE[0])
    check_features(log, source, bars, source.transform(bars), 6, 0)
    assert log.findings == []


def test_a_finding_in_a_window_names_the_row_of_the_history(random_bars: MakeBars) -> None:
    bars, log = random_bars(n_bars=N_BARS), AuditLog()
    check_feature_cuts(log, Returns(RARE[0]), bars, DEPTH)
    row = int(log.findings[0].where.split()[1])
    assert leaking_rows(bars, RARE[0])[row].any()


@dataclass(frozen=True)
class RareLabels:
    when: str
    horizon: int = 12

    def label(self, bars: Bars, atr: Any) -> Labels:
        real = BARRIERS.label(bars, atr)
        steps = np.clip((real.known_at_ms - bars.open_time_ms[0]) // bars.interval_ms, 0, bars.n_bars - 1)
        ahead = np.log(bars.close / bars.ohlcv[:, :, OPEN])  # of the bar that opens when the label is known
        coming = np.take_along_axis(ahead, steps, axis=0)
        if self.when == RARE[0]:
            rows = np.arange(bars.n_bars)[:, None] * 0 + (bars.open_time_ms // bars.interval_ms % 12 == 11)[:, None]
        else:
            rows = np.abs(coming) > 0.0065
        wrong = rows & (real.label != NO_LABEL) & (self.when != "")
        return dataclasses.replace(
            real, label=np.where(wrong, np.where(coming > 0.0, 2, 0), real.label).astype(np.int8)
        )


@pytest.mark.parametrize("when", ["", *RARE])
def test_a_label_that_leaks_rarely_is_found(random_bars: MakeBars, when: str) -> None:
    bars, log = random_bars(n_bars=N_BARS), AuditLog()
    check_label_cuts(log, RareLabels(when), bars, 0.004 * bars.close, DEPTH)
    assert [one.stage for one in log.findings] == (["label"] if when else [])
    assert log.checks[0].compared > 1_000


@dataclass(frozen=True)
class Follower:
    """A plain signal; with `features` its windows are long enough."""

    when: str
    features: Any

    def signal(self, bars: Bars) -> Signal:
        returns = np.zeros(bars.state.shape)
        returns[1:] = np.log(bars.close[1:] / bars.close[:-1])
        side = np.sign(with_next_return(bars, returns, self.when)).astype(np.int8)
        sure = np.ones(side.shape)
        return Signal(side, np.eye(3)[side + 1], sure, sure.copy(), np.ones(side.shape, np.int8), 0.004 * bars.close)


@pytest.mark.parametrize("when", ["", *RARE])
@pytest.mark.parametrize("features", [None, Returns()], ids=["whole histories", "windows"])
def test_a_plain_signal_that_leaks_rarely_is_found(random_bars: MakeBars, when: str, features: Any) -> None:
    bars, log, source = random_bars(n_bars=N_BARS), AuditLog(), Follower(when, features)
    check_signal_cuts(log, source, bars, source.signal(bars), DEPTH)
    assert [one.stage for one in log.findings] == (["feature"] if when else [])


@dataclass(frozen=True)
class KindAtTimes:
    """An engine whose entries are half as large where their own bar loses, in one bar of a dozen."""

    inner: Scan
    rare: bool

    def run(self, bars: Bars, signal: Signal, strategy: Any, *, limits_on: bool = True) -> Simulation:
        done = self.inner.run(bars, signal, strategy, limits_on=limits_on)
        orders = done.orders.copy()
        idx = orders["idx"]
        loses = (bars.close[idx, orders["col"]] > bars.ohlcv[idx, orders["col"], OPEN]) == (orders["side"] == 1)
        orders["size"] *= np.where(loses & (bars.open_time_ms[idx] // bars.interval_ms % 12 == 0) & self.rare, 0.5, 1.0)
        return dataclasses.replace(done, orders=orders)


@pytest.mark.parametrize("rare", [False, True])
def test_an_engine_that_cheats_in_one_bar_of_a_dozen_is_found(random_bars: MakeBars, rare: bool) -> None:
    bars, log = random_bars(n_bars=400), AuditLog()
    signal = Follower("", None).signal(bars)
    make_strategy = build(compose("trading/policy=ensemble_threshold", "trading/sizer=confidence_fraction").strategy)
    account = AuditedAccount(Scan(10_000.0), bars, signal, make_strategy(signal=FixedSignal(signal)))
    account = dataclasses.replace(account, engine=KindAtTimes(Scan(10_000.0), rare))
    simulation = check_fills(AuditLog(), account, 1, 0)
    check_fill_cuts(log, account, simulation, DEPTH)
    assert [(one.stage, one.column) for one in log.findings] == ([("sizing", "order.size")] if rare else [])


def test_draws_fill_their_blocks_and_follow_the_seed() -> None:
    rows = drawn_rows(100, 1_300, 300, 5)
    assert (len(rows), min(rows) >= 100, max(rows) < 1_300) == (300, True, True)
    assert all(100 + 4 * i <= row < 104 + 4 * i for i, row in enumerate(rows))
    assert len({row % 12 for row in rows}) == 12
    assert drawn_rows(100, 1_300, 300, 6) != rows == drawn_rows(100, 1_300, 300, 5)
    assert drawn_rows(3, 8, 50, 0) == [3, 4, 5, 6, 7]
    assert drawn_rows(8, 8, 50, 0) == []


def test_the_bars_that_move_most_are_cut_at_too(random_bars: MakeBars) -> None:
    bars = random_bars(n_bars=N_BARS)
    rows, drawn = many_cuts(bars, 1, N_BARS, 80, 0)
    moves = np.abs(np.log(bars.close / bars.ohlcv[:, :, OPEN])).max(axis=1)
    assert set(np.argsort(-moves)[:20]) <= set(rows)
    assert drawn == 80
    assert set(cuts(bars, 1, N_BARS, 6, 0)).isdisjoint(np.flatnonzero(bars.open_time_ms % 3_600_000 == 0))


@pytest.mark.parametrize("n_rows", [2, 12, 300])
def test_the_stated_power_is_what_chance_gives(n_rows: int) -> None:
    """A leak in that share of rows is missed once in a hundred: drawn 4,000 times, at places of its own each time."""
    share, rng = found_share(n_rows), np.random.default_rng(0)
    hits = (rng.random((4_000, n_rows)) < share).any(axis=1).mean()
    assert abs(hits - 0.99) < 4.0 * np.sqrt(0.99 * 0.01 / 4_000)
    assert found_share(0) == 1.0


def test_the_page_states_the_power(random_bars: MakeBars) -> None:
    log = AuditLog()
    log.power("feature", "features", 300)
    report = log.report()
    assert "| feature | features | 300 | 1.5% of its rows |" in audit_page("mine", report)
    assert report.as_dict()["powers"] == (
        {"stage": "feature", "looked_at": "features", "rows": 300, "finds_99": found_share(300)},
    )
