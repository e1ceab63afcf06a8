"""Drift against scipy's and numpy's figures on the same samples, over a window that forgets."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from scipy.stats import ks_2samp

from quantlab.core.errors import ArtifactError, ConfigError, ContractError, HistoryError
from quantlab.core.types import Features
from quantlab.features import FeaturePipeline, feature_mismatch_total
from quantlab.features.drift import Drift, binned_ks, population_stability_index, psi_groups
from quantlab.features.drift_reference import DriftReference

RULES = Drift(
    bins=100,
    psi_bins=10,
    edge_rows=100_000,
    block_bars=50,
    blocks=4,
    min_rows=100,
    psi_warn=0.1,
    psi_alert=0.25,
    ks_warn=0.1,
    ks_alert=0.2,
)
NAMES = ("normal", "skewed", "pattern")


def make(seed: int, bars: int, shift: float = 0.0, symbols: int = 4) -> Features:
    """Three features, one of them with three values, some rows not ready."""
    rng = np.random.default_rng(seed)
    shape = (bars, symbols)
    columns = [
        rng.normal(shift, 1.0, shape),
        rng.lognormal(shift, 1.0, shape),
        rng.choice([-1.0, 0.0, 1.0], shape, p=[0.05, 0.9 - shift / 4, 0.05 + shift / 4]),
    ]
    values = np.ascontiguousarray(np.stack(columns, axis=-1).astype(np.float32))
    ready = rng.random(shape) < 0.9
    values[~ready] = np.nan
    return Features(values, ready, NAMES, "made")


def everything(features: Features) -> np.ndarray:
    return np.ones(features.ready.shape, dtype=bool)


@pytest.fixture(scope="module")
def training() -> Features:
    return make(0, 3_000)


@pytest.fixture(scope="module")
def reference(training: Features) -> DriftReference:
    return RULES.reference(training, everything(training))


def numpy_psi(before: np.ndarray, after: np.ndarray, edges: np.ndarray) -> float:
    """From the definition, with numpy's histogram over the same half-open bins mirrored."""
    bins = [-np.inf, *(-edges)[::-1], np.inf]  # numpy closes bins on the left: (a, b] mirrored is [-b, -a)
    p, q = (np.histogram(-x, bins)[0] + 0.5 for x in (before, after))
    p, q = p / p.sum(), q / q.sum()
    return float(np.sum((q - p) * np.log(q / p)))


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5, 2.0])
def test_ks_brackets_scipys_and_psi_is_numpys(training, reference, shift):
    recent = make(1, 200, shift)
    monitor = RULES.monitor(reference)
    monitor.update(recent)
    for column, drift in enumerate(monitor.report().features):
        before = training.values[training.ready][:, column].astype(np.float64)
        after = recent.values[recent.ready][:, column].astype(np.float64)
        exact = ks_2samp(before, after).statistic
        assert drift.ks - 1e-12 <= exact <= drift.ks + drift.ks_bound + 1e-12
        assert drift.ks_bound <= (0.95 if drift.name == "pattern" else 0.06)
        edges = np.array(reference.edges[column])
        groups = psi_groups(reference, 10)[column][: len(edges) + 1]
        merged = edges[np.flatnonzero(np.diff(groups))]  # the edges where one group ends
        assert drift.psi == pytest.approx(numpy_psi(before, after, merged), rel=1e-12, abs=1e-15)


def test_a_pattern_has_one_bin_a_value_and_an_exact_ks(training, reference):
    assert reference.edges[2] == (-1.0, 0.0)
    recent = make(1, 200, 0.5)
    monitor = RULES.monitor(reference)
    monitor.update(recent)
    before, after = (f.values[f.ready][:, 2].astype(np.float64) for f in (training, recent))
    assert monitor.report().features[2].ks == pytest.approx(ks_2samp(before, after).statistic, abs=1e-12)


def test_hand_computed():
    # p = (10.5, 10.5) / 21, q = (5.5, 15.5) / 21: (q - p) ln(q / p) summed.
    expected = (5 / 21) * np.log(15.5 / 10.5) - (5 / 21) * np.log(5.5 / 10.5)
    assert population_stability_index(np.array([10.0, 10, 0]), np.array([5.0, 15, 0])) == pytest.approx(expected)
    assert binned_ks(np.array([10, 10]), np.array([5, 15])) == (0.25, 0.5)
    assert binned_ks(np.array([10, 10]), np.array([0, 0])) == (0.0, 1.0)


def test_bins_hold_equal_shares_of_the_training(reference):
    counts = np.array(reference.counts[0])
    assert len(counts) == 100
    assert counts.sum() == reference.rows
    assert np.ptp(counts) <= 2
    shares = np.bincount(psi_groups(reference, 10)[0], weights=counts)
    assert np.ptp(shares) <= 20


@given(st.integers(0, 10_000), st.floats(-2, 2), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_ks_always_brackets_the_exact_one(seed, shift, size):
    rng = np.random.default_rng(seed)
    before = np.round(rng.normal(size=(500, 1)), 1).astype(np.float32)  # with ties
    after = np.round(rng.normal(shift, 1.0, (size, 1)), 1).astype(np.float32)
    ready = np.ones((500, 1), dtype=bool)
    reference = dataclasses.replace(RULES, bins=20).reference(Features(before[:, :, None], ready, ("x",), "p"), ready)
    monitor = RULES.monitor(reference)
    monitor.update(Features(after[:, :, None].copy(), ready[:size], ("x",), "p"))
    drift = monitor.report().features[0]
    exact = ks_2samp(before[:, 0].astype(float), after[:, 0].astype(float)).statistic
    assert drift.ks - 1e-12 <= exact <= drift.ks + drift.ks_bound + 1e-12
    assert drift.psi >= 0.0


def test_levels_and_sentences(reference):
    for shift, level in ((0.0, "stable"), (0.32, "warn"), (2.0, "alert")):
        monitor = RULES.monitor(reference)
        monitor.update(make(3, 200, shift))
        report = monitor.report()
        assert report.features[0].level == level, report.features[0]
    assert report.findings()[0].startswith("skewed has left its") or report.findings()[0].startswith("normal has left")
    assert {drift.name for drift in report.alerts} >= {"normal", "skewed"}
    assert [drift.psi for drift in report.alerts] == sorted((d.psi for d in report.alerts), reverse=True)
    calm = RULES.monitor(reference)
    calm.update(make(4, 200))
    assert calm.report().findings() == (f"All 3 features look as in training over {calm.report().rows:,} rows.",)


def test_too_few_rows_say_nothing(reference):
    monitor = RULES.monitor(reference)
    assert {d.level for d in monitor.report().features} == {"unknown"}
    monitor.update(make(5, 10, 2.0))
    report = monitor.report()
    assert {d.level for d in report.features} == {"unknown"}
    assert report.findings() == (f"Drift is unknown: {report.rows} rows so far, 100 are needed.",)
    assert report.alerts == report.warnings == ()


def test_the_window_is_the_last_blocks_whatever_the_chunks(reference):
    live = make(6, 1_030, 0.3)
    one = RULES.monitor(reference)
    one.update(live)
    chunked = RULES.monitor(reference)
    start, rng = 0, np.random.default_rng(7)
    while start < 1_030:
        stop = min(1_030, start + int(rng.integers(1, 120)))
        chunked.update(live.rows(start, stop))
        saved = chunked.state()
        chunked = RULES.monitor(reference)
        chunked.restore(saved)
        start = stop
    assert chunked.report() == one.report()
    assert one.bars == chunked.bars == 1_030
    assert one.window_bars == 180
    assert chunked.state() == one.state()
    assert len(one.state()) < 8 * RULES.blocks * len(NAMES) * 100 + 1_000  # 21 blocks were seen: memory is bounded
    last = RULES.monitor(reference)
    last.update(live.rows(850, 1_030))  # three whole blocks of 50 and the 30 of the running one
    assert last.report() == one.report()


def test_counts_of_another_training_or_window_are_refused(reference):
    monitor = RULES.monitor(reference)
    monitor.update(make(6, 20))
    other = RULES.reference(make(9, 500), np.ones((500, 4), dtype=bool))
    for stranger in (RULES.monitor(other), dataclasses.replace(RULES, block_bars=51).monitor(reference)):
        with pytest.raises(ContractError, match="training distribution"):
            stranger.restore(monitor.state())
        assert stranger.bars == stranger.window_bars == 0
    with pytest.raises(ArtifactError, match="drift state"):
        monitor.restore(monitor.state()[:-1] + b"x")
    dataclasses.replace(RULES, psi_alert=0.9).monitor(reference).restore(monitor.state())  # thresholds may change


def test_the_reference_survives_json(reference):
    again = DriftReference.from_dict(json.loads(json.dumps(reference.to_dict(), allow_nan=False)))
    assert again == reference
    assert hash(again) == hash(reference)


@pytest.mark.parametrize(
    "change",
    [
        {"names": ["a"]},
        {"edges": [[0.0]]},
        {"counts": [[1, -1], [0], [0]]},
        {"edges": [[1.0, 0.0], [], []]},
        {"edges": "x"},
        {"counts": None},
    ],
    ids=str,
)
def test_a_damaged_reference_is_refused(reference, change):
    with pytest.raises(ArtifactError, match="drift reference"):
        DriftReference.from_dict({**reference.to_dict(), **change})
    with pytest.raises(ArtifactError, match="drift reference"):
        DriftReference.from_dict({k: v for k, v in reference.to_dict().items() if k not in change})


def test_only_the_agreed_features_are_counted(reference):
    monitor = RULES.monitor(reference)
    before = feature_mismatch_total()
    good = make(8, 20)
    spoiled = good.values.copy()
    spoiled[3, np.argmax(good.ready[3]), 1] = np.nan
    for bad in (
        dataclasses.replace(good, names=("normal", "pattern", "skewed")),
        dataclasses.replace(good, fingerprint="other"),
        dataclasses.replace(good, values=spoiled),
    ):
        with pytest.raises(ContractError):
            monitor.update(bad)
    assert feature_mismatch_total() == before + 3
    assert monitor.report().rows == 0


def test_no_training_rows_are_refused(training):
    with pytest.raises(HistoryError, match="training rows"):
        RULES.reference(training, np.zeros(training.ready.shape, dtype=bool))


@pytest.mark.parametrize(
    "change", [{"bins": 5}, {"psi_bins": 1}, {"blocks": 0}, {"psi_warn": 0.3}, {"ks_warn": 0.0}, {"min_rows": -1}]
)
def test_impossible_rules_are_refused(change):
    with pytest.raises(ConfigError, match=r"drift\."):
        dataclasses.replace(RULES, **change)


def test_edges_come_from_some_rows_counts_from_all(training, reference):
    rough = dataclasses.replace(RULES, edge_rows=500).reference(training, everything(training))
    assert rough.rows == reference.rows
    assert rough.edges != reference.edges


def test_the_yaml_and_a_size_that_an_artifact_can_carry(random_bars, repository: Path):
    config = OmegaConf.load(repository / "conf" / "features" / "drift" / "default.yaml")
    rules = instantiate(config)
    features = FeaturePipeline(interval_ms=300_000, threads=1).transform(random_bars(1, 2_600, 3))
    reference = rules.reference(features, everything(features))
    assert len(json.dumps(reference.to_dict())) < 200_000
    monitor = rules.monitor(reference)
    monitor.update(features)
    assert max(drift.ks for drift in monitor.report().features) < 1e-12
    assert max(drift.psi for drift in monitor.report().features) < 1e-6
