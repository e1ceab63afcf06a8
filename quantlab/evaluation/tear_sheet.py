"""The tear sheet: one self-contained HTML file that works offline, in the dark and on a phone."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np
from plotly.offline import get_plotlyjs

from quantlab.core.arrays import Records
from quantlab.evaluation import (
    breakdown_section,
    figures,
    headline,
    replay_figures,
    sections,
    stress_section,
    tuning_section,
)
from quantlab.evaluation.answers import answers
from quantlab.evaluation.by_symbol import SymbolRow, by_symbol
from quantlab.evaluation.heatmap import returns_heat_map
from quantlab.evaluation.markup import Html, join, percent, script_json, section, tag, text
from quantlab.evaluation.metrics import daily_returns, day_ends
from quantlab.evaluation.regimes import RegimeRow, regimes
from quantlab.evaluation.report import Report
from quantlab.evaluation.rolling import WINDOW_DAYS, RollingSharpe, rolling_sharpe
from quantlab.evaluation.trades import Trades, round_trips

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
    shown = _Shown(
        report,
        round_trips(simulation, report.bars),
        regimes(simulation, report.bars),
        by_symbol(simulation, report.bars),
        _rolling(report),
    )
    parts = Template(_asset("tear_sheet.html"))
    return parts.substitute(
        title=text(f"{report.experiment}: {report.verdict.verdict}"),
        style=_asset("tear_sheet.css"),
        plotly=get_plotlyjs(),
        script=_asset("tear_sheet.js"),
        figures=script_json(_figures(shown)),
        header=headline.header(report, report.experiment),
        body=_body(shown),
    )


@dataclass(frozen=True)
class _Shown:
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


def _body(shown: _Shown) -> Html:
    report = shown.report
    return join(
        (
            headline.verdict(report),
            answers(report, shown.regimes, shown.symbols),
            headline.statements(report),
            headline.cards(report, "At a glance"),
            section(
                "Equity, drawdown, exposure",
                tag("div", "", id="equity", class_="chart"),
                sections.compared(report),
                note=_EQUITY,
                anchor="equity_section",
            ),
            _period_section(shown),
            stress_section.costs(report),
            stress_section.capacity(report),
            breakdown_section.regimes(report, shown.regimes),
            breakdown_section.symbols(shown.symbols),
            breakdown_section.trades(shown.trades.closed),
            _price_section(report, shown.trades.records, shown.columns),
            sections.members(report),
            tuning_section.tuning(report),
            sections.risk(report),
            sections.numbers(report),
            sections.open_positions(report),
            sections.provenance(report),
        )
    )


def _period_section(shown: _Shown) -> Html:
    """Calendar and rolling Sharpe ratio."""
    said = tag("p", f"Drawn from {WINDOW_DAYS + 9} days on.", class_="empty")
    drawn = tag("div", "", id="rolling", class_="chart")
    return section(
        "Returns by period",
        returns_heat_map(shown.report.evidence.simulation),
        tag("h3", f"Sharpe ratio of the last {WINDOW_DAYS} days"),
        tag("p", _ROLLING.format(confidence=percent(_confidence(shown.report), "g")), class_="note"),
        said if shown.rolling is None else drawn,
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


def _figures(shown: _Shown) -> dict[str, Any]:
    """Specifications by element id; ``price`` holds one for each entry of the symbol selector."""
    report = shown.report
    drawn = {
        "equity": figures.equity_figure(report, report.benchmarks),
        **stress_section.stress_figures(report),
        **breakdown_section.breakdown_figures(shown.trades.closed, shown.regimes, shown.symbols),
        **tuning_section.tuning_figures(report),
    }
    if shown.rolling is not None:
        ends = report.bars.close_time_ms[day_ends(report.bars.open_time_ms)].astype(np.float64)
        drawn["rolling"] = replay_figures.rolling_figure(shown.rolling, ends)
    if report.signal is not None and report.signal.reliability:
        drawn["reliability"] = figures.reliability_figure(report.signal)
    price = [
        figures.specification(figures.price_figure(report.bars, column, shown.trades.records))
        for column in shown.columns
    ]
    return {"fixed": {name: figures.specification(figure) for name, figure in drawn.items()}, "price": price}


def _asset(name: str) -> str:
    return files("quantlab.evaluation").joinpath(name).read_text(encoding="utf-8")
