"""A few hundred daily bars: too few for the warm-up of all 49, enough for a set of short windows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quantlab.core.errors import HistoryError
from quantlab.core.progress import SilentProgress
from quantlab.research import experiment

DAY_MS, DAYS = 86_400_000, 700
SHORT = ("features=short_windows", f"features.interval_ms={DAY_MS}")
CROSS = ("trading.signal.fast=5", "trading.signal.slow=20")
#: What was chosen for five minutes, in days.
LEARNED = (
    "+learning/models@learning.members.linear=linear",
    "+learning/models@learning.members.xgboost=xgboost",
    "signal=${learning.study}",
    "trading/policy=ensemble_threshold",
    *(f"learning.splits.{one}" for one in ("n_folds=2", "min_train_bars=200", "min_test_bars=60", "every_k=1")),
    "barriers.horizon=10",
    "learning.ensemble.min_confidence=0.33",
    "learning.ensemble.min_consensus=0.0",
    "learning.ensemble.quorum=1",
    "learning.ensemble.min_gain_bps=0",
    "learning.ensemble.liveness_bars=25",
)


def daily(seed: int) -> pd.DataFrame:
    """A slow wave with noise."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.03, DAYS) + 0.004 * np.sin(np.arange(DAYS) / 20.0)))
    open_ = np.concatenate([[100.0], close[:-1]])
    reach = np.exp(np.abs(rng.normal(0.0, 0.01, (2, DAYS))))
    return pd.DataFrame(
        {
            "open": open_,
            "high": np.maximum(open_, close) * reach[0],
            "low": np.minimum(open_, close) / reach[1],
            "close": close,
            "volume": rng.lognormal(14.0, 1.0, DAYS),
        },
        index=pd.date_range("2023-01-01", periods=DAYS, freq="D", tz="UTC", name="timestamp"),
    )


def test_a_backtest_begins_after_55_days(tmp_path: Path) -> None:
    """With the unified 49 the same history has not one ready row."""
    frames = {f"A{i}": daily(i) for i in range(3)}
    quiet = {"progress": SilentProgress()}
    lab = experiment("experiment=baseline", *SHORT, *CROSS, f"cache_dir={tmp_path}", **quiet).using(bars=frames)
    bars = lab.history()
    features = lab.features(bars)
    assert (features.ready[54:].all(), features.ready[:54].any()) == (True, False)
    result = lab.backtest(bars)
    assert result.run.study.first_row <= 55
    assert len(result.trades) > 20
    assert np.isfinite(result.run.signal.atr).all()
    whole = experiment("experiment=baseline", f"features.interval_ms={DAY_MS}", *CROSS, **quiet).using(bars=frames)
    assert not whole.features(bars).ready.any()
    with pytest.raises(HistoryError, match=r"1,536 bars; found 700 bars, .*features=short_windows"):
        whole.backtest(bars)


@pytest.mark.slow
def test_from_learning_to_a_restarted_session_on_days(quantlab_cli, tmp_path: Path) -> None:
    """Learn, promote, trade on paper, stop and go on; and the parity of that bundle: nothing differs."""
    (tmp_path / "days").mkdir()
    for i in range(4):
        daily(i).iloc[60 * (i == 3) :].reset_index().to_parquet(tmp_path / "days" / f"A{i}.parquet", index=False)
    market = ("data=parquet", f"data.root={tmp_path / 'days'}")

    def call(*arguments: str) -> str:
        done = quantlab_cli(*arguments)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    call("experiment=baseline", "experiment_name=days", *market, *SHORT, *LEARNED)
    (run,) = (tmp_path / "runs" / "days").iterdir()
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["evidence"]["trades"] > 50
    call("job=promote", f"run={run}", *market)
    (bundle,) = (tmp_path / "models" / "bundles").iterdir()
    session = ("job=paper", f"bundle={bundle}", *market, "execution.feed.start=2024-09-01", "experiment_name=paper")
    assert "40 bars" in call(*session, "job.bars=40")
    assert "the feed ended" in call(*session)
    needed = "job.needed={fills:100,stops:20,halts:0,holes:0,late_listings:0}"
    call("job=parity", f"bundle={bundle}", *market, needed)
    (kept,) = (tmp_path / "runs" / "parity").rglob("parity.json")
    parity = json.loads(kept.read_text())
    assert parity["verdict"] == "PASS"
    assert "55 bars" in (bundle / "manifest.json").read_text()
