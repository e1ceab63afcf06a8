from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from quantlab.core.clock import MS_PER_DAY
from quantlab.core.types import BUY, HOLD, SELL
from quantlab.learning.ensemble.ensemble import Ensemble, FittedEnsemble
from quantlab.learning.ensemble.influence import Influence, measure_influence
from quantlab.learning.ensemble.pooling import PooledForecast
from quantlab.learning.ensemble.scores import Auc, directional_auc, log_loss, reliability
from quantlab.learning.ensemble.signal_report import OutOfSampleRows, signal_report

HOUR_MS = 3_600_000


def _world(seed: int, bars: int, symbols: int, edge: float = 0.3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, (bars, symbols)).astype(np.int8)
    logits = rng.normal(0.0, 1.0, (bars, symbols, 3)) + edge * np.eye(3)[label]
    proba = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    return proba.astype(np.float32), label, HOUR_MS * np.arange(bars, dtype=np.int64)


def _auc(proba: np.ndarray, label: np.ndarray, times: np.ndarray, rows: np.ndarray | None = None) -> Auc:
    every = np.ones(label.shape, dtype=bool)
    return directional_auc(proba, label, every if rows is None else rows, times, bootstrap_samples=400, seed=3)


@pytest.mark.parametrize("digits", [7, 1])
def test_auc_is_sklearns_with_and_without_ties(digits: int) -> None:
    proba, label, times = _world(0, 300, 4)
    proba = np.round(proba, digits)
    rows = np.random.default_rng(1).random(label.shape) < 0.7
    proba[5:9, 2] = np.nan
    used = rows & (label != HOLD) & np.isfinite(proba).all(axis=-1)
    chosen = proba[used].astype(float)
    both = chosen[:, BUY] + chosen[:, SELL]
    score = np.divide(chosen[:, BUY], both, out=np.full(len(both), 0.5), where=both > 0)
    assert _auc(proba, label, times, rows).value == pytest.approx(roc_auc_score(label[used] == BUY, score), abs=1e-12)


def test_day_block_bootstrap_is_the_naive_one() -> None:
    """The pair counts give the AUC of resampled rows, and so their spread."""
    proba, label, times = _world(2, 24 * 8, 2)
    auc = _auc(proba, label, times)
    day = np.broadcast_to((times // MS_PER_DAY)[:, None], label.shape)
    score = proba[..., BUY].astype(float) / (proba[..., BUY].astype(float) + proba[..., SELL])
    draws = np.random.default_rng(3).multinomial(8, np.full(8, 1 / 8), size=400)
    values = []
    for draw in draws:
        kept = [(label != HOLD) & (day == d) for d in range(8)]
        truth = np.concatenate([np.tile(label[kept[d]] == BUY, k) for d, k in enumerate(draw) if k])
        scores = np.concatenate([np.tile(score[kept[d]], k) for d, k in enumerate(draw) if k])
        values.append(roc_auc_score(truth, scores))
    assert auc.se == pytest.approx(np.std(values, ddof=1), rel=1e-9)


def test_on_independent_rows_the_error_is_hanley_and_mcneils() -> None:
    proba, label, times = _world(4, 24 * 60, 3, edge=0.2)
    auc = _auc(proba, label, times)
    assert auc.value is not None
    a, buys, sells = auc.value, (label == BUY).sum(), (label == SELL).sum()
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    variance = (a * (1 - a) + (buys - 1) * (q1 - a * a) + (sells - 1) * (q2 - a * a)) / (buys * sells)
    assert auc.se == pytest.approx(np.sqrt(variance), rel=0.2)


def test_days_that_move_together_widen_the_error() -> None:
    rng = np.random.default_rng(5)
    times = HOUR_MS * np.arange(24 * 60, dtype=np.int64)
    good_day = np.repeat(rng.normal(0.0, 1.5, 60), 24)[:, None]
    label = rng.choice(np.array([SELL, BUY], dtype=np.int8), (len(times), 3))
    lean = good_day * np.where(label == BUY, 1.0, -1.0) + rng.normal(0.0, 1.0, label.shape)
    buy = 1.0 / (1.0 + np.exp(-lean))
    together = np.stack([1 - buy, np.zeros_like(buy), buy], axis=-1).astype(np.float32)
    shuffled = rng.permutation(len(times))
    independent = _auc(together[shuffled], label[shuffled], times)
    assert _auc(together, label, times).se > 3 * independent.se


def test_undefined_auc_says_why() -> None:
    proba, label, times = _world(6, 10, 2)
    only_buys = np.full_like(label, BUY)
    nothing = _auc(proba, only_buys, times)
    assert nothing.value is None
    assert "each class" in nothing.undefined["auc"]
    one_day = _auc(proba, label, times)
    assert one_day.value is not None
    assert one_day.se is None
    assert "one day" in one_day.undefined["auc_se"]


def test_log_loss_is_sklearns() -> None:
    proba, label, _ = _world(7, 50, 3)
    proba = proba.astype(np.float64)
    proba /= proba.sum(axis=-1, keepdims=True)
    weight = np.random.default_rng(8).random(label.shape).astype(np.float32)
    rows = weight > 0.3
    expected = sklearn_log_loss(label[rows], proba[rows], sample_weight=weight[rows])
    assert log_loss(proba, label, weight, rows) == pytest.approx(expected, rel=1e-12)
    assert log_loss(proba, label, weight, np.zeros_like(rows)) is None
    assert log_loss(np.full_like(proba, 1 / 3), label, weight, rows) == pytest.approx(np.log(3))


def test_reliability_by_hand_and_on_a_calibrated_forecast() -> None:
    confidence = np.array([0.4, 0.4, 0.4, 0.4, 0.6, 0.8])
    correct = np.array([True, False, False, True, True, True])
    assert reliability(confidence, correct, n_bins=2) == ((pytest.approx(0.4), 0.5, 4), (pytest.approx(0.7), 1.0, 2))
    rng = np.random.default_rng(9)
    honest = rng.uniform(0.34, 0.6, 40_000)
    curve = reliability(honest, rng.random(40_000) < honest)
    assert len(curve) == 10
    assert sum(count for _, _, count in curve) == 40_000
    for predicted, observed, count in curve:
        assert observed == pytest.approx(predicted, abs=4 * np.sqrt(0.25 / count))
    assert reliability(np.empty(0), np.empty(0, dtype=bool)) == ()


# --- influence and the report ----------------------------------------------------------------------

RULES = Ensemble(
    min_confidence=0.36,
    min_consensus=0.5,
    quorum=1,
    liveness_bars=50,
    min_weight=0.1,
    max_weight=0.6,
    min_gain_bps=0.0,
    move_atr=2.0,
)


def _move(members: np.ndarray) -> np.ndarray:
    """A label's move of 1 %, everywhere."""
    return np.full(members.shape[1:3], 100.0)


def _constructed() -> tuple[FittedEnsemble, np.ndarray]:
    """Ten bars on one symbol: `a` decides in six of them, `b` in two, `c` never changes a thing."""
    ensemble = FittedEnsemble(RULES, ("a", "b", "c"), (0.5, 0.3, 0.2), 1.0)
    buy, sell, hold, mild = (0.1, 0.2, 0.7), (0.7, 0.2, 0.1), (0.25, 0.5, 0.25), (0.2, 0.2, 0.6)
    rows = [
        *[(buy, sell, hold)] * 6,  # all: .31 .26 .43 BUY at consensus .5; without a: SELL wins
        *[(hold, buy, buy)] * 2,  # all: .175 .35 .475 BUY; without b: .207 .414 .379 HOLD
        *[((0.1, 0.8, 0.1), mild, mild)] * 2,  # all: .15 .5 .35 HOLD; without a: BUY, but nothing was decided
    ]
    members = np.array(rows, dtype=np.float32).transpose(1, 0, 2)[:, :, None, :]
    return ensemble, np.ascontiguousarray(members)


def test_influence_on_a_constructed_case() -> None:
    ensemble, members = _constructed()
    pooled, _ = ensemble.pool(members, ensemble.begin(1), _move(members))
    np.testing.assert_array_equal(pooled.side[:, 0], [1] * 8 + [0] * 2)
    influence = measure_influence(ensemble, members, _move(members), pooled, 0)
    assert influence.decided == 8
    # Without a the last two BUY rows stay BUY; without b the first six stay BUY (.2/.7 HOLD, .5/.7 BUY).
    assert influence.flipped["a"] == 6
    assert influence.flipped["b"] == 2
    later = measure_influence(ensemble, members, _move(members), pooled, 6)
    assert later.decided == 2
    assert later.flipped["a"] == 0
    assert influence + later == Influence(10, {k: v + later.flipped[k] for k, v in influence.flipped.items()})


def test_influence_is_not_the_quorums() -> None:
    """With a quorum of all, leaving one out must not count as a flip everywhere."""
    loose, members = _constructed()
    strict = dataclasses.replace(loose, rules=dataclasses.replace(RULES, quorum=3))
    pooled, _ = strict.pool(members, strict.begin(1), _move(members))
    expected = measure_influence(
        loose, members, _move(members), loose.pool(members, loose.begin(1), _move(members))[0], 0
    )
    assert measure_influence(strict, members, _move(members), pooled, 0) == expected
    # And a member that is really needed: on its own side of a pair of opposites.
    pair = FittedEnsemble(dataclasses.replace(RULES, quorum=2), ("a", "b"), (0.6, 0.4), 1.0)
    two = np.ascontiguousarray(members[:2, :6])
    both, _ = pair.pool(two, pair.begin(1), _move(two))
    assert measure_influence(pair, two, _move(two), both, 0).flipped == {"a": 6, "b": 0}


def _tested_rows(
    ensemble: FittedEnsemble, members: np.ndarray, label: np.ndarray, pooled: PooledForecast
) -> OutOfSampleRows:
    return OutOfSampleRows(
        members=dict(zip(ensemble.names, members, strict=True)),
        weights=dict(zip(ensemble.names, ensemble.weights, strict=True)),
        influence=measure_influence(ensemble, members, _move(members), pooled, 0),
        pooled=pooled,
        label=label,
        weight=np.ones(label.shape, dtype=np.float32),
        rows=label >= 0,
        open_time_ms=MS_PER_DAY // 4 * np.arange(len(label), dtype=np.int64),
    )


def test_report_by_hand() -> None:
    ensemble, members = _constructed()
    pooled, _ = ensemble.pool(members, ensemble.begin(1), _move(members))
    label = np.array([2, 2, 2, 0, 0, 1, 2, 0, 1, -1], dtype=np.int8)[:, None]
    report = signal_report(_tested_rows(ensemble, members, label, pooled), bootstrap_samples=50, seed=0)
    assert report.consensus_rate == 0.0  # .5 six times, .5 twice
    assert report.mean_confidence == pytest.approx((6 * 0.43 + 2 * 0.475) / 8, rel=1e-6)
    assert report.buy_share == 1.0
    assert report.evaluated_rows == 9
    assert sum(count for _, _, count in report.reliability) == 9
    assert report.members["a"].influence == pytest.approx(0.75)
    assert report.members["b"].weight == 0.3
    assert report.undefined == {}
    a = members[0, :9, 0].astype(float)
    assert report.members["a"].log_loss == pytest.approx(-np.log(a[np.arange(9), label[:9, 0]]).mean())


def test_report_without_decisions_is_unknown() -> None:
    ensemble, members = _constructed()
    members = members[:, -2:]
    pooled, _ = ensemble.pool(members, ensemble.begin(1), _move(members))
    label = np.array([[1], [1]], dtype=np.int8)
    report = signal_report(_tested_rows(ensemble, members, label, pooled), bootstrap_samples=50, seed=0)
    assert (report.consensus_rate, report.mean_confidence, report.buy_share) == (None, None, None)
    assert set(report.undefined) == {"consensus_rate", "mean_confidence", "buy_share"}
    for member, metric in itertools.product(report.members.values(), ("auc", "auc_se", "influence")):
        assert getattr(member, metric) is None
        assert member.undefined[metric]
