"""A run opened from Python: the same numbers as in memory, bit for bit, and nothing that was altered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from quantlab.core.errors import ArtifactError, ConfigError, ContractError
from quantlab.core.sealed_json import read_sealed, write_sealed
from quantlab.jobs.output.run_folder import MANIFEST_FORMAT
from quantlab.research import Result, StoredResult, open_run


@pytest.fixture(scope="module")
def stored(folder: Path, first: Path) -> StoredResult:
    return open_run(first)


def test_an_opened_run_is_the_result_that_it_was(stored: StoredResult, result: Result) -> None:
    pd.testing.assert_frame_equal(stored.numbers, result.numbers.loc[stored.numbers.index], check_exact=True)
    assert sorted(stored.numbers.index) == sorted(result.numbers.index)
    for name in ("equity", "orders", "trades", "members"):
        pd.testing.assert_frame_equal(getattr(stored, name), getattr(result, name), check_exact=True, check_freq=False)
    assert len(stored.trades) > 0
    assert stored.verdict.as_dict() == json.loads(json.dumps(result.verdict.as_dict()))
    assert stored.config == result.config
    pd.testing.assert_series_equal(
        stored.to_quantstats("lived"), result.to_quantstats("lived"), check_exact=True, check_names=False
    )


def test_a_run_is_found_as_on_the_command_line(folder: Path, first: Path, other: Path) -> None:
    assert open_run("latest", folder / "runs").folder == open_run("latest:baseline", folder / "runs").folder == other
    assert open_run(first.name[-8:], folder / "runs").report_path == first / "report.html"
    with pytest.raises(ConfigError, match=r"no manifest.json. Give its folder, its id, or latest"):
        open_run(folder)


def test_trades_of_both_accounts_are_kept_and_add_up(stored: StoredResult, result: Result, first: Path) -> None:
    """Closed trades' P&L, the open ones' at the last mark, and funding make the account's."""
    trades = pq.read_table(first / "trades.parquet").to_pandas()
    for account in ("evidence", "lived"):
        simulation = getattr(result.run, account)
        paid = simulation.funding.sum() + simulation.liquidation_fees.sum()
        mine = trades[trades["run"] == account]
        assert mine["pnl"].sum() - paid == pytest.approx(simulation.equity[-1] - simulation.initial_cash, abs=1e-8)
        assert mine["closed"].sum() == stored.numbers.loc["trades", account]


def test_daily_returns_for_quantstats_compound_to_the_total_return(stored: StoredResult) -> None:
    returns = stored.to_quantstats()
    assert returns.index.tz is None
    assert isinstance(returns.index, pd.DatetimeIndex)
    assert (np.diff(returns.index) == pd.Timedelta(days=1)).all()
    numbers = stored.numbers["evidence"]
    assert np.prod(1.0 + returns) - 1.0 == pytest.approx(numbers["total_return"], rel=1e-12)
    assert returns.mean() / returns.std(ddof=1) * np.sqrt(365) == pytest.approx(numbers["sharpe"], rel=1e-12)
    by_hand = stored.equity["evidence"]
    last = by_hand.groupby((by_hand.index - pd.Timedelta(minutes=5)).date).last()
    assert list(returns.index.date) == list(last.index)
    np.testing.assert_allclose(returns.to_numpy()[1:], last.pct_change().to_numpy()[1:], rtol=1e-12)
    with pytest.raises(ContractError, match="account as one of evidence, lived"):
        stored.to_quantstats("both")


def test_what_a_run_does_not_keep_is_refused_with_what_to_do(stored: StoredResult, other: Path) -> None:
    with pytest.raises(ContractError, match=r"lab.backtest\(lab.history\(\)\).forecasts"):
        _ = stored.forecasts
    with pytest.raises(ContractError, match="Run it with job=research"):
        _ = open_run(other).report_path
    with pytest.raises(ContractError, match=r"sweep.parquet in .*by a job that has none"):
        _ = stored.sweep
    assert len(stored.equity_figure().data) == len(stored.equity.columns) + 2


@pytest.mark.parametrize("name", ["metrics.json", "orders.parquet", "equity.parquet", "report.html", "config.yaml"])
def test_an_altered_or_missing_file_is_refused(copied: Path, name: str) -> None:
    content = (copied / name).read_bytes()
    (copied / name).write_bytes(content.replace(b"1", b"2", 1))
    with pytest.raises(ArtifactError, match=rf"{name} as it was written; found an altered file"):
        open_run(copied)
    (copied / name).unlink()
    with pytest.raises(ArtifactError, match=rf"{name} as it was written; found no such file"):
        open_run(copied)


def test_a_run_of_before_trades_were_kept_still_opens(copied: Path, result: Result) -> None:
    manifest = read_sealed(copied / "manifest.json", MANIFEST_FORMAT, "")
    for name in ("trades.parquet", "benchmarks.parquet"):
        (copied / name).unlink()
        del manifest["files_sha256"][name]
    for name in ("job", "experiment", "overrides", "data", "multirun"):
        del manifest[name]
    write_sealed(copied / "manifest.json", manifest, MANIFEST_FORMAT)
    old = open_run(copied)
    pd.testing.assert_frame_equal(old.equity, result.equity[["evidence", "lived"]], check_exact=True, check_freq=False)
    pd.testing.assert_frame_equal(old.orders, result.orders, check_exact=True)
    with pytest.raises(ContractError, match=r"trades.parquet in .*before runs kept it.*Run it again"):
        _ = old.trades
