"""The tear sheet: one self-contained HTML file that works offline, in the dark and on a phone."""

from __future__ import annotations

from dataclasses import dataclass
from string import Template
from typing import Any

import numpy as np
from plotly.offline import get_plotlyjs

from quantlab.core.arrays import Records
from quantlab.evaluation.report import breakdown, breakdown_figures, costs, figures, headline, tables, tuning
from quantlab.evaluation.report.content import Report
from quantlab.evaluation.report.heatmap import returns_heat_map
from quantlab.evaluation.report.html import (
    Html,
    escaped,
    join,
    page_asset,
    percent,
    script_json,
    section,
    table_script,
    table_style,
    tag,
)
from quantlab.evaluation.report.key_questions import key_questions_section
from quantlab.evaluation.statistics.by_symbol import SymbolRow, by_symbol
from quantlab.evaluation.statistics.metrics import daily_returns, day_closes
from quantlab.evaluation.statistics.regimes import RegimeRow, regimes
from quantlab.evaluation.statistics.rolling import WINDOW_DAYS, RollingSharpe, rolling_sharpe
from quantlab.evaluation.statistics.trades import Trades, round_trips

_EQUITY = (
    "Every bar's mark, after all costs. Evidence: daily limit and breaker off. Lived: with them on, flat from a halt on, "
    "hidden behind the evidence where both are the same. "
    "A click on a name hides its line, a second shows it again."
)
_ROLLING = (
    "With its {confidence} interval, every window taken for itself. Neighbouring windows share most of their days: "
    "a slow wave here is no proof of good and bad times."
)


def render(report: Report) -> str:
    """The whole page as a string of at most 7 MB; nothing in it is loaded from elsewhere.

    Lines are reduced to 2,000 points that keep every extreme; the page's content security policy
    forbids network access altogether.
    """
    simulation = report.evidence.simulation
    data = _PageData(
        report,
        round_trips(simulation, report.bars),
        regimes(simulation, report.bars),
        by_symbol(simulation, report.bars),
        _rolling(report),
    )
    parts = Template(page_asset("report/page.html"))
    return parts.substitute(
        title=escaped(f"{report.experiment}: {report.verdict.verdict}"),
        style=page_asset("report/page.css") + table_style(),
        plotly=get_plotlyjs(),
        script=table_script() + page_asset("report/page.js"),
        figures=script_json(_figures(data)),
        header=headline.header(report, report.experiment),
        body=_body(data),
    )


@dataclass(frozen=True)
class _PageData:
    """The report and what is derived of its evidence run, once."""

    report: Report
    trades: Trades
    regimes: tuple[RegimeRow, ...]
    symbols: tuple[SymbolRow, ...]
    rolling: RollingSharpe | None

    @property
    def columns(self) -> list[int]:
        return figures.charted_symbols(self.report, self.trades.records)


def _rolling(report: Report) -> RollingSharpe | None:
    simulation = report.evidence.simulation
    returns = daily_returns(simulation.equity, simulation.open_time_ms, simulation.initial_cash)
    return rolling_sharpe(returns, _confidence(report))


def _confidence(report: Report) -> float:
    """Of the verdict's interval, which the rolling one shares."""
    return float(report.verdict.numbers["confidence"] or 0.0)


def _body(data: _PageData) -> Html:
    report = data.report
    return join(
        (
            headline.verdict_section(report),
            key_questions_section(report, data.regimes, data.symbols),
            headline.statements(report),
            headline.cards_section(report, "At a glance"),
            section(
                "Equity, drawdown, exposure",
                tag("div", "", id="equity", class_="chart"),
                tables.benchmark_table(report),
                note=_EQUITY,
                anchor="equity_section",
            ),
            _period_section(data),
            costs.costs_section(report),
            costs.capacity_section(report),
            breakdown.regimes_section(report, data.regimes),
            breakdown.symbols_section(data.symbols),
            breakdown.trades_section(data.trades.closed),
            _price_section(report, data.trades.records, data.columns),
            tables.members_section(report),
            tuning.tuning_section(report),
            tables.risk_section(report),
            tables.numbers_section(report),
            tables.open_positions_section(report),
            tables.provenance_section(report),
        )
    )


def _period_section(data: _PageData) -> Html:
    """Calendar and rolling Sharpe ratio."""
    too_short = tag("p", f"Drawn from {WINDOW_DAYS + 9} days on.", class_="empty")
    drawn = tag("div", "", id="rolling", class_="chart")
    return section(
        "Returns by period",
        returns_heat_map(data.report.evidence.simulation),
        tag("h3", f"Sharpe ratio of the last {WINDOW_DAYS} days"),
        tag("p", _ROLLING.format(confidence=percent(_confidence(data.report), "g")), class_="note"),
        too_short if data.rolling is None else drawn,
        note="Evidence run, net, UTC days. The strongest colours are the largest twentieth of all moves.",
        anchor="periods",
    )


def _price_section(report: Report, trades: Records, columns: list[int]) -> Html:
    if not columns:
        return section("Trades on the price", tag("p", "Nothing was traded.", class_="empty"))
    traded = len(set(trades["symbol"].tolist()))
    note = (
        f"Evidence run; the {len(columns)} of {traded} traded symbols with the most trades, "
        f"the latest {figures.MAX_DRAWN_TRADES} trades of each."
    )
    options = join(tag("option", report.bars.symbols[column], value=i) for i, column in enumerate(columns))
    selector = tag("label", join(("Symbol ", tag("select", options, id="symbol"))), class_="selector")
    return section("Trades on the price", selector, tag("div", "", id="price", class_="chart"), note=note)


def _figures(data: _PageData) -> dict[str, Any]:
    """Specifications by element id; ``price`` holds one for each entry of the symbol selector."""
    report = data.report
    drawn = {
        "equity": figures.equity_figure(report, report.benchmarks),
        **costs.stress_figures(report),
        **breakdown.breakdown_figures(data.trades.closed, data.regimes, data.symbols),
        **tuning.tuning_figures(report),
    }
    if data.rolling is not None:
        ends = day_closes(report.bars.open_time_ms, report.bars.interval_ms).astype(np.float64)
        drawn["rolling"] = breakdown_figures.rolling_figure(data.rolling, ends)
    if report.signal is not None and report.signal.reliability:
        drawn["reliability"] = figures.reliability_figure(report.signal)
    price = [
        figures.specification(figures.price_figure(report.bars, column, data.trades.records)) for column in data.columns
    ]
    return {"fixed": {name: figures.specification(figure) for name, figure in drawn.items()}, "price": price}
