"""Tables in 80 columns: nothing is cut, and names stand in one line."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.table import Table

from quantlab.core.results import Trial, TuningStage
from quantlab.execution.journal.reader import SessionView
from quantlab.execution.readiness.stages import GateResult, StageResult
from quantlab.features.certificate import FeatureNeed, WarmupCertificate
from quantlab.jobs.data import data as data_job
from quantlab.jobs.data import universe
from quantlab.jobs.doctor.check import Check, Status
from quantlab.jobs.honesty import honesty
from quantlab.jobs.honesty.record import Share
from quantlab.jobs.output.console import stdout_console, terminal_table
from quantlab.jobs.promotion.model_tables import moves_table
from quantlab.jobs.research import warmup
from quantlab.jobs.session import readiness
from quantlab.jobs.session.status import status_tables
from quantlab.jobs.sweep.sweep_output import scenario_table, top_table
from quantlab.jobs.threshold_tuning.record import trial_table

SYMBOL = "1000000BABYDOGEUSDT"
LONG = "a sentence that is longer than what is left of the line and so has to be folded somewhere"


def printed(table: Table, capsys: pytest.CaptureFixture[str]) -> str:
    """The table in 80 columns."""
    stdout_console().print(table)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown
    return shown


def session() -> SessionView:
    account = {"equity": 1_234_567.89, "cash": 1_234_567.89, "gross": 0.0, "high_water_mark": 1_234_567.89}
    day = {"utc": "1970-01-01", "drawdown": 0.0}
    bar = {"open_ms": 0, "account": account, "day": day, "halts": [], "positions": [1], "orders": [1]}
    drift = {
        "rows": 1_000_000, "bars": 2_880, "open_ms": 0, "alerts": [],
        "features": [{"feature": "distance_to_the_highest_high_96", "psi": 0.1234, "ks": 0.1234, "level": "investigate"}],
    }  # fmt: skip
    tables: dict[str, Any] = {
        "positions": [(SYMBOL, 123_456.789, 1.23456e-5, 1.23456e-5, 1.13456e-5, 1.43456e-5, None, 1.0e-6, 1_234)],
        "orders": [(0, SYMBOL, 1, 123_456.789, True, "take_profit")],
        "fills": [],
        "counters": [("event.intended_order_of_a_symbol_that_left_the_universe", 1_234_567)],
    }
    return SessionView(False, 1, {"interval_ms": 1}, None, bar, {"lag_ms": 0.0}, drift, None, None, None, tables)


def best(count: int) -> Any:
    names = tuple(f"policy.quite_a_long_name_{i}" for i in range(count))
    numbers = {name: np.array([123_456.0]) for name in ("final_equity", "max_drawdown", "trades", "costs")}
    assumed = {"costs.slippage_bps": 12.5, "costs.participation": 0.05, "costs.impact_bps_of_a_whole_bar": 125.0}
    return SimpleNamespace(
        table=SimpleNamespace(names=names, numbers=numbers, values=[dict.fromkeys(names, 0.0625)]),
        score=SimpleNamespace(order=np.array([0]), sharpe_by_scenario=[-12.34]),
        sharpe=np.array([-12.34]),
        scenarios=[SimpleNamespace(row=0, luck_sharpe=1.0, dsr=0.5, scenario=SimpleNamespace(assumed=assumed))],
        judged=0,
    )


def quality() -> Any:
    one = SimpleNamespace(
        traded=123_456, zero_volume=12_345, gaps=[SimpleNamespace(missing_bars=1_234)] * 12, funding_stamps=1_234
    )
    return SimpleNamespace(symbols={SYMBOL: one}, n_bars=123_456, suspects=[SimpleNamespace(symbol=SYMBOL, count=1_234)])  # fmt: skip


def snapshot() -> Any:
    row = SimpleNamespace(
        rank=123, symbol=SYMBOL, coin="BABYDOGE", multiple=1_000_000, market_cap_usd=1e12, volume_usd=1e11, spread_bps=12.3,
        age_days=1_234,
    )  # fmt: skip
    return SimpleNamespace(exchange="hyperliquid", taken_ms=0, rows=[row], members=[row])


TRIAL = Trial(0, {f"parameter_{i}": 0.0625 for i in range(12)}, "infeasible", 1.0)
TABLES: dict[str, tuple[Table, tuple[str, ...]]] = {
    "doctor": (
        Check("exchange clock", Status.NOT_CHECKED, LONG, "python -m pip install -r requirements.lock").lines(),
        ("exchange clock", "not checked"),
    ),
    "warmup": (
        warmup._table(
            WarmupCertificate("", 1_536, 2_000, 10, (FeatureNeed("distance_to_high_96", 1_234, 1_234, 1_234, SYMBOL, "2025-03-16T12:00:00Z"),))
        ),
        ("distance_to_high_96", "1,234"),
    ),
    "trials": (trial_table(TuningStage("xgboost", "log loss", False, (TRIAL,), 0, {})), ("infeasible", "parameter_11=0.0625")),
    "status, summary": (status_tables(session(), 0)[0], ("1,234,567.89",)),
    "status, positions": (status_tables(session(), 0)[1], (SYMBOL, "123,457")),
    "status, levels": (status_tables(session(), 0)[2], (SYMBOL, "1.13456e-05", "1.43456e-05")),
    "status, orders": (status_tables(session(), 0)[3], (SYMBOL, "take-profit, reduce only")),
    "status, drift": (status_tables(session(), 0)[4], ("distance_to_the_highest_high_96", "0.123")),
    "status, counters": (status_tables(session(), 0)[5], ("event.intended_order_of_a_symbol_that_left_the_universe",)),
    "readiness": (
        readiness._table(StageResult("paper", "24 hours of paper trading", 0, 0, (GateResult("orders_of_both_agree", "UNKNOWN", LONG, None, True),), True)),
        ("orders of both agree", "UNKNOWN"),
    ),
    "sweep": (top_table(best(4), 1), ("0.0625", "123,456", "-12.34")),
    "sweep of many parameters": (top_table(best(12), 1), ("quite a long name 11", "123,456")),
    "scenarios": (scenario_table(best(1)), ("-12.34", "0.500")),
    "data": (data_job._table(quality()), (SYMBOL, "14,808")),
    "universe": (universe._table(snapshot()), (SYMBOL, "1,000,000", "100,000.0")),
    "honesty": (
        honesty._table((Share("planted", 100_000, 12_345, (0.1, 0.2), (0.1, 0.2)),), 0.95), ("with the planted edge", "10.0 to 20.0"),
    ),
    "releases": (
        moves_table({"patchtst": "patchtst_v20250316_120000"}, {"patchtst": "patchtst_v20250401_120000"}),
        ("patchtst_v20250316_120000", "patchtst_v20250401_120000"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_names_and_numbers_are_whole_in_80_columns(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    table, whole = TABLES[name]
    shown = printed(table, capsys)
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert [words for words in whole if not any(words in line for line in lines)] == [], shown


@pytest.mark.parametrize("length", [20, 60, 200])
def test_what_does_not_fit_is_folded_and_never_cut(length: int, capsys: pytest.CaptureFixture[str]) -> None:
    table = terminal_table("name", "path", "number", numbers=("number",))
    path = "/" + "x" * length
    table.add_row("a_name", path, "1,234")
    shown = printed(table, capsys)
    assert shown.count("x") == length
    assert "a_name" in shown
    assert "1,234" in shown
