"""The questions that a reader comes with, each answered in one sentence with its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np

from quantlab.core.clock import MS_PER_DAY
from quantlab.evaluation.report.content import Report
from quantlab.evaluation.report.html import Html, join, number, percent, section, tag, usd, utc_minute
from quantlab.evaluation.statistics.by_symbol import SymbolRow
from quantlab.evaluation.statistics.metrics import Undefined, daily_returns, days_of
from quantlab.evaluation.statistics.regimes import RegimeRow
from quantlab.evaluation.statistics.stress import break_even_multiple


def key_questions_section(report: Report, regimes: tuple[RegimeRow, ...], symbols: tuple[SymbolRow, ...]) -> Html:
    """Questions beside answers; what cannot be answered says why."""
    data = (("In one unit?", report.unmended, "provenance"),) if report.unmended else ()
    questions = (
        *data,
        ("How sure?", _certainty_answer(report), "verdict"),
        ("After what costs?", _costs_answer(report), "costs"),
        ("What would have hurt?", _losses_answer(report), "equity_section"),
        ("At what size?", _capacity_answer(report), "capacity"),
        ("On which symbols?", _symbols_answer(symbols), "symbols"),
        ("When?", _periods_answer(report, regimes), "regimes"),
    )
    known = {"provenance", "verdict", "costs", "equity_section", "symbols", "regimes"} | (
        {"capacity"} if report.stress is not None else set()
    )
    items = [
        tag("div", join((tag("dt", tag("a", name, href=f"#{to}") if to in known else name), tag("dd", answer))))
        for name, answer, to in questions
    ]
    return section("In short", tag("dl", join(items), class_="answers"))


def _certainty_answer(report: Report) -> str:
    n: dict[str, Any] = report.verdict.numbers
    if n["sharpe"] is None:
        return f"The Sharpe ratio is undefined: {report.verdict.undefined.get('sharpe', 'nothing was traded')}."
    answer = (
        f"Annual Sharpe ratio {number(n['sharpe'])} ± {number(n['sharpe_se'])} over {number(n['days'], ',.1f')} days"
    )
    need = n["min_track_record_days"]
    if need is None:
        return answer + "; no length of this record would prove skill."
    return (
        answer
        + f"; a single trial with this record needs {number(need, ',.0f')} days to be {percent(n['min_dsr'], 'g')} sure of skill."
    )


def _costs_answer(report: Report) -> str:
    s = report.evidence.summary
    if s["cost_bps"] is None:
        return "Nothing was traded."
    answer = (
        f"Paid {number(s['cost_bps'])} bps of traded notional in fees and slippage; "
        f"the trades could bear {number(s['break_even_cost_bps'])} bps."
    )
    if report.stress is None or not report.stress.costs:
        return answer
    multiple = break_even_multiple(report.stress.costs)
    if isinstance(multiple, Undefined):
        return f"{answer} Replayed: {multiple.reason}."
    return f"{answer} Replayed at other costs, the result is zero at {number(multiple)} × these."


def _losses_answer(report: Report) -> str:
    s, simulation = report.evidence.summary, report.evidence.simulation
    returns = daily_returns(simulation.equity, simulation.open_time_ms, simulation.initial_cash)
    worst = int(np.argmin(returns))
    day = int(days_of(simulation.open_time_ms)[worst]) * MS_PER_DAY
    answer = (
        f"A fall of {percent(s['max_drawdown'])} from the peak, {number(s['max_drawdown_days'], ',.1f')} days below one; "
        f"the worst day {percent(float(returns[worst]), '+.2f')} ({_date(day)})."
    )
    halted = report.lived.simulation.halted_at_ms
    return answer if halted is None else f"{answer} With limits on, the breaker ended it at {utc_minute(halted)} UTC."


def _capacity_answer(report: Report) -> str:
    cap = report.evidence.summary["capacity_usd"]
    answer = [] if cap is None else [f"The median entry meets the participation cap from {usd(cap, ',.0f')} USD on."]
    if report.stress is not None and report.stress.accounts:
        runs = report.stress.accounts
        kept = [runs[0], runs[len(runs) // 2], runs[-1]] if len(runs) > 2 else list(runs)
        sizes = "; ".join(
            f"{percent(run.numbers['total_return'], '+,.1f')} with {usd(run.at, ',.0f')} USD" for run in kept
        )
        answer.append(f"Return {sizes}.")
    if answer:
        return " ".join(answer)
    return f"Not known: {report.evidence.summary['undefined'].get('capacity_usd', 'no account was replayed')}."


def _symbols_answer(rows: tuple[SymbolRow, ...]) -> str:
    if not rows:
        return "Nothing was traded."
    gaining = [row for row in rows if row.net_pnl > 0.0]
    best, worst = rows[0], rows[-1]
    answer = (
        f"{len(gaining)} of {len(rows)} traded symbols gained; best {best.symbol} {usd(best.net_pnl, '+,.0f')} USD, "
        f"worst {worst.symbol} {usd(worst.net_pnl, '+,.0f')} USD."
    )
    total = sum(row.net_pnl for row in gaining)
    if len(gaining) <= 5:
        return answer
    return (
        f"{answer} The best five made {percent(sum(row.net_pnl for row in gaining[:5]) / total, '.0f')} of all gains."
    )


def _periods_answer(report: Report, rows: tuple[RegimeRow, ...]) -> str:
    simulation = report.evidence.simulation
    returns = daily_returns(simulation.equity, simulation.open_time_ms, simulation.initial_cash)
    answer = f"{int(np.sum(returns > 0.0))} of {len(returns)} days gained"
    return "; ".join([answer, *_by_volatility(rows)]) + "."


def _by_volatility(rows: tuple[RegimeRow, ...]) -> Iterator[str]:
    found = [
        f"{row.regime} {number(row.mean_return, '+.0f', scale=1e4)} ± {number(row.standard_error, '.0f', scale=1e4)}"
        for row in rows
        if row.split == "volatility" and row.standard_error is not None
    ]
    if found:
        yield f"mean bps a day in low to high volatility (hindsight): {', '.join(found)}"


def _date(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms // MS_PER_DAY * 86_400, UTC).strftime("%Y-%m-%d")
