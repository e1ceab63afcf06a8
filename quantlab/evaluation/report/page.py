"""The tear sheet: one self-contained HTML file that works offline, in the dark and on a phone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from string import Template
from typing import Any

import numpy as np
from plotly.offline import get_plotlyjs

from quantlab.core.arrays import Float64Array, Int64Array, Records
from quantlab.evaluation.report import breakdown, breakdown_figures, costs, figures, headline, tables, tuning
from quantlab.evaluation.report.content import Report
from quantlab.evaluation.report.detail_sections import drawdowns_fold, exposure_fold, market_fold, tails_fold
from quantlab.evaluation.report.heatmap import day_calendar, month_table
from quantlab.evaluation.report.html import (
    Html,
    contents_bar,
    escaped,
    folds,
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
from quantlab.evaluation.report.trade_sections import detail_figures, excursions_fold, sides_fold, wins_fold
from quantlab.evaluation.report.trade_table import trades_fold
from quantlab.evaluation.statistics.by_symbol import SymbolRow, by_symbol
from quantlab.evaluation.statistics.details import AccountDetails, account_details
from quantlab.evaluation.statistics.metrics import daily_returns, day_closes, days_of
from quantlab.evaluation.statistics.regimes import RegimeRow, regimes
from quantlab.evaluation.statistics.rolling import WINDOW_DAYS, RollingSharpe, rolling_sharpe
from quantlab.evaluation.statistics.trades import Trades

#: Most bytes of a page; a little below what is promised.
MAX_BYTES = 6_900_000
_EQUITY = (
    "Every bar's mark, after all costs. Evidence: daily limit and breaker off. Lived: with them on, flat from a halt on, "
    "hidden behind the evidence where both are the same. "
    "A click on a name hides its line, a second shows it again. Shaded: the deepest drawdowns of the evidence, by rank, each fall darker than the way back."
)
_PERIODS = (
    "Evidence run, net, in per cent, UTC; first and last month may be partial. The strongest colours are the largest twentieth of "
    "all moves."
)
_ROLLING = (
    "With its {confidence} interval, every window taken for itself. Neighbouring windows share most of their days: "
    "a slow wave here is no proof of good and bad times."
)


def render(report: Report) -> str:
    """The whole page as a string of at most 7 MB; nothing in it is loaded from elsewhere.

    Lines are reduced to 2,000 points that keep every extreme, and of the trades as many are listed as the page has room for;
    the page's content security policy forbids network access altogether.
    """
    data = _page_data(report)
    parts = Template(page_asset("report/page.html"))
    fixed = {
        "title": escaped(f"{report.experiment}: {report.verdict.verdict}"),
        "style": page_asset("report/page.css") + table_style(),
        "plotly": get_plotlyjs(),
        "script": table_script() + page_asset("report/page.js"),
        "figures": script_json(_figures(data)),
        "header": headline.header(report, report.experiment),
    }
    without_list = parts.substitute(fixed, body=_body(data, Html("")))
    room = MAX_BYTES - len(without_list.encode())
    trades = trades_fold(report.evidence.simulation, report.bars, room, _csv_name(report))
    return parts.substitute(fixed, body=_body(data, trades))


def _csv_name(report: Report) -> str:
    """File name of the saved trades: the experiment's name without what file names may not hold."""
    return f"trades_{re.sub(r'[^A-Za-z0-9_-]+', '_', report.experiment)}.csv"


@dataclass(frozen=True)
class _PageData:
    """The report and what is derived of its accounts, once."""

    report: Report
    evidence: AccountDetails
    lived: AccountDetails
    days: Int64Array
    returns: Float64Array
    regimes: tuple[RegimeRow, ...]
    symbols: tuple[SymbolRow, ...]
    rolling: RollingSharpe | None

    @property
    def trades(self) -> Trades:
        """Of the evidence run."""
        return self.evidence.trades

    @property
    def columns(self) -> list[int]:
        """Of the symbols with a price chart."""
        return figures.charted_symbols(self.report, self.trades.records)


def _page_data(report: Report) -> _PageData:
    simulation, bars = report.evidence.simulation, report.bars
    returns = daily_returns(simulation.equity, simulation.open_time_ms, simulation.initial_cash)
    return _PageData(
        report=report,
        evidence=account_details(simulation, bars, report.benchmarks),
        lived=account_details(report.lived.simulation, bars, report.benchmarks),
        days=days_of(simulation.open_time_ms),
        returns=returns,
        regimes=regimes(simulation, bars),
        symbols=by_symbol(simulation, bars),
        rolling=rolling_sharpe(returns, _confidence(report)),
    )


def _confidence(report: Report) -> float:
    """Of the verdict's interval, which the rolling one shares."""
    return float(report.verdict.numbers["confidence"] or 0.0)


def _body(data: _PageData, trade_list: Html) -> Html:
    report, evidence, lived = data.report, data.evidence, data.lived
    first = (
        headline.verdict_section(report),
        key_questions_section(report, data.regimes, data.symbols),
        headline.statements(report),
        headline.cards_section(report, "At a glance"),
    )
    # Name in the contents, anchor, section.
    rest: tuple[tuple[str, str, Html], ...] = (
        ("Equity", "equity_section", _equity_section(report)),
        ("Returns", "periods", _period_section(data)),
        ("Drawdowns", "drawdowns", folds(drawdowns_fold(evidence))),
        ("Exposure", "exposure", folds(exposure_fold(evidence, lived))),
        ("Tails", "tails", folds(tails_fold(evidence, lived))),
        ("Market", "market", folds(market_fold(evidence, lived))),
        ("Costs", "costs", costs.costs_section(report)),
        ("Capacity", "capacity", costs.capacity_section(report)),
        ("Regimes", "regimes", breakdown.regimes_section(report, data.regimes)),
        ("Symbols", "symbols", breakdown.symbols_section(data.symbols)),
        ("Trades", "trades", breakdown.trades_section(data.trades.closed)),
        ("Sides", "sides", folds(sides_fold(evidence, lived))),
        ("Wins", "wins", folds(wins_fold(evidence, lived))),
        ("MAE/MFE", "excursions", folds(excursions_fold(evidence))),
        ("List", "trade_list", folds(trade_list)),
        ("Price", "price_section", _price_section(report, data.trades.records, data.columns)),
        ("Members", "members", tables.members_section(report)),
        ("Tuning", "tuning", tuning.tuning_section(report)),
        ("Risk", "risk", tables.risk_section(report)),
        ("Numbers", "numbers", tables.numbers_section(report)),
        ("Open", "open_positions", tables.open_positions_section(report)),
        ("Origin", "provenance", tables.provenance_section(report)),
    )
    shown = [(name, anchor, made) for name, anchor, made in rest if made]
    contents = contents_bar([("Verdict", "verdict"), *((name, anchor) for name, anchor, _ in shown)])
    return join((*first, contents, *(made for _, _, made in shown)))


def _equity_section(report: Report) -> Html:
    chart = tag("div", "", id="equity", class_="chart")
    return section(
        "Equity, drawdown, exposure", chart, tables.benchmark_table(report), note=_EQUITY, anchor="equity_section"
    )


def _period_section(data: _PageData) -> Html:
    """Months, calendar and rolling Sharpe ratio."""
    too_short = tag("p", f"Drawn from {WINDOW_DAYS + 9} days on.", class_="empty")
    drawn = tag("div", "", id="rolling", class_="chart")
    calendar = day_calendar(data.days, data.returns)
    return section(
        "Returns by period",
        month_table(data.evidence.months),
        join((tag("h3", "Day by day"), calendar)) if calendar else "",
        tag("h3", f"Sharpe ratio of the last {WINDOW_DAYS} days"),
        tag("p", _ROLLING.format(confidence=percent(_confidence(data.report), "g")), class_="note"),
        too_short if data.rolling is None else drawn,
        note=_PERIODS,
        anchor="periods",
    )


def _price_section(report: Report, trades: Records, columns: list[int]) -> Html:
    title, anchor = "Trades on the price", "price_section"
    if not columns:
        return section(title, tag("p", "Nothing was traded.", class_="empty"), anchor=anchor)
    traded = len(set(trades["symbol"].tolist()))
    note = (
        f"Evidence run; the {len(columns)} of {traded} traded symbols with the most trades, "
        f"the latest {figures.MAX_DRAWN_TRADES} trades of each."
    )
    options = join(tag("option", report.bars.symbols[column], value=i) for i, column in enumerate(columns))
    selector = tag("label", join(("Symbol ", tag("select", options, id="symbol"))), class_="selector")
    return section(title, selector, tag("div", "", id="price", class_="chart"), note=note, anchor=anchor)


def _figures(data: _PageData) -> dict[str, Any]:
    """Specifications by element id; ``price`` holds one for each entry of the symbol selector."""
    report = data.report
    drawn = {
        "equity": figures.equity_figure(report, report.benchmarks),
        **costs.stress_figures(report),
        **breakdown.breakdown_figures(data.trades.closed, data.regimes, data.symbols),
        **detail_figures(data.evidence, report.bars),
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
