"""Whole runs: what a run folder holds, and that nothing but data, configuration and seed moves a number."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from quantlab.core.files import sha256_file

Command = Callable[..., subprocess.CompletedProcess[str]]

FILES = {
    "config.yaml", "metrics.json", "manifest.json", "report.html", "orders.parquet", "equity.parquet", "log.jsonl",
}  # fmt: skip
RUN_KEYS = {"sharpe", "sharpe_se", "max_drawdown", "trades", "turnover", "cost_share", "stop_hit_share"}


def only_run(folder: Path, experiment: str) -> Path:
    """The one run folder below `folder`."""
    runs = list((folder / "runs" / experiment).iterdir())
    assert len(runs) == 1, runs
    return runs[0]


def test_baseline_writes_a_whole_run(quantlab_cli: Command, tmp_path: Path) -> None:
    done = quantlab_cli("debug=tiny")
    assert done.returncode == 0, done.stderr
    run = only_run(tmp_path, "baseline")
    assert {path.name for path in run.iterdir()} == FILES
    assert str(run / "report.html") in done.stdout
    check_metrics(run, members=set())
    manifest = json.loads((run / "manifest.json").read_text())
    for name, digest in manifest["files_sha256"].items():
        assert sha256_file(run / name) == digest
    orders, equity = pq.read_table(run / "orders.parquet"), pq.read_table(run / "equity.parquet")
    evidence = json.loads((run / "metrics.json").read_text())["evidence"]
    assert orders.filter(np.array(orders["run"]) == "evidence").num_rows == evidence["orders"]
    assert equity["evidence_equity"][-1].as_py() == evidence["final_equity"]


def check_metrics(run: Path, members: set[str]) -> dict[str, object]:
    """The agreed content of ``metrics.json``."""
    metrics: dict[str, object] = json.loads((run / "metrics.json").read_text())
    assert metrics["verdict"] in ("edge", "no evidence of an edge", "not enough data")
    evidence, lived = metrics["evidence"], metrics["lived"]
    assert isinstance(evidence, dict)
    assert isinstance(lived, dict)
    assert evidence.keys() >= RUN_KEYS
    assert lived.keys() >= RUN_KEYS | {"halted_at"}
    assert metrics.keys() >= {
        "experiment",
        "consensus_rate",
        "mean_confidence",
        "buy_share",
        "feature_fingerprint",
        "data_fingerprint",
    }
    assert isinstance(metrics["members"], dict)
    assert set(metrics["members"]) == members
    for member in metrics["members"].values():
        assert member.keys() >= {"auc", "auc_se", "log_loss", "weight", "influence"}
    return metrics


def test_job_backtest_prints_and_keeps_both_accounts(quantlab_cli: Command, tmp_path: Path) -> None:
    done = quantlab_cli("job=backtest", "debug=tiny")
    assert done.returncode == 0, done.stderr
    run = only_run(tmp_path, "baseline")
    assert {path.name for path in run.iterdir()} == FILES - {"report.html"}


def test_doctor_passes_here(quantlab_cli: Command, tmp_path: Path) -> None:
    done = quantlab_cli("job=doctor", "debug=tiny")
    assert done.returncode == 0, done.stdout + done.stderr
    for line in ("python", "versions", "parquet engine", "numba cache", "disk", "clock", "data"):
        assert line in done.stdout
    assert quantlab_cli("job=doctor", "data=parquet").returncode == 0
    broken = quantlab_cli("job=doctor", "data=parquet", f"data.root={tmp_path / 'absent'}")
    assert broken.returncode == 2
    assert "absent" in broken.stdout


def test_same_bytes_whatever_the_workers_the_cache_and_the_folder(quantlab_cli: Command, tmp_path: Path) -> None:
    """Three runs of the learned experiment: cold with 2 workers; cold with 1, elsewhere; warm."""
    here, there = tmp_path / "here", tmp_path / "there"
    contents = []
    for folder, workers, cold in ((here, 2, True), (there, 1, True), (here, 1, False)):
        folder.mkdir(exist_ok=True)
        shutil.rmtree(folder / "runs", ignore_errors=True)
        assert cold or (folder / ".cache").is_dir()
        done = quantlab_cli("experiment=ensemble_v2", "debug=tiny", f"workers={workers}", cwd=folder)
        assert done.returncode == 0, done.stderr
        contents.append((only_run(folder, "ensemble_v2") / "metrics.json").read_bytes())
    assert contents[0] == contents[1] == contents[2]
    metrics = check_metrics(only_run(here, "ensemble_v2"), members={"xgboost", "lightgbm"})
    assert isinstance(metrics["evidence"], dict)
    assert metrics["evidence"]["orders"] > 0


@pytest.mark.slow
def test_real_data_smoke(quantlab_cli: Command, tmp_path: Path, perps_5m: Path) -> None:
    done = quantlab_cli(
        "experiment=ensemble_v2",
        "debug=tiny",
        "data=parquet",
        f"data.root={perps_5m}",
        "data.symbols=[BTC,ETH,SOL,NOT]",
    )
    assert done.returncode == 0, done.stderr
    check_metrics(only_run(tmp_path, "ensemble_v2"), members={"xgboost", "lightgbm"})
