"""Every check on a small leak of its own kind, and on the honest part beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from quantlab.audit.chance_checks import ShuffledLabels, check_auc, check_shuffled_auc, delayed
from quantlab.audit.counterfactuals import another_future
from quantlab.audit.features import check_features
from quantlab.audit.fills import AuditedAccount, better_fills, check_fills
from quantlab.audit.findings import AuditLog, LeakFinding
from quantlab.audit.labels import check_labels
from quantlab.audit.members import check_members
from quantlab.audit.plain_signals import check_plain_signal
from quantlab.audit.splits import check_splits
from quantlab.audit.studies import check_studies
from quantlab.audit.universe import check_universe
from quantlab.backtest.scan import Scan
from quantlab.core.arrays import Float32Array
from quantlab.core.errors import DataError
from quantlab.core.fakes import BarsSource, FixedSignal
from quantlab.core.market import CLOSE, VOLUME, Bars, BarState
from quantlab.core.results import MemberReport, Simulation, Study
from quantlab.core.types import NO_LABEL, Dataset, Features, Labels, Signal
from quantlab.data.series.history_cut import HistoryCut
from quantlab.jobs.config.composition import build, compose
from quantlab.learning.ensemble.signal_report import SignalReport
from quantlab.learning.samples.dataset import build_dataset
from quantlab.learning.samples.splits import Fold, PurgedWalkForward
from quantlab.learning.samples.triple_barrier import TripleBarrier

MakeBars = Callable[..., Bars]
WARMUP = 30


@dataclass(frozen=True)
class Momentum:
    """Two honest features; `leak` makes the second one dishonest."""

    leak: str = ""
    names: tuple[str, ...] = ("ret_1", "natr_14")
    fingerprint: str = "momentum"
    warmup: int = WARMUP

    def transform(self, bars: Bars) -> Features:
        close = bars.close
        values = np.full((*close.shape, 2), np.nan, dtype=np.float32)
        values[1:, :, 0] = np.log(close[1:] / close[:-1])
        values[1:, :, 1] = np.abs(values[1:, :, 0]) + 1e-3
        natr = values[:, :, 1]
        if self.leak == "next":
            natr[1:-1] = values[2:, :, 0]
        elif self.leak == "whole":
            natr -= np.nanmean(natr)
        ready = np.zeros(close.shape, dtype=np.bool_)
        ready[WARMUP:] = True
        if self.leak == "ready":
            ready[:] = bars.n_bars > 200
        values[:WARMUP] = values[WARMUP] if self.leak == "backfill" else np.nan
        return Features(values, ready, self.names, self.fingerprint)

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> Any:
        raise AssertionError("nobody streams here")


def stages(log: AuditLog) -> list[tuple[str, str]]:
    """Stage and column of every finding, by stage."""
    return [(finding.stage, finding.column) for finding in log.report().findings]


@pytest.mark.parametrize(
    ("leak", "column"),
    [("", None), ("next", "natr_14"), ("whole", "natr_14"), ("ready", "ready"), ("backfill", "ret_1")],
)
def test_a_feature_that_reads_the_future_is_named(random_bars: MakeBars, leak: str, column: str | None) -> None:
    bars, log, source = random_bars(), AuditLog(), Momentum(leak)
    check_features(log, source, bars, source.transform(bars), 5, 0)
    assert (column is None) == (not log.found())
    assert column is None or ("feature", column) in stages(log)
    if leak in ("next", "whole"):
        assert stages(log) == [("feature", "natr_14")], "the honest column is not accused"


BARRIERS = TripleBarrier(2.0, 1.2, 12)


@dataclass(frozen=True)
class Dishonest:
    """A triple barrier that is wrong in one way."""

    how: str
    horizon: int = 12

    def label(self, bars: Bars, atr: Any) -> Labels:
        real = BARRIERS.label(bars, atr)
        if self.how == "known":
            early = np.where(real.label != NO_LABEL, real.known_at_ms - 2 * bars.interval_ms, real.known_at_ms)
            floor = np.where(real.label != NO_LABEL, bars.close_time_ms[:, None] + bars.interval_ms, real.known_at_ms)
            return dataclasses.replace(real, known_at_ms=np.maximum(early, floor))
        if self.how == "own close":
            own = np.where(real.label != NO_LABEL, bars.close_time_ms[:, None], real.known_at_ms)
            return dataclasses.replace(real, known_at_ms=own)
        if self.how == "far":
            trend = (bars.close[-1] > bars.close[0]).astype(np.int8)
            label = np.where(real.label == NO_LABEL, NO_LABEL, 2 * trend).astype(np.int8)
            return dataclasses.replace(real, label=label)
        if self.how == "weight":
            return dataclasses.replace(real, weight=(real.weight * bars.close[-1].astype(np.float32)))
        earlier = BARRIERS.label(bars, np.roll(atr, 1, axis=0))  # the row before: its race holds this row's bar
        label, known = np.roll(earlier.label, 1, axis=0), np.roll(earlier.known_at_ms, 1, axis=0)
        late = np.where(label == NO_LABEL, known, np.maximum(known, bars.close_time_ms[:, None] + bars.interval_ms))
        return dataclasses.replace(real, label=label, known_at_ms=late, weight=np.roll(earlier.weight, 1, axis=0))


@pytest.mark.parametrize(
    ("how", "first_finding"),
    [
        ("known", ("label", "known_at_ms")),
        ("own close", ("label", "known_at_ms")),
        ("far", ("label", "label")),
        ("weight", ("weights", "weight")),
        ("own bar", ("label", "label")),
    ],
)
def test_a_dishonest_label_is_found(random_bars: MakeBars, how: str, first_finding: tuple[str, str]) -> None:
    bars, log = random_bars(), AuditLog()
    check_labels(log, Dishonest(how), bars, 0.004 * bars.close, 8, 0)
    assert stages(log)[0] == first_finding


def test_the_triple_barrier_is_honest(random_bars: MakeBars) -> None:
    bars, log = random_bars(), AuditLog()
    check_labels(log, BARRIERS, bars, 0.004 * bars.close, 12, 0)
    assert not log.found()
    assert all(check.compared > 0 for check in log.checks)


SPLITS = PurgedWalkForward(2, 1_000, 200, None, 0.2, 0.2, 1)


def dataset_of(bars: Bars, features: Momentum = Momentum()) -> Dataset:
    made = features.transform(bars)
    return build_dataset(bars, made, BARRIERS.label(bars, 0.004 * bars.close), BARRIERS.horizon)


@dataclass(frozen=True)
class Moved:
    """Splits with a part that lies elsewhere."""

    move: str

    def split(self, dataset: Dataset) -> tuple[Fold, ...]:
        folds = SPLITS.split(dataset)
        if self.move == "tests":
            return (folds[0], dataclasses.replace(folds[1], test=(folds[1].test[0] + 5, folds[1].test[1])))
        if self.move == "data":
            shift = int(dataset.features.values[-1, 0, 0] * 1e7) % 97
            return tuple(dataclasses.replace(f, fit=(f.fit[0] + shift, f.fit[1])) for f in folds)
        start, stop = getattr(folds[0], self.move)
        longer = dataclasses.replace(folds[0], **{self.move: (start, stop + 6)})
        return (longer, folds[1])


@pytest.mark.parametrize(
    ("move", "column"),
    [
        ("fit", "fit"),
        ("early_stopping", "early_stopping"),
        ("calibration", "calibration"),
        ("tests", "test"),
        ("data", "fit"),
    ],
)
def test_a_split_that_crosses_a_border_is_found(random_bars: MakeBars, move: str, column: str) -> None:
    bars, log = random_bars(n_bars=1_600), AuditLog()
    other = dataset_of(another_future(bars, 1_300, 0))
    check_splits(log, Moved(move), dataset_of(bars), [(1_300, other)])
    assert stages(log)[0] == ("split", column)


def test_purged_walk_forward_is_honest(random_bars: MakeBars) -> None:
    bars, log = random_bars(n_bars=1_600), AuditLog()
    check_splits(log, SPLITS, dataset_of(bars), [(1_300, dataset_of(another_future(bars, 1_300, 0)))])
    assert not log.found()


@dataclass(frozen=True, eq=False)
class Fitted:
    """Class shares by the sign of a feature, behind a scale and beside a prior."""

    up: Float32Array
    down: Float32Array
    scale: float
    prior: Float32Array
    batch: bool

    def predict_proba(self, features: Features) -> Float32Array:
        middle = np.nanmean(features.values[:, :, 0]) if self.batch else 0.0
        rising = (features.values[:, :, 0] - middle) / self.scale > 0.7
        proba = np.where(rising[:, :, None], self.up, self.down) * self.prior
        proba = (proba / proba.sum(axis=-1, keepdims=True)).astype(np.float32)
        proba[~features.ready] = np.nan
        return proba


def shares(label: Any, weight: Any) -> Float32Array:
    counted = np.bincount(label, weights=weight, minlength=3) + 1.0
    return (counted / counted.sum()).astype(np.float32)


@dataclass(frozen=True)
class Sign:
    """An honest member; `leak` makes it dishonest."""

    leak: str = ""
    name: str = "sign"

    def fit(self, train: Dataset, valid: Dataset) -> Fitted:
        rows, everything = train.mask, train.features.ready & (train.label != NO_LABEL)
        values = train.features.values[:, :, 0]
        if self.leak == "split":
            rows = everything
        scale = float(np.std(values[train.features.ready if self.leak == "scaler" else rows]))
        weight = train.weight * (np.bincount(train.label[everything]).max() if self.leak == "counts" else 1.0)
        if self.leak == "shift":
            weight = train.weight * (values > np.nanmean(values))
        prior = shares(train.label[everything], None) if self.leak == "calibrator" else np.ones(3, np.float32)
        if self.leak == "calibration":
            rows = rows | (everything & (np.arange(len(rows)) < 1_000)[:, None])
        up = rows & (values > 0.0)
        down = rows & ~up
        one, two = (shares(train.label[part], weight[part]) for part in (up, down))
        return Fitted(one, two, scale, prior, self.leak == "batch")


@pytest.mark.parametrize(
    ("leak", "stage"),
    [
        ("", None),
        ("scaler", "scaler"),
        ("batch", "scaler"),
        ("calibrator", "calibrator"),
        ("split", None),
        ("calibration", "split"),
    ],
)
def test_a_member_that_reads_the_future_is_found(random_bars: MakeBars, leak: str, stage: str | None) -> None:
    bars, log = random_bars(n_bars=1_600), AuditLog()
    dataset = dataset_of(bars)
    fold = SPLITS.split(dataset)[0]
    check_members(log, {"sign": Sign(leak)}, fold, dataset, dataset_of(another_future(bars, fold.test[0], 0)))
    if leak == "split":  # its shares are carried numbers: which stage it is cannot be told, that it leaks can
        assert log.found()
    else:
        assert [name for name, _ in stages(log)][:1] == ([] if stage is None else [stage])


@dataclass(frozen=True)
class Largest:
    """A source that takes the two symbols with the largest volume; `hindsight`: of the whole history."""

    source: BarsSource
    hindsight: bool
    synthetic: bool = True

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        whole = self.source.history(None, None)
        seen = whole if self.hindsight else whole.rows(0, 50)
        return picked(self.source.history(start_ms, end_ms), np.argsort(-seen.ohlcv[:, :, VOLUME].sum(axis=0))[:2])

    def stream(self, start_ms: int | None = None, end_ms: int | None = None) -> Any:
        raise AssertionError("nobody streams here")


def picked(bars: Bars, columns: Any) -> Bars:
    kept = sorted(int(c) for c in columns)
    return dataclasses.replace(
        bars,
        ohlcv=np.ascontiguousarray(bars.ohlcv[:, kept]),
        state=np.ascontiguousarray(bars.state[:, kept]),
        symbols=tuple(bars.symbols[c] for c in kept),
        instruments=tuple(bars.instruments[c] for c in kept),
    )


@dataclass(frozen=True)
class Survivors(BarsSource):
    """A source, by inheritance, that leaves out what has stopped printing by the end."""

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        whole = super().history(None, None)
        return picked(super().history(start_ms, end_ms), np.flatnonzero(whole.state[-1] == BarState.TRADED))


@dataclass(frozen=True)
class Restated(BarsSource):
    """A source whose prices are adjusted by the last one that was asked for."""

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        bars = super().history(start_ms, end_ms)
        ohlcv = bars.ohlcv.copy()
        ohlcv[:, :, : CLOSE + 1] /= ohlcv[-1, :, CLOSE][:, None]
        return dataclasses.replace(bars, ohlcv=ohlcv)


@pytest.mark.parametrize(
    ("make", "column"),
    [
        (BarsSource, None),
        (lambda bars: Largest(BarsSource(bars), hindsight=False), None),
        (lambda bars: Largest(BarsSource(bars), hindsight=True), "symbols"),
        (Survivors, "symbols"),
        (Restated, "ohlcv"),
    ],
)
def test_a_universe_of_hindsight_is_found(random_bars: MakeBars, make: Any, column: str | None) -> None:
    source, log, cut = make(random_bars(n_symbols=5)), AuditLog(), HistoryCut(None, None, None, None)
    check_universe(log, source, cut, cut.load(source), 3, 0)
    assert stages(log) == ([] if column is None else [("universe", column)])


def test_a_source_that_refuses_other_markets_is_noted(random_bars: MakeBars) -> None:
    @dataclass(frozen=True)
    class Whole(BarsSource):
        def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
            if end_ms is not None:
                raise DataError("the whole of it", found="a part", fix="ask for all")
            return super().history(start_ms, end_ms)

    source, log, cut = Whole(random_bars()), AuditLog(), HistoryCut(None, None, None, None)
    check_universe(log, source, cut, cut.load(source), 2, 0)
    assert not log.found()
    assert any("refused" in note for note in log.notes)


def flips(bars: Bars) -> Signal:
    """Long while the last close rose, short while it fell."""
    rose = np.zeros(bars.state.shape, dtype=np.int8)
    rose[1:] = np.where(bars.close[1:] > bars.close[:-1], 1, -1)
    sure = np.ones(bars.state.shape)
    proba = np.eye(3)[rose + 1]
    return Signal(rose, proba, sure, sure.copy(), np.ones(rose.shape, np.int8), 0.004 * bars.close)


@dataclass(frozen=True)
class Cheat:
    """An engine that is wrong in one way."""

    inner: Scan
    how: str

    def run(self, bars: Bars, signal: Signal, strategy: Any, *, limits_on: bool = True) -> Simulation:
        if self.how == "same bar":
            early = Signal(**{k: np.roll(v, -1, axis=0) for k, v in vars(signal).items() if v is not None})
            return self.inner.run(bars, early, strategy, limits_on=limits_on)
        if self.how == "size":
            coming = np.abs(np.roll(bars.close, -1, axis=0) / bars.close - 1.0)
            sized = dataclasses.replace(signal, confidence=np.clip(50.0 * coming, 0.1, 1.0))
            return self.inner.run(bars, sized, strategy, limits_on=limits_on)
        done = self.inner.run(bars, signal, strategy, limits_on=limits_on)
        orders = done.orders.copy()
        if self.how == "price":
            orders["price"] *= np.where(orders["side"] == 0, 0.999, 1.001)
        return dataclasses.replace(done, orders=orders)


@pytest.fixture(scope="module")
def strategy() -> Any:
    cfg = compose("trading/policy=ensemble_threshold", "trading/sizer=confidence_fraction")
    return build(cfg.strategy)


@pytest.mark.parametrize("how", ["", "same bar", "price", "size"])
@pytest.mark.parametrize("limits_on", [False, True])
def test_a_fill_that_knows_too_much_is_found(random_bars: MakeBars, strategy: Any, how: str, limits_on: bool) -> None:
    bars = random_bars(n_bars=300)
    signal = flips(bars)
    account = AuditedAccount(Cheat(Scan(10_000.0), how), bars, signal, strategy(signal=FixedSignal(signal)), limits_on)
    log = AuditLog()
    simulation = check_fills(log, account, 8, 0)
    assert len(simulation.orders) > 50
    if how:
        assert stages(log)[0][0] == ("sizing" if how == "size" else "fill")
    else:
        assert not log.found()


def test_honest_fills_are_not_better_and_a_cent_is_seen(random_bars: MakeBars, strategy: Any) -> None:
    bars = random_bars(n_bars=300)
    signal = flips(bars)
    account = AuditedAccount(Scan(10_000.0), bars, signal, strategy(signal=FixedSignal(signal)))
    done = account.run(bars, signal)
    assert list(better_fills(account, done)) == []
    orders = done.orders.copy()
    market = int(np.flatnonzero((orders["side"] == 0) & (done.reasons == 0))[0])
    orders["price"][market] *= 1.0 - 1e-6
    assert [f.column for f in better_fills(account, dataclasses.replace(done, orders=orders))] == ["order.price"]


def test_an_account_without_fills_is_noted(random_bars: MakeBars, strategy: Any) -> None:
    bars, log = random_bars(n_bars=100), AuditLog()
    silent = dataclasses.replace(flips(bars), side=np.zeros(bars.state.shape, np.int8))
    check_fills(log, AuditedAccount(Scan(1e4), bars, silent, strategy(signal=FixedSignal(silent))), 4, 0)
    assert any("no fill" in note for note in log.notes)


@pytest.mark.parametrize(
    ("field", "stage"), [("proba", "calibrator"), ("side", "tuning"), ("confidence", "sizing"), ("atr", "feature")]
)
def test_what_a_learner_changes_afterwards_is_traced(random_bars: MakeBars, field: str, stage: str) -> None:
    bars, log = random_bars(), AuditLog()

    def learn(world: Bars) -> Study:
        signal = flips(world)
        coming = world.close[-1, 0] > world.close[299, 0]
        changed = getattr(signal, field).copy()
        changed[-150:] = changed[-150:] if coming else -changed[-150:]
        return Study(dataclasses.replace(signal, **{field: changed}), 200, 400, None, None)

    check_studies(log, learn, bars, learn(bars), [300], 0, learned=True)
    assert stages(log)[:1] == [(stage, f"signal.{field}")]
    clean = AuditLog()
    check_studies(
        clean,
        lambda world: Study(flips(world), 200, 400, None, None),
        bars,
        Study(flips(bars), 200, 400, None, None),
        [300],
        0,
        learned=True,
    )
    assert not clean.found()


def test_a_plain_signal_is_asked_again_and_a_played_one_is_noted(random_bars: MakeBars) -> None:
    bars = random_bars()

    @dataclass(frozen=True)
    class Peek:
        ahead: int

        def signal(self, world: Bars) -> Signal:
            said = flips(world)
            return dataclasses.replace(said, side=np.roll(said.side, -self.ahead, axis=0))

    for ahead, leaks in ((0, False), (1, True)):
        log = AuditLog()
        check_plain_signal(log, Peek(ahead), bars, Peek(ahead).signal(bars), [200, 300], 0)
        assert log.found() == leaks
    log = AuditLog()
    played = FixedSignal(flips(bars))
    check_plain_signal(log, played, bars, played.signal(bars), [200], 0)
    assert any("do not depend on the bars" in note for note in log.notes)


def test_shuffled_labels_keep_counts_times_and_weights(random_bars: MakeBars) -> None:
    bars = random_bars()
    atr = 0.004 * bars.close
    real, shuffled = BARRIERS.label(bars, atr), ShuffledLabels(BARRIERS, 1).label(bars, atr)
    assert np.array_equal(np.sort(real.label, axis=0), np.sort(shuffled.label, axis=0))
    assert (real.label != shuffled.label).mean() > 0.4
    for name in ("weight", "known_at_ms"):
        assert np.array_equal(getattr(real, name), getattr(shuffled, name))
    assert ShuffledLabels(BARRIERS, 1).horizon == 12


def report_of(auc: float | None, se: float | None = 0.01) -> SignalReport:
    return SignalReport(None, None, None, {"m": MemberReport(auc, se, None, None, None)}, (), 3_000)


@pytest.mark.parametrize(("auc", "leaks"), [(0.5, False), (0.53, False), (0.58, True), (0.42, True), (None, False)])
def test_shuffled_labels_must_teach_nothing(random_bars: MakeBars, auc: float | None, leaks: bool) -> None:
    """1,000 rows of each class: one error is 0.0129, five are 0.0645."""
    log = AuditLog()
    study = Study(flips(random_bars()), 0, 400, None, report_of(auc))
    check_shuffled_auc(log, study, 5.0)
    assert log.found() == leaks


@pytest.mark.parametrize(
    ("auc", "oracle", "leaks"),
    [(0.585, None, False), (0.595, None, True), (0.63, 0.60, False), (0.645, 0.60, True), (None, None, False)],
)
def test_an_auc_that_cannot_be_is_a_leak(auc: float | None, oracle: float | None, leaks: bool) -> None:
    log = AuditLog()
    check_auc(log, report_of(auc), oracle)
    assert log.found() == leaks


def test_a_late_signal_says_nothing_at_first(random_bars: MakeBars) -> None:
    signal = flips(random_bars())
    late = delayed(signal)
    assert np.array_equal(late.side[1:], signal.side[:-1])
    assert not late.side[0].any()
    assert np.isnan(late.confidence[0]).all()


def test_findings_are_told_in_the_order_of_the_stages() -> None:
    log = AuditLog()
    log.check("fill", "late", 1, [LeakFinding("fill", "a", "b", "c")])
    log.check("label", "early", 1, [LeakFinding("label", "a", "b", "c")])
    report = log.report()
    assert report.first_finding is not None
    assert report.first_finding.stage == "label"
    assert report.as_dict()["leaks"] is True
