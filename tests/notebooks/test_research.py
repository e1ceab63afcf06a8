"""The notebook's way in gives the jobs' own numbers, and tables that say what the arrays say."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from quantlab.backtest.scan import Scan
from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.market import Bars
from quantlab.jobs.config.composition import compose
from quantlab.jobs.research import backtest as backtest_job
from quantlab.jobs.sweep import sweep as sweep_job
from quantlab.research import Experiment, Result, SweepOutcome, bars_frame, experiment, features_frame, forecasts_frame

SPACE = "sweep.space={signal.fast:[12,24],policy.stop_atr:[1.0,2.0,4.0]}"
SPLIT = "2025-02-27"
SHARPE = "sharpe"


@pytest.fixture(scope="module")
def result(lab: Experiment, bars: Bars) -> Result:
    return lab.backtest(bars)


@pytest.fixture(scope="module")
def swept(lab: Experiment, bars: Bars) -> SweepOutcome:
    return lab.sweep(bars, SPACE, "job.min_trades=1", unseen_from=SPLIT)


def run_of(folder: Path) -> Path:
    return max((folder / "runs" / "baseline").iterdir(), key=lambda path: path.stat().st_mtime_ns)


def as_json(value: object) -> object:
    return json.loads(json.dumps(value))


def test_a_backtest_is_the_jobs(lab: Experiment, result: Result, folder: Path) -> None:
    backtest_job.run(lab.cfg)
    run = run_of(folder)
    metrics = json.loads((run / "metrics.json").read_text())
    assert as_json(result.judgement.evidence) == metrics["evidence"]
    assert as_json(result.judgement.lived) == metrics["lived"]
    assert as_json(result.verdict.as_dict()) == metrics["judgement"]
    equity = pq.read_table(run / "equity.parquet").to_pandas()
    np.testing.assert_array_equal(result.equity["evidence"], equity["evidence_equity"])
    orders = pq.read_table(run / "orders.parquet").to_pandas().query("run == 'evidence'")
    mine = result.orders.reset_index()
    assert list(mine["time"]) == list(orders["time"])
    for name in ("symbol", "side", "units", "price", "fee", "reason"):
        assert list(mine[name]) == list(orders[name]), name


def test_a_sweep_is_the_jobs(lab: Experiment, bars: Bars, folder: Path) -> None:
    swept = lab.sweep(bars, SPACE, "job.min_trades=1")
    sweep_job.run(compose(*lab.overrides, SPACE, "job.min_trades=1", "job=sweep"))
    run = run_of(folder)
    metrics = json.loads((run / "metrics.json").read_text())
    assert as_json(swept.verdict.as_dict()) == metrics["judgement"]
    rows = pq.read_table(run / "sweep.parquet").to_pandas().sort_values("rank").reset_index(drop=True)
    pd.testing.assert_frame_equal(swept.table, rows[list(swept.table)])
    assert swept.chosen == metrics["sweep"]["best"]["values"]
    assert swept.holdout is None
    assert list(swept.equity) == list(swept.numbers) == ["seen"]


def test_the_choice_does_not_see_what_comes_later(lab: Experiment, bars: Bars, swept: SweepOutcome) -> None:
    """Other prices from the split on: another future, the same choice, bit for bit."""
    row = int(np.searchsorted(bars.open_time_ms, swept.holdout.prepared.bars.open_time_ms[0]))
    ohlcv = bars.ohlcv.copy()
    ohlcv[row:, :, :4] *= np.exp(np.linspace(0.0, 0.3, bars.n_bars - row))[:, None, None]
    other = lab.sweep(dataclasses.replace(bars, ohlcv=ohlcv), SPACE, "job.min_trades=1", unseen_from=SPLIT)
    seen = [name for name in swept.table if name != "sharpe_unseen"]
    pd.testing.assert_frame_equal(other.table[seen], swept.table[seen], check_exact=True)
    assert other.verdict == swept.verdict
    assert not np.array_equal(other.table["sharpe_unseen"], swept.table["sharpe_unseen"])


def test_both_sides_of_the_split_are_plain_backtests(bars: Bars, swept: SweepOutcome) -> None:
    source = dataclasses.replace(swept.prepared.maker.source, fast=swept.chosen["signal.fast"])
    signal, strategy = source.signal(bars), swept.best.strategy
    row = int(np.searchsorted(bars.open_time_ms, pd.Timestamp(SPLIT, tz="UTC").value // 10**6))
    first = swept.prepared.maker.study.first_row
    sides = {"seen": (first, row), "unseen": (row, bars.n_bars)}
    assert strategy.policy.stop_atr == swept.chosen["policy.stop_atr"]
    for name, rows in sides.items():
        plain = Scan(10_000.0).run(bars.rows(*rows), signal.rows(*rows), strategy, limits_on=False)
        np.testing.assert_array_equal(swept.equity[name].dropna(), plain.equity)
        assert swept.numbers[name]["final_equity"] == plain.equity[-1]
    assert swept.table["sharpe_unseen"][0] == swept.numbers["unseen"][SHARPE]
    assert swept.table[SHARPE][0] == swept.numbers["seen"][SHARPE] == swept.table[SHARPE].max()


@pytest.mark.parametrize("date", ["2025-02-01", "2025-03-02", "tomorrow"])
def test_a_split_that_leaves_no_side_is_refused(lab: Experiment, bars: Bars, date: str) -> None:
    with pytest.raises(ConfigError, match=r"a date after 2025-02-2\S+ and not after 2025-03-01"):
        lab.sweep(bars, SPACE, unseen_from=date)


def test_tables_join_cell_by_cell(lab: Experiment, bars: Bars, result: Result) -> None:
    features = lab.features(bars)
    table = bars_frame(bars).join(features_frame(bars, features)).join(result.forecasts)
    assert len(table) == bars.n_bars * bars.n_symbols
    for t, s in ((0, 0), (1700, 3), (bars.n_bars - 1, 1)):
        row = table.loc[(pd.Timestamp(bars.open_time_ms[t], unit="ms", tz="UTC"), bars.symbols[s])]
        np.testing.assert_array_equal(row[["open", "high", "low", "close", "volume"]].astype(float), bars.ohlcv[t, s])
        np.testing.assert_array_equal(row[list(features.names)].astype(np.float32), features.values[t, s])
        said = result.run.study.signal
        if t >= result.run.study.first_row:
            assert row["side"] == said.side[t, s]
            np.testing.assert_array_equal(row[["sell", "hold", "buy"]].astype(float), said.proba[t, s])
    assert (table["state"] == "traded").sum() == bars.tradable.sum()


def test_tables_of_other_bars_are_refused(lab: Experiment, bars: Bars, result: Result) -> None:
    with pytest.raises(ContractError, match="Pass the bars that they were made of"):
        features_frame(bars.rows(0, 2000), lab.features(bars))
    with pytest.raises(ContractError, match="Pass the bars that they were made of"):
        forecasts_frame(bars, result.run.signal)


def test_trades_add_up_to_the_account(result: Result) -> None:
    """Profits of all trades less funding is what the account gained; nothing was liquidated here."""
    run = result.run.evidence
    assert run.liquidation_fees.sum() == 0.0
    gained = result.trades["pnl"].sum() - run.funding.sum()
    assert gained == pytest.approx(run.equity[-1] - run.initial_cash, rel=1e-9)
    closed = result.trades[result.trades["closed"]]
    assert (closed["exit_time"] >= closed["entry_time"]).all()
    assert result.trades["closed"].sum() == result.judgement.evidence["trades"]
    assert set(result.trades.loc[result.trades["closed"], "exit_reason"]) <= {
        "signal",
        "stop",
        "take_profit",
        "time_exit",
    }


def test_what_is_not_there_is_said(result: Result, lab: Experiment, bars: Bars) -> None:
    assert result.members.empty
    with pytest.raises(ContractError, match="a learned signal"):
        result.reliability_figure()
    with pytest.raises(ContractError, match="a symbol 'BTC'"):
        result.price_figure("BTC")
    with pytest.raises(ContractError, match="had not seen"):
        lab.sweep(bars, SPACE).unseen_figure()


def test_the_verdict_is_shown_with_its_market(result: Result, swept: SweepOutcome) -> None:
    for shown in (result, swept):
        assert shown.verdict.words in repr(shown)
        assert "synthetic market" in repr(shown)
        assert "Synthetic market" in shown._repr_html_()
        assert shown.verdict.verdict in shown._repr_html_()
    assert "the best of 6 like these" in swept._repr_html_()


def test_an_experiment_names_itself() -> None:
    assert repr(experiment("experiment=baseline", "cash=500")) == "experiment('experiment=baseline', 'cash=500')"
    with pytest.raises(ConfigError, match=r"Did you mean cash\?"):
        experiment("experiment=baseline", "+cahs=500")


def test_the_package_itself_stays_light_and_research_loads_no_model_library() -> None:
    heavy = "{'torch', 'vectorbt', 'xgboost', 'lightgbm', 'neuralforecast', 'optuna', 'ccxt'}"
    code = (
        "import sys; before = set(sys.modules); import quantlab; "
        "print(sorted(m for m in set(sys.modules) - before if not m.startswith('quantlab'))); "
        f"import quantlab.research; print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]
