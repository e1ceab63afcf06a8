"""Whole runs: what a run folder holds, and that nothing but data, configuration and seed moves a number."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from quantlab.core.files import sha256_file

Command = Callable[..., subprocess.CompletedProcess[str]]

FILES = {
    "config.yaml", "metrics.json", "manifest.json", "report.html", "orders.parquet", "equity.parquet", "log.jsonl",
    "trades.parquet", "benchmarks.parquet",
}  # fmt: skip
RUN_KEYS = {"sharpe", "sharpe_se", "max_drawdown", "trades", "turnover", "cost_share", "stop_hit_share"}


def only_run(folder: Path, experiment: str) -> Path:
    """The one run folder below `folder`."""
    runs = list((folder / "runs" / experiment).iterdir())
    assert len(runs) == 1, runs
    return runs[0]


def test_baseline_writes_a_whole_run(quantlab_cli: Command, tmp_path: Path) -> None:
    done = quantlab_cli("debug=tiny", "trading.costs.coarsest_tick=1e-9")
    assert done.returncode == 0, done.stderr
    run = only_run(tmp_path, "baseline")
    assert {path.name for path in run.iterdir()} == FILES
    assert str(run / "report.html") in done.stdout
    check_details(run, check_metrics(run, members=set()))
    manifest = json.loads((run / "manifest.json").read_text())
    for name, digest in manifest["files_sha256"].items():
        assert sha256_file(run / name) == digest
    orders, equity = pq.read_table(run / "orders.parquet"), pq.read_table(run / "equity.parquet")
    evidence = json.loads((run / "metrics.json").read_text())["evidence"]
    assert orders.filter(np.array(orders["run"]) == "evidence").num_rows == evidence["orders"]
    assert equity["evidence_equity"][-1].as_py() == evidence["final_equity"]
    unknown = json.loads((run / "metrics.json").read_text())["unknown_rules"]
    assert unknown.keys() == {"tick", "lot", "min_notional"}
    assert unknown["tick"]["fills"] == evidence["orders"] > 0
    assert unknown["lot"] == {"bars": 0, "fills": 0, "symbols": [], "bound": 1000.0}
    assert "The tick (price step) of" in (run / "report.html").read_text()


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


def check_details(run: Path, metrics: dict[str, Any]) -> None:
    """Details of both accounts, held against what the run's own files say."""
    orders, equity = (
        pq.read_table(run / "orders.parquet").to_pandas(),
        pq.read_table(run / "equity.parquet").to_pandas(),
    )
    for name in ("evidence", "lived"):
        found, summary = metrics["account_details"][name], metrics[name]
        path = equity.set_index("time")[f"{name}_equity"]
        daily = path.groupby(path.index.strftime("%Y-%m-%d")).last()
        months = daily.groupby(daily.index.str[:7]).last()
        grown = (months / months.shift(fill_value=summary["initial_cash"]) - 1.0).to_dict()
        assert found["months"] == pytest.approx(grown)
        assert found["worst_drawdowns"][0]["depth"] == pytest.approx(summary["max_drawdown"])
        assert found["exposure"]["gross_max"] == pytest.approx(
            (equity[f"{name}_gross"] / equity[f"{name}_equity"]).max()
        )
        assert found["sides"]["both"]["fees"] == pytest.approx(orders.loc[orders["run"] == name, "fee"].sum())
        assert sum(found["sides"][side]["trades"] for side in ("long", "short")) == summary["trades"]
        assert found["win_loss"]["expectancy"] == pytest.approx(summary["average_trade"])
        assert set(found["market"]) < set(metrics["benchmarks"])


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


#: The networks take most of the time; what is asked here does not depend on how many members there are.
TREES_ONLY = [
    *(f"~learning.members.{net}" for net in ("nhits", "patchtst")),
    *(f"~learning.tuning.members.searches.{net}" for net in ("nhits", "patchtst")),
    "learning.ensemble.quorum=1",  # on so few rows a tree may be a constant, and so dead
]
ALL_FOUR = {"xgboost", "lightgbm", "nhits", "patchtst"}


def same_bytes(quantlab_cli: Command, folder: Path, *overrides: str) -> Path:
    """Three runs of the learned experiment: cold with 2 workers; cold with 1, elsewhere; warm. The last one's folder."""
    here, there = folder / "here", folder / "there"
    contents = []
    for where, workers, cold in ((here, 2, True), (there, 1, True), (here, 1, False)):
        where.mkdir(exist_ok=True)
        shutil.rmtree(where / "runs", ignore_errors=True)
        assert cold or (where / ".cache" / "tuning").is_dir()
        done = quantlab_cli("experiment=ensemble_v2", "debug=tiny", f"workers={workers}", *overrides, cwd=where)
        assert done.returncode == 0, done.stderr
        run = only_run(where, "ensemble_v2")
        contents.append([(run / name).read_bytes() for name in ("metrics.json", "tuning.json")])
    assert contents[0] == contents[1] == contents[2]
    return only_run(here, "ensemble_v2")


def test_same_bytes_whatever_the_workers_the_cache_and_the_folder(quantlab_cli: Command, tmp_path: Path) -> None:
    run = same_bytes(quantlab_cli, tmp_path, *TREES_ONLY)
    metrics = check_metrics(run, members={"xgboost", "lightgbm"})
    assert isinstance(metrics["evidence"], dict)
    assert metrics["evidence"]["orders"] > 0
    check_tuning(run, {"xgboost", "lightgbm", "gates 2"})


@pytest.mark.slow
def test_same_bytes_with_all_four_members(quantlab_cli: Command, tmp_path: Path) -> None:
    run = same_bytes(quantlab_cli, tmp_path)
    check_metrics(run, members=ALL_FOUR)
    check_tuning(run, {*ALL_FOUR, "gates 2"})


def check_tuning(run: Path, stages: set[str]) -> None:
    """The same choice in ``metrics.json``, ``tuning.json``, the manifest and the report."""
    assert {path.name for path in run.iterdir()} == {*FILES, "tuning.json", "members"}
    metrics, manifest = (json.loads((run / name).read_text()) for name in ("metrics.json", "manifest.json"))
    record = {stage["name"]: stage for stage in json.loads((run / "tuning.json").read_text())["stages"]}
    page = (run / "report.html").read_text()
    assert set(record) == set(metrics["tuning"]["stages"]) == set(manifest["tuned"]) == stages
    for name, stage in record.items():
        chosen = stage["trials"][stage["best"]]["values"]
        assert chosen == metrics["tuning"]["stages"][name]["chosen"] == manifest["tuned"][name]
        title = name.replace("gates", "thresholds, window")
        assert f"{title}: {stage['objective']}" in page
    tried, window = record["gates 2"]["trials"], record["gates 2"]["window"]
    days = {len(trial["returns"]) for trial in tried}
    assert len(tried) == 6
    assert len(days) == 1
    assert days.pop() < metrics["evidence"]["days"]
    assert window == metrics["tuning"]["stages"]["gates 2"]["window"] == metrics["tuning"]["gates"]
    assert window["first"] > metrics["period"]["first"]
    assert window["last"] == metrics["period"]["last"]
    # Nothing of the judged account was looked at by a choice: it is one trial.
    judged = metrics["judgement"]
    assert (judged["trials"], judged["pbo"], judged["dsr"]) == (1, None, judged["psr"])
    assert 'id="tuning-thresholds"' in page


def test_job_tune_prints_every_trial_and_leaves_no_run(quantlab_cli: Command, tmp_path: Path) -> None:
    done = quantlab_cli("experiment=ensemble_v2", "debug=tiny", "job=tune", "workers=1", *TREES_ONLY)
    assert done.returncode == 0, done.stderr
    for said in (
        "xgboost: log loss",
        "lightgbm: log loss",
        "thresholds, window 2: annual Sharpe",
        "learning.ensemble.min_gain_bps=",
    ):
        assert said in done.stdout
    assert not (tmp_path / "runs").exists()
    off = quantlab_cli("experiment=ensemble_v2", "debug=tiny", "job=tune", "learning.tuning=null", *TREES_ONLY[:2])
    assert off.returncode == 2
    assert "learning.tuning=null" in off.stderr


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
    check_metrics(only_run(tmp_path, "ensemble_v2"), members=ALL_FOUR)
