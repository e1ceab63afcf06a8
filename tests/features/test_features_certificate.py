"""The warm-up certificate: exact for windows, honest for recursions, loud when a promise is broken."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from quantlab.core.errors import ConfigError, ContractError, HistoryError
from quantlab.core.market import Bars, BarState
from quantlab.core.progress import SilentProgress
from quantlab.features import NAMES, WARMUP, ExtraFeature, FeaturePipeline, window_function
from quantlab.features.certificate import WarmupCertificate, certify
from quantlab.features.kernels.recursions import WILDER_14, follow
from quantlab.jobs.research import warmup as job

INTERVAL = 300_000
HORIZON = 1_700

#: Bars that a window needs on bars that always move and trade: its own length, and one more where it reads returns.
EXACT = {
    "ret_1": 2,
    "rv_288": 289,
    "mom_z_12": 289,
    "mom_z_288": 289,
    "vwap_dist_288": 288,
    "efficiency_20": 21,
    "linreg_r2_20": 20,
    "bb_width_20": 20,
    "yang_zhang_24": 25,
    "parkinson_share_48": 49,
    "autocorr_48": 50,
    "cmf_20": 20,
    "obv_20": 21,
    "mfi_14": 15,
    "bvc_imbalance_48": 48 + 288,
}


@window_function
def oldest(bars):
    """The change of the close over the whole window."""
    return bars[-1, 3] / bars[0, 3] - 1.0


OLDEST_90 = ExtraFeature("oldest_90", oldest, 90, -1.0, np.inf, 0.0, "C / C_89 - 1", 1)


def run(bars: Bars, restarts: int = 60, seed: int = 1, extra: tuple[ExtraFeature, ...] = ()) -> WarmupCertificate:
    pipeline = FeaturePipeline(interval_ms=bars.interval_ms, threads=1, extra=extra)
    with SilentProgress().stage("restarts", 1) as stage:
        return certify(pipeline, bars, restarts=restarts, horizon=HORIZON, seed=seed, stage=stage)


@pytest.fixture(scope="module")
def bars(random_bars: Callable[..., Bars]) -> Bars:
    return random_bars(9, 4_000, 3)


@pytest.fixture(scope="module")
def certificate(bars: Bars) -> WarmupCertificate:
    return run(bars, extra=(OLDEST_90,))


def test_windows_need_exactly_their_length(certificate):
    most = {need.name: need.most for need in certificate.needs}
    assert {name: most[name] for name in EXACT} == EXACT
    assert most["oldest_90"] == 90
    assert tuple(most) == (*NAMES, "oldest_90")


def test_the_promise_holds_and_recursions_need_hundreds_of_bars(certificate):
    assert certificate.broken == ()
    assert certificate.warmup == WARMUP
    assert certificate.restarts == 60
    for need in certificate.needs:
        assert 2 <= need.median <= need.p99 <= need.most <= WARMUP
    most = {need.name: need.most for need in certificate.needs}
    assert all(most[name] > 300 for name in ("rsi_14", "natr_14", "adx_14", "ema_dist_atr_50", "macd_atr"))


def test_a_recursion_needs_what_following_two_starts_by_hand_says(random_bars):
    """natr_14 of one restart, from the recursion alone."""
    bars = random_bars(4, WARMUP + HORIZON + 1, 1)  # room for a single place
    certificate = run(bars, restarts=1)
    _, high, low, close, _ = bars.ohlcv[:, 0].T
    before = np.concatenate([close[:1], close[:-1]])
    reach = np.maximum(high - low, np.maximum(abs(high - before), abs(low - before)))
    start = WARMUP
    truth = np.empty(bars.n_bars)
    y = reach[0]
    for t in range(bars.n_bars):
        y = reach[0] if t == 0 else follow.py_func(y, reach[t], WILDER_14, 1e-12 * close[t])
        truth[t] = y
    reach[start] = high[start] - low[start]  # the restarted symbol's first bar follows itself
    y, last = reach[start], 0
    for t in range(start + 1, start + HORIZON):
        y = follow.py_func(y, reach[t], WILDER_14, 1e-12 * close[t])
        if y / close[t] != truth[t] / close[t]:
            last = t - start
    natr = next(need for need in certificate.needs if need.name == "natr_14")
    assert natr.most == last + 2
    assert natr.symbol == "S00"
    assert natr.restarted == "2025-03-21T08:00:00Z"


def test_the_seed_chooses_the_places_and_nothing_else(bars, certificate):
    again = run(bars, extra=(OLDEST_90,))
    assert again == certificate
    other = run(bars, seed=2, extra=(OLDEST_90,))
    assert [n.restarted for n in other.needs] != [n.restarted for n in certificate.needs]


def test_restarts_stay_off_holes_and_warm_ups(random_bars):
    whole = random_bars(5, 5_000, 2)
    ohlcv, state = whole.ohlcv.copy(), whole.state.copy()
    ohlcv[:1_000, 1], state[:1_000, 1] = np.nan, BarState.ABSENT
    ohlcv[3_000, 0], state[3_000, 0] = np.nan, BarState.ABSENT
    certificate = run(dataclasses.replace(whole, ohlcv=ohlcv, state=state), restarts=200)
    assert certificate.broken == ()
    assert 0 < certificate.restarts < 200


def test_what_was_not_reached_is_said_to_need_more(certificate):
    strict = dataclasses.replace(certificate, warmup=300)
    assert strict.broken
    assert strict.broken[0].most == max(need.most for need in certificate.needs)
    assert {need.name for need in strict.broken} >= {"rsi_14", "bvc_imbalance_48"}


def test_what_is_advised_for_a_short_history_works(random_bars):
    short = FeaturePipeline(interval_ms=INTERVAL, threads=1, columns=("bb_width_20", "mfi_14"))
    warmup = short.warmup

    def try_it(n_bars, horizon):
        with SilentProgress().stage("restarts", 1) as stage:
            return certify(short, random_bars(0, n_bars, 1), restarts=1, horizon=horizon, seed=0, stage=stage)

    with pytest.raises(
        HistoryError, match=rf"found {warmup} at most. Load a history with {2 * warmup + 2} bars or more"
    ):
        try_it(warmup, warmup + 1)
    assert try_it(2 * warmup + 2, warmup + 1).restarts == 1
    with pytest.raises(HistoryError, match=rf"job\.horizon={2 * warmup - 1} at most"):
        try_it(3 * warmup, 3 * warmup)
    assert try_it(3 * warmup, 2 * warmup - 1).restarts == 1


def test_too_little_history_and_impossible_numbers_are_refused(random_bars):
    with pytest.raises(
        HistoryError, match=f"{WARMUP + HORIZON + 1} bars without a hole; found {WARMUP + HORIZON} at most"
    ):
        run(random_bars(0, WARMUP + HORIZON, 1))
    with pytest.raises(ConfigError, match=r"job\.restarts"):
        run(random_bars(0, 10, 1), restarts=0)
    with pytest.raises(ConfigError, match="a FeaturePipeline; found NoneType"):
        certify(None, random_bars(0, 10, 1), restarts=1, horizon=HORIZON, seed=0, stage=None)
    with pytest.raises(ContractError, match="60000 ms"):
        certify(
            FeaturePipeline(INTERVAL, 1),
            random_bars(0, 10, 1, interval_ms=60_000),
            restarts=1,
            horizon=HORIZON,
            seed=0,
            stage=None,
        )


def composed(repository: Path, runs: Path, *overrides: str):
    with initialize_config_dir(str(repository / "conf"), version_base="1.3"):
        cfg = compose("config", ["job=warmup", "experiment_name=x", f"runs_dir={runs}", *overrides])
    OmegaConf.set_struct(cfg, False)
    return cfg


SMALL = ("history.bars=4500", "history.symbols=2", "job.restarts=20", "job.horizon=1600")


def test_the_job_prints_and_keeps_the_table(repository, tmp_path, capsys):
    most = job.run(composed(repository, tmp_path, *SMALL))
    run_folder = next((tmp_path / "checks" / "warmup").iterdir())
    kept = json.loads((run_folder / "warmup.json").read_text())
    assert {path.name for path in run_folder.iterdir()} == {"config.yaml", "log.jsonl", "manifest.json", "warmup.json"}
    assert [need["name"] for need in kept["needs"]] == list(NAMES)
    assert kept["synthetic"] is True
    assert max(need["most"] for need in kept["needs"]) == most <= WARMUP
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("rsi_14", "bvc_imbalance_48", str(run_folder)))


def test_the_job_fails_loudly_and_keeps_the_evidence(repository, tmp_path, monkeypatch, capsys):
    real = job.certify
    monkeypatch.setattr(job, "certify", lambda *a, **k: dataclasses.replace(real(*a, **k), warmup=300))
    with pytest.raises(ContractError, match=r"after 300 bars.*ema_dist_atr_50 needing \d+ in SYN0\d from 2025-"):
        job.run(composed(repository, tmp_path, *SMALL))
    assert (next((tmp_path / "checks" / "warmup").iterdir()) / "warmup.json").is_file()
